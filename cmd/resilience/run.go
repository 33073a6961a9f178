package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"resilience/gates"
	"resilience/internal/plan"
	"resilience/internal/report"
	conduct "resilience/internal/run"
	"resilience/internal/store"
)

// runOptions are the flags of the run command.
type runOptions struct {
	phase    string
	all      bool
	dryRun   bool
	out      string
	baseline string
	seed     int64
	vars     []string
	quiet    bool
}

func runCommand(s *streams) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run PLAN",
		Short: "Run a phase of a plan and judge it",
		Long: `run starts the services of the plan, sends the traffic of the phase, injects
and lifts its disruptions, and judges its gates. The record is kept under
` + runsDir + `, whatever happens; with --out, every report is written as well.`,
		Args: exactly(1, "a plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadPlan(args[0], o.vars)
			if err != nil {
				return err
			}
			return runPlan(cmd.Context(), s, p, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.phase, "phase", "", "the phase to run")
	f.BoolVar(&o.all, "all", false, "run all phases, in order, until one does not pass")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the time line and what the gates could show, and run nothing")
	f.StringVar(&o.out, "out", "", "write every report and the record into this `DIR`")
	f.StringVar(&o.baseline, "baseline", "", "compare with this `RUN`: an id, a prefix of one, last, or a file")
	f.Int64Var(&o.seed, "seed", 0, "seed of everything random; by default a new one, which is recorded")
	f.BoolVar(&o.quiet, "quiet", false, "print nothing but the verdict")
	varFlag(cmd, &o.vars)
	return cmd
}

// runPlan runs phases of a plan, keeps the record, judges and reports.
func runPlan(ctx context.Context, s *streams, p plan.Plan, o runOptions) error {
	phases, err := choosePhases(p, o.phase, o.all)
	if err != nil {
		return err
	}
	if o.dryRun {
		return dryRun(s.out, p, phases)
	}
	db, err := newRecord(p, phases, o)
	if err != nil {
		return err
	}
	ctx, hurry, stop := interruptible(ctx)
	defer stop()
	live := newLive(s, p, phases, o.quiet)
	runErr := runPhases(ctx, conductor(p, db, live, hurry), db, phases, live)
	live.Close()
	return conclude(s, db, o.out, runErr)
}

// runPhases runs one phase after the other, and stops at the first that does not
// pass.
func runPhases(ctx context.Context, c *conduct.Conductor, db *store.DB, phases []string, live *report.Live) error {
	for _, name := range phases {
		if err := c.Run(ctx, name); err != nil {
			return err
		}
		verdict, err := judgePhase(db, name, nil)
		if err != nil {
			return err
		}
		live.Judged(verdict)
		if verdict.Outcome != gates.Pass {
			return nil
		}
	}
	return nil
}

// newRecord makes the record of a run: what was asked for, before anything is
// done about it.
func newRecord(p plan.Plan, phases []string, o runOptions) (_ *store.DB, err error) {
	resolved, err := plan.Resolved(p)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	random := rand.New(rand.NewPCG(uint64(now.UnixNano()), uint64(os.Getpid()))) //nolint:gosec // names only
	seed := o.seed
	if seed == 0 {
		seed = random.Int64N(1 << 31)
	}
	db, err := store.Create(runsDir, gates.Run{
		ID: store.NewID(now, random), Plan: p.Name, Digest: plan.Digest(p), Seed: seed, Version: version(), Started: now,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if err := db.SaveDocument(store.DocumentPlan, resolved); err != nil {
		return nil, err
	}
	for _, phase := range p.Phases {
		for _, name := range phases {
			if phase.Name == name {
				if err := db.SaveGates(name, gatesOf(phase)); err != nil {
					return nil, err
				}
			}
		}
	}
	return db, saveBaseline(db, o.baseline, phases)
}

// saveBaseline copies the baseline into the record, so that judging it again
// elsewhere gives the same answer.
func saveBaseline(db *store.DB, ref string, phases []string) error {
	if ref == "" {
		return nil
	}
	path, err := store.Find(runsDir, ref)
	if err != nil {
		return &usageError{"--baseline: " + err.Error()}
	}
	other, err := store.Open(path)
	if err != nil {
		return &usageError{"--baseline: " + err.Error()}
	}
	defer other.Close()
	for _, phase := range phases {
		rec, err := other.Record(phase)
		if err != nil {
			return &usageError{"--baseline: " + err.Error()}
		}
		if err := db.SaveBaseline(rec); err != nil {
			return err
		}
	}
	return nil
}

func gatesOf(phase plan.Phase) []gates.Gate {
	list := make([]gates.Gate, len(phase.Gates))
	for i, g := range phase.Gates {
		list[i] = g.Gate
	}
	return list
}

// ending is what a record says of how its run ended, beside what was measured.
type ending struct {
	Codes  []int  `json:"codes,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// endingOf sorts what ended a run into exit codes.
func endingOf(err error) ending {
	if err == nil {
		return ending{}
	}
	e := ending{}
	if errors.Is(err, conduct.ErrFaultLeft) {
		e.Codes = append(e.Codes, gates.ExitFault)
	}
	switch {
	case errors.Is(err, context.Canceled):
		e.Codes = append(e.Codes, gates.ExitInterrupted)
		return e
	case isPlanError(err):
		e.Codes = append(e.Codes, gates.ExitUsage)
	default:
		e.Codes = append(e.Codes, gates.ExitError)
	}
	e.Reason = err.Error()
	return e
}

// conclude finishes the record, judges it, writes every report and gives the
// exit code, on every path.
func conclude(s *streams, db *store.DB, out string, runErr error) error {
	defer db.Close()
	end := endingOf(runErr)
	text, err := json.Marshal(end)
	if err != nil {
		return err
	}
	info, err := db.Run()
	if err != nil {
		return err
	}
	info.Ended = time.Now().UTC()
	errs := errors.Join(db.SaveDocument(documentEnding, text), db.Finish(info))
	doc, err := document(db, nil)
	if err != nil {
		return errors.Join(errs, runErr, err)
	}
	if verdicts, err := json.Marshal(doc.Phases); err == nil {
		errs = errors.Join(errs, db.SaveVerdicts(verdicts))
	}
	errs = errors.Join(errs, writeReports(db, out, doc))
	if end.Reason != "" {
		fmt.Fprintln(s.err, end.Reason)
	}
	errs = errors.Join(errs, report.Write(s.out, "text", doc, report.OptionsFor(s.out, os.Getenv)))
	if errs != nil {
		fmt.Fprintln(s.err, errs)
		return &exitError{gates.Worst(doc.ExitCode, gates.ExitError)}
	}
	return &exitError{doc.ExitCode}
}

// writeReports writes all reports and the record into a folder, and tells
// GitHub's runner what it wants to know where there is one.
func writeReports(db *store.DB, out string, doc report.Document) (err error) {
	if os.Getenv("GITHUB_STEP_SUMMARY") != "" || os.Getenv("GITHUB_OUTPUT") != "" {
		err = report.Write(os.Stdout, "github", doc, report.Options{Env: os.Getenv})
	}
	if out == "" {
		return err
	}
	return errors.Join(err, report.WriteAll(out, doc), db.CopyTo(filepath.Join(out, "record.db")))
}

// conductor wires the adapters to the conductor.
func conductor(p plan.Plan, db *store.DB, live *report.Live, hurry <-chan struct{}) *conduct.Conductor {
	info, _ := db.Run() // it was written a moment ago
	return &conduct.Conductor{
		Plan: p, Adapters: adapters(p), Recorder: db, Listener: live, Hurry: hurry, Seed: info.Seed,
		Logs: strings.TrimSuffix(db.Path(), ".db") + ".logs", Getenv: os.LookupEnv,
	}
}

// newLive shows the run on standard error while it goes on.
func newLive(s *streams, p plan.Plan, phases []string, quiet bool) *report.Live {
	options := report.LiveOptions{Schedules: schedules(p, phases)}
	w := s.err
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		options.Terminal = true
		options.Color = os.Getenv("NO_COLOR") == ""
		options.Width = func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 80
			}
			return width
		}
	}
	if quiet {
		return report.NewLive(discard{}, report.LiveOptions{})
	}
	return report.NewLive(w, options)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

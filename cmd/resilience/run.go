package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
	influx   string // the URL of one to write to
	otlp     string // the URL of one to tell
	seed     int64
	vars     []string
	quiet    bool
	secret   bool // disruptions are not announced

	traffic func(plan.Stream) (conduct.Traffic, error) // the engines; nil: those of this machine
}

func runCommand(s *streams) *cobra.Command {
	var o runOptions
	var announce bool
	cmd := &cobra.Command{
		Use:   "run PLAN",
		Short: "Run a phase of a plan and judge it",
		Long: `run starts the services of the plan, sends the traffic of the phase, injects
and lifts its disruptions, and judges its gates. The record is kept under
` + runsDir + `, whatever happens; with --out, every report is written as well.`,
		Args: exactly(1, "a plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.secret = !announce
			return runFile(cmd.Context(), s, args[0], o)
		},
	}
	runFlags(cmd, &o, &announce)
	return cmd
}

// runFlags are the flags of whatever runs phases.
func runFlags(cmd *cobra.Command, o *runOptions, announce *bool) {
	f := cmd.Flags()
	f.StringVar(&o.phase, "phase", "", "the phase to run")
	f.BoolVar(&o.all, "all", false, "run all phases, in order, until one does not pass")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the time line and what the gates could show, and run nothing")
	f.StringVar(&o.out, "out", "", "write every report and the record into this `DIR`")
	f.StringVar(&o.baseline, "baseline", "", "compare with this `RUN`, whatever the plan says: an id, a prefix of one, last, a file, or the URL of one")
	influxFlag(cmd, &o.influx)
	otlpFlag(cmd, &o.otlp)
	f.Int64Var(&o.seed, "seed", 0, "seed of everything random; by default (0) a new one, which is recorded")
	f.BoolVar(&o.quiet, "quiet", false, "print nothing but the verdict")
	f.BoolVar(announce, "announce", true, "show when disruptions come; false for a game day: they come at a moment drawn from the seed")
	varFlag(cmd, &o.vars)
}

// runFile runs phases of the plan in a file. What is wrong before there is a
// record is in the reports too.
func runFile(ctx context.Context, s *streams, path string, o runOptions) error {
	p, err := loadPlan(path, o.vars)
	if err != nil {
		return reportRefusal(s, o, err)
	}
	return runPlan(ctx, s, p, o)
}

// runPlan runs phases of a plan, keeps the record, judges and reports.
func runPlan(ctx context.Context, s *streams, p plan.Plan, o runOptions) error {
	phases, err := choosePhases(p, o.phase, o.all)
	if err != nil {
		return reportRefusal(s, o, err)
	}
	if p, err = calibrated(p, phases); err != nil {
		return reportRefusal(s, o, err)
	}
	if o.dryRun {
		if _, err := unannounced(p, phases, o); err != nil {
			return err
		}
		return dryRun(ctx, s.out, p, phases, o)
	}
	if err := makeOut(o.out); err != nil {
		return err
	}
	info := newRun(p, o.seed)
	o.seed = info.Seed
	played, err := unannounced(p, phases, o)
	if err != nil {
		return reportRefusal(s, o, err)
	}
	stream, err := newStreaming(ctx, s, p, info, o.influx)
	if err != nil {
		return reportRefusal(s, o, err)
	}
	defer stream.abandon()
	tell, err := newTelling(ctx, p, info, o.otlp)
	if err != nil {
		return reportRefusal(s, o, err)
	}
	defer tell.abandon()
	db, err := newRecord(ctx, p, info, phases, o.baseline)
	if err != nil {
		return reportRefusal(s, o, err)
	}
	defer showAlive(db.Path())()
	ctx, hurry, stop := interruptible(ctx)
	defer stop()
	live := newLive(s, p, phases, o)
	guard, err := newGuard(p, info, db.Path())
	if err != nil {
		return err
	}
	outside := adapters(p)
	if o.traffic != nil {
		outside.Traffic = o.traffic
	}
	conductor := &conduct.Conductor{
		Plan: played, Adapters: outside, Socket: socketOf(db.Path()), Recorder: recorder{db, stream, tell}, Listener: live, Hurry: hurry, ID: info.ID, Seed: info.Seed, Guard: guard,
		Logs: logsOf(db.Path()), Getenv: os.LookupEnv,
	}
	conductor.Extension = func(phase string, most time.Duration) (time.Duration, string, error) {
		return extension(db, phase, most)
	}
	runErr := runPhases(ctx, conductor, db, phases, live)
	live.Close()
	if !o.quiet {
		fmt.Fprintln(s.err) // the verdict stands by itself
	}
	return letGo(s, guard, conclude(s, db, stream, tell, info, o.out, runErr))
}

// unannounced gives the plan that is played: on a game day one in which the
// disruptions come when nobody expects them.
func unannounced(p plan.Plan, phases []string, o runOptions) (plan.Plan, error) {
	if !o.secret {
		return p, nil
	}
	p.Phases = slices.Clone(p.Phases)
	for i, phase := range p.Phases {
		if !slices.Contains(phases, phase.Name) {
			continue
		}
		var err error
		if p.Phases[i], err = p.Unannounced(phase, o.seed); err != nil {
			return p, &usageError{"--announce=false: " + err.Error()}
		}
	}
	return p, nil
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

// letGo ends the watchdog once everything is reported. It gives how the run
// ended.
func letGo(s *streams, guard *conduct.Guard, ended error) error {
	if err := guard.Close(); err != nil {
		fmt.Fprintln(s.err, err)
		var exit *exitError
		if errors.As(ended, &exit) {
			return &exitError{gates.Worst(exit.code, gates.ExitError)}
		}
	}
	return ended
}

// newGuard keeps the journal of a run beside its record.
func newGuard(p plan.Plan, info gates.Run, record string) (*conduct.Guard, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to watch over the run with: %w", err)
	}
	base := strings.TrimSuffix(record, store.Extension)
	return &conduct.Guard{
		Path: base + conduct.JournalExtension, Watchdog: []string{self, "watchdog"}, Logs: logsOf(record),
		Plan: p, ID: info.ID, Seed: info.Seed, Getenv: os.LookupEnv,
	}, nil
}

// makeOut makes the folder for reports before an hour of traffic is spent on
// one that can not be made.
func makeOut(out string) error {
	if out == "" {
		return nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return &usageError{fmt.Sprintf("--out: %v", err)}
	}
	return nil
}

// reportRefusal writes reports of a run that never began, so that a pipeline
// does not read those of the run before. It returns why, joined with what went
// wrong now.
func reportRefusal(s *streams, o runOptions, why error) error {
	if o.dryRun {
		return why
	}
	code := gates.ExitError
	if isUsage(why) {
		code = gates.ExitUsage
	}
	doc := report.NewDocument(gates.Run{}, nil, nil, code)
	lines := strings.Split(why.Error(), "\n")
	doc.Reason = strings.Join(lines[:min(len(lines), 10)], "; ")
	return errors.Join(why, writeReports(s, nil, o.out, doc))
}

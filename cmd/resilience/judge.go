package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/report"
	"resilience/internal/store"
)

func judgeCommand(s *streams) *cobra.Command {
	var planPath, format string
	var vars []string
	cmd := &cobra.Command{
		Use:   "judge RUN",
		Short: "Judge a run again from its record",
		Long: `judge computes the verdict again from the record alone, without traffic, and
ends with the same exit code. With --plan it judges by the gates of another
plan.`,
		Args: exactly(1, "a run: an id, a prefix of one, last, a file, or influx://HOST:8086/BUCKET?run=ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			doc, err := openDocument(cmd.Context(), args[0], planPath, vars)
			if err != nil {
				return err
			}
			if err := report.Write(s.out, format, doc, report.OptionsFor(s.out, os.Getenv)); err != nil {
				return err
			}
			return &exitError{doc.ExitCode}
		},
	}
	cmd.Flags().StringVar(&planPath, "plan", "", "judge by the gates of this `PLAN`")
	formatFlag(cmd, &format)
	varFlag(cmd, &vars)
	return cmd
}

// openDocument makes the report of a stored run.
func openDocument(ctx context.Context, ref, planPath string, vars []string) (doc report.Document, err error) {
	db, done, err := openRun(ctx, ref)
	if err != nil {
		return doc, err
	}
	defer func() { err = errors.Join(err, done()) }()
	var other *plan.Plan
	if planPath != "" {
		p, err := loadPlan(planPath, vars)
		if err != nil {
			return doc, err
		}
		other = &p
	}
	doc, err = document(db, other)
	if isInflux(ref) { // its file is gone in a moment
		doc.Record, doc.Reproduce = ref, "resilience judge "+shellQuote(ref)
	}
	if planPath != "" {
		doc.Reproduce += " --plan " + shellQuote(planPath)
	}
	return doc, err
}

// document judges every phase of a record that has begun and puts the report
// together. The gates are the record's own unless another plan is given.
func document(db *store.DB, other *plan.Plan) (report.Document, error) {
	end, err := readEnding(db)
	if err != nil {
		return report.Document{}, err
	}
	return documentOf(db, other, end)
}

// documentOf is document for a record of which somebody knows how its run ended.
func documentOf(db *store.DB, other *plan.Plan, end ending) (report.Document, error) {
	info, err := db.Run()
	if err != nil {
		return report.Document{}, err
	}
	phases, err := begun(db)
	if err != nil {
		return report.Document{}, err
	}
	var codes []int
	var verdicts []gates.Verdict
	for _, name := range phases {
		v, err := judgePhase(db, name, other)
		if err != nil {
			return report.Document{}, err
		}
		verdicts, codes = append(verdicts, v), append(codes, v.ExitCode())
	}
	end = end.lifted(verdicts)
	codes = append(codes, end.Codes...)
	if len(verdicts) == 0 && len(codes) == 0 {
		codes = append(codes, gates.ExitEvidence)
	}
	examples, err := db.Examples()
	if err != nil {
		return report.Document{}, err
	}
	doc := report.NewDocument(info, verdicts, examples, gates.Worst(codes...))
	switch {
	case end.Reason == "":
	case slices.Contains(end.Codes, gates.ExitInterrupted):
		doc.Reason += "; " + firstLine(end.Reason)
	default:
		doc.Reason = firstLine(end.Reason)
	}
	doc.Record, doc.Reproduce = db.Path(), "resilience judge "+whereabouts(db.Path(), info.ID)
	return doc, assess(&doc, db, other)
}

// whereabouts is what to call a record from here: by the run's id, or by its
// file where that is not among the records of this folder.
func whereabouts(path, id string) string {
	if path == filepath.Join(runsDir, id+store.Extension) {
		return id
	}
	return shellQuote(path)
}

// begun are the phases of the record that were run, in the plan's order.
func begun(db *store.DB) ([]string, error) {
	all, err := db.Phases()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	rec, err := db.Record(all[0])
	if err != nil {
		return nil, err
	}
	var phases []string
	for _, name := range all {
		for _, e := range rec.Events {
			if e.Kind == measure.EventPhase && e.Phase == name {
				phases = append(phases, name)
				break
			}
		}
	}
	return phases, nil
}

// judgePhase judges one phase of a record.
func judgePhase(db *store.DB, name string, other *plan.Plan) (gates.Verdict, error) {
	rec, err := db.Record(name)
	if err != nil {
		return gates.Verdict{}, err
	}
	list, err := db.Gates(name)
	if other != nil {
		list, err = gatesFrom(*other, name)
	}
	if err := errors.Join(err, addObjectives(&rec, db, other)); err != nil {
		return gates.Verdict{}, err
	}
	return gates.Judge(list, rec), nil
}

// extension decides from what was recorded of a phase whether it should go on.
func extension(db *store.DB, phase string, most time.Duration) (more time.Duration, why string, err error) {
	rec, err := db.Record(phase)
	if err != nil {
		return 0, "", err
	}
	list, err := db.Gates(phase)
	if err != nil {
		return 0, "", err
	}
	more, why = gates.Extension(list, rec, most)
	return more, why, nil
}

// gatesFrom are the gates that a plan has for a phase.
func gatesFrom(p plan.Plan, phase string) ([]gates.Gate, error) {
	p, err := calibrated(p, []string{phase})
	if err != nil {
		return nil, err
	}
	found := named(p, []string{phase})
	if len(found) == 0 {
		return nil, &usageError{fmt.Sprintf("--plan: the record has a phase %q, the plan has none of that name", phase)}
	}
	return found[0].Sentences(), nil
}

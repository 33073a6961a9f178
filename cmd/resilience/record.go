package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/store"
)

// newRun describes a run of a plan that starts now. A seed of 0 is replaced by
// a new one.
func newRun(p plan.Plan, seed int64) gates.Run {
	now := time.Now().UTC()
	random := rand.New(rand.NewPCG(uint64(now.UnixNano()), uint64(os.Getpid()))) //nolint:gosec // names only
	if seed == 0 {
		seed = 1 + random.Int64N(1<<31)
	}
	return gates.Run{
		ID: store.NewID(now, random), Plan: p.Name, Digest: plan.Digest(p), Seed: seed, Version: version(), Started: now,
	}
}

// newRecord makes the record of a run: what was asked for, before anything is
// done about it. Nothing is left behind when it can not be made.
func newRecord(p plan.Plan, info gates.Run, phases []string, baseline string) (*store.DB, error) {
	base, err := openBaseline(baseline, phases)
	if err != nil {
		return nil, err
	}
	if base != nil {
		defer base.Close()
	}
	db, err := store.Create(runsDir, info)
	if err != nil {
		return nil, err
	}
	err = errors.Join(savePlan(db, p, phases), saveBaseline(db, base, phases))
	if err != nil {
		return nil, errors.Join(err, db.Close(), os.Remove(db.Path()))
	}
	return db, nil
}

// savePlan keeps the plan and the gates of the phases.
func savePlan(db *store.DB, p plan.Plan, phases []string) error {
	resolved, err := plan.Resolved(p)
	if err != nil {
		return err
	}
	if err := db.SaveDocument(store.DocumentPlan, resolved); err != nil {
		return err
	}
	if err := saveFailureModes(db, p); err != nil {
		return err
	}
	for _, phase := range named(p, phases) {
		if err := db.SaveGates(phase.Name, gatesOf(phase)); err != nil {
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

// named are the phases of a plan with these names, in the plan's order.
func named(p plan.Plan, names []string) []plan.Phase {
	var out []plan.Phase
	for _, phase := range p.Phases {
		if slices.Contains(names, phase.Name) {
			out = append(out, phase)
		}
	}
	return out
}

// openBaseline opens the record to compare with, nil when none is asked for.
func openBaseline(ref string, phases []string) (*store.DB, error) {
	if ref == "" {
		return nil, nil
	}
	path, err := store.Find(runsDir, ref)
	if err != nil {
		return nil, &usageError{"--baseline: " + err.Error()}
	}
	db, err := store.Open(path)
	if err != nil {
		return nil, &usageError{"--baseline: " + err.Error()}
	}
	for _, phase := range phases {
		if _, err := db.Record(phase); err != nil {
			return nil, errors.Join(&usageError{"--baseline: " + err.Error()}, db.Close())
		}
	}
	return db, nil
}

// saveBaseline copies the baseline into the record, so that judging it again
// elsewhere gives the same answer.
func saveBaseline(db, base *store.DB, phases []string) error {
	if base == nil {
		return nil
	}
	for _, phase := range phases {
		rec, err := base.Record(phase)
		if err != nil {
			return err
		}
		if err := db.SaveBaseline(rec); err != nil {
			return err
		}
	}
	return warnOfBaseline(db, base, phases)
}

// warnOfBaseline tells the reader of the verdict when the baseline did not
// pass itself: to be as good as a bad run proves little.
func warnOfBaseline(db, base *store.DB, phases []string) error {
	doc, err := document(base, nil)
	if err != nil || doc.Outcome == gates.Pass {
		return err
	}
	var batch measure.Batch
	for i, phase := range phases {
		batch.Events = append(batch.Events, measure.Event{
			Source: "baseline", Seq: uint64(i), At: time.Now().UnixNano(), Kind: measure.EventWarning, Phase: phase, Name: "baseline",
			Attrs: map[string]string{"detail": fmt.Sprintf("the baseline %s did not pass itself (%s: %s)", doc.Run.ID, doc.Outcome, doc.Reason)},
		})
	}
	return db.Append(batch)
}

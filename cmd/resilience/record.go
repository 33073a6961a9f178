package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"resilience/gates"
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
func newRecord(ctx context.Context, p plan.Plan, info gates.Run, phases []string, baseline string) (*store.DB, error) {
	found, err := findBaselines(ctx, p, named(p, phases), baseline)
	defer found.close()
	if err != nil {
		return nil, err
	}
	db, err := store.Create(runsDir, info)
	if err != nil {
		return nil, err
	}
	err = errors.Join(savePlan(db, p, phases), found.save(db))
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
	if err := errors.Join(saveFailureModes(db, p), saveObjectives(db, p)); err != nil {
		return err
	}
	for _, phase := range named(p, phases) {
		if err := db.SaveGates(phase.Name, phase.Sentences()); err != nil {
			return err
		}
	}
	return nil
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

package main

import (
	"fmt"
	"slices"
	"strings"

	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/store"
)

// unlike says by what a record differs from a phase that is to be compared with
// it: its plan, or what it sent and disrupted; "" where it asked the same of the
// system, or does not tell.
func unlike(db *store.DB, p plan.Plan, phase plan.Phase) (string, error) {
	run, err := db.Run()
	if err != nil {
		return "", err
	}
	rec, err := db.Record(phase.Name)
	if err != nil {
		return "", err
	}
	traffic := ""
	for _, e := range rec.Events {
		if e.Kind == measure.EventPhase && e.Phase == phase.Name {
			traffic = e.Attrs["traffic"]
		}
	}
	var why []string
	if run.Plan != p.Name {
		why = append(why, "it is of the plan "+run.Plan)
	}
	if traffic != "" && traffic != plan.Traffic(phase, p.Dir) {
		why = append(why, otherTraffic(db, p, phase)...)
	}
	return strings.Join(why, "; "), nil
}

// otherTraffic says how the tests of a record differ from those of a phase.
func otherTraffic(db *store.DB, p plan.Plan, phase plan.Phase) (why []string) {
	unknown := []string{"its scripts, data, requests or disruptions were others"}
	text, err := db.Document(store.DocumentPlan)
	if err != nil {
		return unknown
	}
	old, err := plan.Parse(text, plan.Options{Recorded: true})
	found := named(old, []string{phase.Name})
	if err != nil || len(found) == 0 {
		return unknown
	}
	for _, test := range found[0].Tests {
		there := sends(old, test)
		i := slices.IndexFunc(phase.Tests, func(t plan.Test) bool { return t.Name == test.Name })
		if i < 0 {
			why = append(why, fmt.Sprintf("it had a test %s (%s)", test.Name, there))
		} else if here := sends(p, phase.Tests[i]); here != there {
			why = append(why, fmt.Sprintf("its test %s was %s; this one is %s", test.Name, there, here))
		}
	}
	for _, test := range phase.Tests {
		if !slices.ContainsFunc(found[0].Tests, func(t plan.Test) bool { return t.Name == test.Name }) {
			why = append(why, "it had no test "+test.Name)
		}
	}
	if len(why) == 0 {
		return unknown
	}
	return why
}

// sends says in a few words what a test sends.
func sends(p plan.Plan, test plan.Test) string {
	kind, _ := test.Kind()
	if test.Shadow != nil {
		_, traffic := replays(*test.Shadow, test)
		return kind + ", " + traffic
	}
	return kind + ", " + amount(shaped(p, test, ""))
}

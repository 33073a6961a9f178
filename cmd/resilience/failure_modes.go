package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"resilience/internal/plan"
	"resilience/internal/report"
	"resilience/internal/store"
)

// documentFailureModes is where a record keeps the failure modes of its plan.
const documentFailureModes = "failure-modes"

// failureModes are those of a plan, as a report wants them.
func failureModes(p plan.Plan) []report.FailureMode {
	var modes []report.FailureMode
	for _, m := range p.FailureModes {
		modes = append(modes, report.FailureMode{
			Name: m.Name, Effect: m.Effect, Severity: m.Severity, Likelihood: m.Likelihood, Detection: m.Detection, Disruptions: m.Disruption,
		})
	}
	return modes
}

// saveFailureModes keeps the failure modes of a plan, so that judging the
// record again assesses the same ones.
func saveFailureModes(db *store.DB, p plan.Plan) error {
	modes := failureModes(p)
	if len(modes) == 0 {
		return nil
	}
	text, err := json.Marshal(modes)
	if err != nil {
		return err
	}
	return db.SaveDocument(documentFailureModes, text)
}

// assess adds the failure modes of the record, or of another plan, to a report.
func assess(doc *report.Document, db *store.DB, other *plan.Plan) error {
	if other != nil {
		doc.Assess(failureModes(*other))
		return nil
	}
	text, err := db.Document(documentFailureModes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var modes []report.FailureMode
	if err := json.Unmarshal(text, &modes); err != nil {
		return fmt.Errorf("record %s: failure modes: %w", db.Path(), err)
	}
	doc.Assess(modes)
	return nil
}

// untestable names the failure modes that need a disruption which these phases
// do not have.
func untestable(w io.Writer, p plan.Plan, phases []plan.Phase) {
	var missing []string
	for _, m := range p.FailureModes {
		gone := func(name string) bool { return !inPhases(name, phases) }
		if len(m.Disruption) == 0 || slices.ContainsFunc(m.Disruption, gone) {
			missing = append(missing, m.Name)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(w, "failure modes that nothing here tests (%d of %d): %s\n", len(missing), len(p.FailureModes), strings.Join(missing, ", "))
	}
}

// inPhases reports whether a name or pattern of a failure mode means a
// disruption of these phases.
func inPhases(name string, phases []plan.Phase) bool {
	return slices.ContainsFunc(phases, func(phase plan.Phase) bool {
		return slices.ContainsFunc(phase.DisruptionNames(), func(other string) bool { return plan.Means(name, other) })
	})
}

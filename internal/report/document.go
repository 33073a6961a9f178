package report

import (
	"math"
	"slices"
	"strings"

	"resilience/gates"
	"resilience/internal/measure"
)

// SchemaName names the version of the JSON form of a [Document]. Fields may be
// added to a version; renaming, removing or changing the meaning of one makes
// a new version. See [Schema].
const SchemaName = "resilience/report/v1"

// Document is everything that a report may show.
type Document struct {
	Schema       string            `json:"schema"`
	Outcome      gates.Outcome     `json:"outcome"`        // of all phases together
	Cause        gates.Cause       `json:"cause,omitzero"` // why it is not a pass
	Reason       string            `json:"reason"`         // one sentence or two
	ExitCode     int               `json:"exit_code"`
	Run          gates.Run         `json:"run"`
	Phases       []gates.Verdict   `json:"phases"`                  // in the order in which they ran
	Examples     []measure.Example `json:"examples"`                // of failures, redacted
	FailureModes *FailureModes     `json:"failure_modes,omitempty"` // how the run covers those of the plan; see Assess
	Record       string            `json:"record,omitempty"`        // path of the record, for the reader
	Reproduce    string            `json:"reproduce,omitempty"`     // a command line that gives this document again
}

// NewDocument puts together what a report of the run shows. The exit code is
// the one that the program will end with. Nothing that was given is changed or
// kept; callers may set Record and Reproduce afterwards.
//
// A document never looks better than its parts: without a verdict, with a fault
// that may still be active, or with an exit code that says that the run did not
// come to its end, it is not a pass, and the exit code of what is not a pass is
// never 0.
func NewDocument(run gates.Run, verdicts []gates.Verdict, examples []measure.Example, exitCode int) Document {
	doc := Document{
		Schema:   SchemaName,
		ExitCode: exitCode,
		Run:      run,
		Phases:   make([]gates.Verdict, 0, len(verdicts)),
		Examples: append([]measure.Example{}, examples...),
	}
	if run.ID != "" {
		doc.Reproduce = "resilience judge " + run.ID
	}
	for _, v := range verdicts {
		doc.Phases = append(doc.Phases, encodable(v))
		if v.FaultActive {
			doc.ExitCode = gates.Worst(doc.ExitCode, gates.ExitFault)
		}
	}
	doc.decide()
	return doc
}

// decide fills in the outcome of all phases together.
func (d *Document) decide() {
	if len(d.Phases) == 0 {
		d.Outcome, d.Cause, d.Reason = gates.Inconclusive, gates.Evidence, "no phase was judged"
	} else {
		worst := slices.MaxFunc(d.Phases, func(a, b gates.Verdict) int { return weight(a) - weight(b) })
		d.Outcome, d.Cause, d.Reason = worst.Outcome, worst.Cause, d.reason(worst)
	}
	switch {
	case endedEarly(d.ExitCode):
		if d.Outcome == gates.Pass {
			d.Outcome = gates.Inconclusive
		}
		d.Reason = joinSentences(meaning(d.ExitCode), d.Reason)
	case d.ExitCode == gates.ExitPass && d.Outcome != gates.Pass:
		d.ExitCode = gates.Verdict{Outcome: d.Outcome, Cause: d.Cause}.ExitCode()
	case d.ExitCode != gates.ExitPass && d.Outcome == gates.Pass:
		d.Outcome, d.Cause = gates.Inconclusive, causeOf(d.ExitCode)
		d.Reason = joinSentences(meaning(d.ExitCode), d.Reason)
	}
}

// reason is that of the phase which decided, with its name where there are
// several phases.
func (d *Document) reason(worst gates.Verdict) string {
	reason := worst.Reason
	if reason == "" {
		reason = meaning(worst.ExitCode())
	}
	switch {
	case len(d.Phases) == 1:
		return reason
	case worst.Outcome == gates.Pass:
		return "all " + plural(uint64(len(d.Phases)), "phase") + " passed"
	}
	return worst.Phase + ": " + reason
}

// weight orders verdicts by what decides when there are several.
func weight(v gates.Verdict) int {
	switch {
	case v.Outcome == gates.Pass:
		return 0
	case v.Outcome == gates.Fail:
		return 10
	}
	return 1 + int(v.Cause) // evidence, disruption and generator in this order
}

// encodable copies a verdict so that it can be written as JSON: lists are
// never null, and numbers are numbers.
func encodable(v gates.Verdict) gates.Verdict {
	v.Checks = append([]gates.Check{}, v.Checks...)
	v.Traffic = append([]gates.Traffic{}, v.Traffic...)
	v.Disruptions = append([]gates.Disrupted{}, v.Disruptions...)
	v.Shadow = slices.Clone(v.Shadow)
	for i := range v.Shadow {
		r := &v.Shadow[i]
		r.LagP50, r.LagP99 = finiteOrZero(r.LagP50), finiteOrZero(r.LagP99)
		r.Withheld, r.Differences = append([]gates.Withheld{}, r.Withheld...), append([]gates.Difference{}, r.Differences...)
	}
	for i := range v.Checks {
		c := &v.Checks[i]
		c.Value, c.Limit = finiteOrNil(c.Value), finiteOrNil(c.Limit)
	}
	for i := range v.Traffic {
		t := &v.Traffic[i]
		for _, f := range []*float64{&t.Seconds, &t.P50, &t.P95, &t.P99, &t.Max} {
			*f = finiteOrZero(*f)
		}
	}
	for i := range v.Disruptions {
		v.Disruptions[i].Share = finiteOrZero(v.Disruptions[i].Share)
	}
	return v
}

func finiteOrNil(f *float64) *float64 {
	if f == nil || math.IsNaN(*f) || math.IsInf(*f, 0) {
		return nil
	}
	return f
}

func finiteOrZero(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

func joinSentences(a, b string) string {
	if b == "" {
		return a
	}
	if a = strings.TrimSuffix(a, "."); b == a || strings.HasPrefix(b, a+":") {
		return b // both say the same
	}
	return a + "; " + b
}

package gates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"resilience/internal/measure"
)

// verdict puts the checks of a phase together.
func (j *judge) verdict(checks []Check) Verdict {
	t := j.now.timeline
	v := Verdict{
		Phase: j.record.Phase, Checks: checks, Traffic: j.summary(), Disruptions: j.bitten,
		FaultActive: t.faultActive, Versions: t.versions, Shadow: t.replayed(), Scores: j.scores, Warnings: slices.Clone(t.warnings),
	}
	v.Baselines = j.baselineRuns()
	v.Objectives = j.budgets()
	if v.Model = j.model(); v.Model != nil && v.Model.Note != "" {
		v.Warnings = append(v.Warnings, v.Model.Note)
	}
	if text := j.now.brokenText(); text != "" {
		v.Warnings = append(v.Warnings, text)
	}
	if failed := failures(checks); len(failed) > 0 {
		v.Outcome, v.Cause, v.Reason = Fail, System, failReason(failed, critical(checks))
		return v
	}
	v.Cause, v.Reason = j.doubts(checks)
	switch {
	case v.Cause != None:
	case t.died != "": // no gate looked at what it did, but the system lost a part
		v.Outcome, v.Cause, v.Reason = Fail, System, t.died
	default:
		v.Outcome, v.Reason = Pass, passReason(critical(checks))
	}
	return v
}

func failures(checks []Check) (failed []Check) {
	for _, c := range checks {
		if c.Outcome == Fail && c.Decides() {
			failed = append(failed, c)
		}
	}
	return failed
}

func critical(checks []Check) (n int) {
	for _, c := range checks {
		if c.Decides() {
			n++
		}
	}
	return n
}

func failReason(failed []Check, of int) string {
	first := fmt.Sprintf("%q failed: %s", failed[0].Text, failed[0].Reason)
	if len(failed) == 1 {
		return first
	}
	return fmt.Sprintf("%d of %d gates failed; %s", len(failed), of, first)
}

func passReason(n int) string {
	if n == 1 {
		return "the one gate holds"
	}
	return fmt.Sprintf("all %d gates hold", n)
}

// doubts gives the weightiest reason why a verdict without a failed gate is
// not a pass; None when there is none.
func (j *judge) doubts(checks []Check) (Cause, string) {
	t := j.now.timeline
	if t.interrupted != "" { // first: the other reasons follow from it
		return Evidence, t.interrupted
	}
	if text := t.misidentified(); text != "" {
		return Evidence, text
	}
	if len(t.shortfalls) > 0 {
		return Generator, t.shortfalls[0].reason
	}
	for _, d := range j.bitten {
		if !d.Bit {
			return Disruption, fmt.Sprintf("the disruption %s did not bite: %s", d.Name, d.Reason)
		}
	}
	if text := t.cutShort(); text != "" {
		return Evidence, text
	}
	for _, cause := range []Cause{Generator, Disruption, Evidence, None} {
		for _, c := range checks {
			if c.Outcome == Inconclusive && c.Cause == cause && c.Decides() {
				return cmp.Or(cause, Evidence), fmt.Sprintf("%q is inconclusive: %s", c.Text, c.Reason)
			}
		}
	}
	switch {
	case j.now.err != nil:
		return Evidence, fmt.Sprintf("the record could not be read: %v", j.now.err)
	case len(checks) == 0:
		return Evidence, "the phase has no gates: nothing was asked"
	case critical(checks) == 0:
		return Evidence, "the phase has no critical gate: nothing decides"
	case j.now.brokenText() != "":
		return Evidence, j.now.brokenText()
	case j.now.attempts() == 0:
		return Evidence, "no attempt was made in this phase"
	}
	return None, ""
}

func (o *observer) attempts() (n uint64) {
	for key, s := range o.traffic {
		if key.arm == measure.Candidate {
			n += s.total().count
		}
	}
	return n
}

// total is what a test's attempts were, drops included.
func (s *stream) total() cell {
	var all cell
	all.merge(s.cells[s.attempts()])
	if lost := s.cells[drops]; lost != nil {
		all.count += lost.dropped
		all.failed += lost.dropped
		all.dropped += lost.dropped
	}
	all.failed = min(all.failed, all.count)
	return all
}

// summary gives what each test sent to each arm.
func (j *judge) summary() []Traffic {
	all := []Traffic{}
	for _, key := range j.now.streamKeys() {
		s, run := j.now.traffic[key], j.now.timeline.tests[key]
		t := Traffic{Test: key.test, Arm: key.arm}
		if run != nil {
			t.Kind = run.kind
			t.Complete = run.starts > 0 && run.ends >= run.starts && run.incomplete == ""
			t.Seconds = float64(max(0, run.end-run.start-(run.again-run.pause))) / 1e9
		}
		if s != nil {
			t.fill(s)
		}
		all = append(all, t)
	}
	return all
}

func (t *Traffic) fill(s *stream) {
	c := s.total()
	t.Attempts, t.Failed, t.Unfinished, t.Dropped, t.Max = c.count, c.failed, c.unfinished, c.dropped, c.max
	if again := s.cells[retries]; again != nil {
		t.Degraded = again.failed
	}
	t.P50, _ = c.sketch.Quantile(0.5)
	t.P95, _ = c.sketch.Quantile(0.95)
	t.P99, _ = c.sketch.Quantile(0.99)
	if t.Seconds == 0 {
		t.Seconds = float64(max(0, s.last-s.first)) / 1e9
	}
}

// streamKeys are the tests of which the record tells anything, in order.
func (o *observer) streamKeys() []testKey {
	keys := o.timeline.testKeys()
	for key := range o.traffic {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b testKey) int {
		return cmp.Or(strings.Compare(a.test, b.test), strings.Compare(b.arm, a.arm))
	})
	return keys
}

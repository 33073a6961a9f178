package gates

import (
	"cmp"
	"fmt"
	"slices"

	"resilience/internal/measure"
)

// side is one thing to compare with: the other arm of this record, or another
// record.
type side struct {
	of  *observer
	arm string
}

func (j *judge) sides() []side {
	if j.now.hasArm(measure.Baseline) {
		return []side{{j.now, measure.Baseline}}
	}
	sides := make([]side, len(j.before))
	for i, o := range j.before {
		sides[i] = side{o, measure.Candidate}
	}
	return sides
}

// baselineRuns are the other runs that gates compare with.
func (j *judge) baselineRuns() (all []BaselineRun) {
	for i, o := range j.before {
		c := BaselineRun{Run: j.record.Baselines[i].Run.ID}
		for _, v := range o.timeline.versions {
			if v.Arm == measure.Candidate && v.Before == v.After {
				c.Version = v.Before
			}
		}
		all = append(all, c)
	}
	return all
}

// firstRun is what a gate says that passes because there is nothing to compare
// with yet, and the plan says `first: record`.
const firstRun = "there is nothing to compare with yet: this run is recorded as the first baseline"

// baselineBound is the value of the baseline, changed as the gate says: of one
// other side with its interval, of several runs their median with their range.
// The run before would do as a baseline only until each release is a little
// worse than the one before it; a median of runs moves slowly, and its range
// tells how much runs of one system differ.
func (j *judge) baselineBound(v Value, c *job, each string, confidence float64) bound {
	sides := j.sides()
	if len(sides) == 0 {
		return bound{missing: "there is no baseline to compare with", first: j.now.timeline.first}
	}
	var known, missing []bound
	for _, s := range sides {
		if b := j.sideBound(s, v, c, each, confidence); b.missing != "" {
			missing = append(missing, b)
		} else {
			known = append(known, b)
		}
	}
	switch {
	case len(known) == 0:
		return missing[0]
	case len(sides) == 1:
		return known[0]
	}
	b := medianBound(known, c.row.Unit)
	if len(missing) > 0 {
		b.note += fmt.Sprintf("; %d of %d left out: %s", len(missing), len(sides), missing[0].missing)
	}
	return b
}

// medianBound is the median of several bounds, with their range.
func medianBound(all []bound, unit string) bound {
	slices.SortFunc(all, func(a, b bound) int { return cmp.Compare(a.value, b.value) })
	n := len(all)
	b := bound{value: (all[(n-1)/2].value + all[n/2].value) / 2, low: all[0].value, high: all[n-1].value}
	if n == 1 {
		b = all[0]
	}
	b.note = fmt.Sprintf("that is by the median of %d runs; by each of them %s", n, rangeText(all[0].value, all[n-1].value, unit))
	return b
}

// sideBound reads the baseline's value on one side.
func (j *judge) sideBound(s side, v Value, c *job, each string, confidence float64) bound {
	o, inst := s.of, c.inst
	if o != j.now {
		inst = o.timeline.instance(c.inst.period)
	}
	row, missing := rowOf(c.gate.SLI, c.gate, o.timeline)
	if missing = cmp.Or(j.distrust(o, s.arm, c), inst.missing, missing); missing != "" {
		return bound{missing: "in the baseline, " + missing}
	}
	acc := o.ask(c.gate.SLI, c.gate, inst, s.arm, wantsOf(row, c.gate.Stat))
	e := newEstimate(row, c.gate.Stat, o.reading(acc, each))
	b := e.bound("baseline", confidence)
	if gap := o.blind(acc, row); gap != "" && b.missing == "" {
		b.missing = "in the baseline, " + gap
	}
	if b.missing == "" && row.Unit != c.row.Unit {
		b.missing = "the baseline has another unit"
	}
	if b.missing != "" {
		return b
	}
	b.change(v)
	if c.row.Unit == UnitShare {
		b.value, b.low, b.high = clampShare(b.value), clampShare(b.low), clampShare(b.high)
	}
	wanted := max(enoughForBaseline, e.wanted(c.gate, b.value))
	if have, want := e.tooFew(wanted); have != "" {
		if o == j.now {
			b.lacks = e.lacks(wanted)
		}
		b.missing = fmt.Sprintf("the baseline has %s; comparing wants %s", have, want)
	}
	return b
}

// firstRun passes a gate that finds nothing to compare with where the plan says
// that the first run is to be recorded, once it has enough samples to be
// compared with.
func (e *estimate) firstRun(g Gate, check *Check) {
	if have, want := e.tooFew(max(enoughForBaseline, e.wanted(g, e.value))); have != "" {
		check.doubt(Evidence, "there is nothing to compare with yet, and %s can not be a baseline; %s can", have, want)
		return
	}
	check.Outcome = Pass
	check.warn("%s", firstRun)
}

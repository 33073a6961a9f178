package gates

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// instance is a gate's period in one record: which stretches it means there,
// or why it does not exist.
type instance struct {
	period  Period
	spans   spans
	missing string // why the period does not exist
	cause   Cause  // with missing
}

// expand gives the periods of a gate, one for each check: `during each` and
// `after each` have one for every disruption of the phase.
func (t *timeline) expand(p Period) []instance {
	one := map[PeriodKind]PeriodKind{DuringEach: During, AfterEach: After}[p.Kind]
	if one == "" {
		return []instance{t.instance(p)}
	}
	names := t.disruptionNames()
	if len(names) == 0 {
		return []instance{{period: p, missing: "there was no disruption in this phase", cause: Disruption}}
	}
	var all []instance
	for _, name := range names {
		all = append(all, t.instance(Period{Kind: one, Name: name}))
	}
	return all
}

// disruptionNames are those injected, by time, and then those skipped.
func (t *timeline) disruptionNames() []string {
	var names []string
	for _, in := range t.injections {
		if !slices.Contains(names, in.name) {
			names = append(names, in.name)
		}
	}
	var skipped []string
	for name := range t.skipped {
		if !slices.Contains(names, name) {
			skipped = append(skipped, name)
		}
	}
	slices.Sort(skipped)
	return append(names, skipped...)
}

func (t *timeline) instance(p Period) instance {
	switch p.Kind {
	case Overall:
		return instance{period: p, spans: always}
	case During, After:
		return t.disrupted(p)
	}
	return instance{period: Period{Kind: Steady}, spans: always.without(t.unsteady())}
}

// unsteady is every disruption with the time it takes to settle.
func (t *timeline) unsteady() spans {
	var all []span
	for _, in := range t.injections {
		to := in.to
		if to < math.MaxInt64-int64(in.settle) {
			to += int64(in.settle)
		}
		all = append(all, span{in.from, max(to, in.from+1)})
	}
	return union(all...)
}

func (t *timeline) disrupted(p Period) instance {
	var found, lifted bool
	var all []span
	for i, in := range t.injections {
		if !in.of(p.Name) {
			continue
		}
		found, lifted = true, lifted || in.lifted
		if p.Kind == During {
			all = append(all, span{in.from, in.to})
		} else if in.lifted {
			all = append(all, t.after(i))
		}
	}
	inst := instance{period: p, spans: union(all...), cause: Disruption}
	switch {
	case !found && t.skippedOf[p.Name] != "":
		inst.missing = fmt.Sprintf("every part of the sweep %s was skipped: %s", p.Name, t.skippedOf[p.Name])
	case !found && t.wasSkipped(p.Name):
		inst.missing = fmt.Sprintf("the disruption %s was skipped: %s", p.Name, cmp.Or(t.skipped[p.Name], "no reason was given"))
	case !found:
		inst.missing = fmt.Sprintf("no disruption named %s took effect%s", p.Name, didYouMean(p.Name, append(t.disruptionNames(), t.sweepNames()...)))
	case p.Kind == After && !lifted:
		inst.missing = fmt.Sprintf("the disruption %s was never lifted", p.Name)
	}
	return inst
}

// sweepNames are the disruptions of which others are parts.
func (t *timeline) sweepNames() (names []string) {
	for _, in := range t.injections {
		if in.sweep != "" && !slices.Contains(names, in.sweep) {
			names = append(names, in.sweep)
		}
	}
	return names
}

// of reports whether the injection belongs to the disruption of a name: it has
// the name, or is a part of that sweep.
func (in injection) of(name string) bool { return in.name == name || in.sweep == name && name != "" }

func (t *timeline) wasSkipped(name string) bool {
	_, ok := t.skipped[name]
	return ok
}

// after is the stretch from lifting the i-th injection to the next one of any
// disruption, or to the end.
func (t *timeline) after(i int) span {
	s := span{t.injections[i].to, math.MaxInt64}
	for _, other := range t.injections {
		if other.from >= s.from && other.from < s.to {
			s.to = other.from
		}
	}
	return s
}

// within names another disruption that was in effect at any time of the i-th
// injection, "" when there is none.
func (t *timeline) within(i int) string {
	in := t.injections[i]
	for _, other := range t.injections {
		if !in.of(other.name) && !other.of(in.name) && other.from < in.to && other.to > in.from {
			return other.name
		}
	}
	return ""
}

// overlapping names a disruption that was still in effect when the i-th
// injection was lifted, "" when there is none.
func (t *timeline) overlapping(i int) string {
	at := t.injections[i].to
	for j, other := range t.injections {
		if j != i && other.from < at && other.to > at {
			return other.name
		}
	}
	return ""
}

package plan

import (
	"cmp"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"
)

// Slot is one planned injection of a disruption. Its times count from the
// start of the phase and are the earliest ones.
type Slot struct {
	Disruption Disruption    // what is injected, under its own name: NAME.INSTANCE in a sweep
	Sweep      string        // the disruption of the plan that it is an instance of; "" when it is none
	From, To   time.Duration // in effect
	Late       time.Duration // how much later that may be: what may be drawn here and before
	More       bool          // others follow, one for each instance that only the run can find
}

// Timetable gives the injections of a phase in the order of their times. What
// comes after a disruption is placed as if that one were lifted when planned.
func (p Plan) Timetable(phase Phase) []Slot {
	t := timetable{plan: p, phase: phase, ends: map[string]moment{}}
	for _, d := range phase.Disruptions {
		t.place(d)
	}
	slices.SortStableFunc(t.slots, func(a, b Slot) int { return cmp.Compare(a.From, b.From) })
	return t.slots
}

// moment is the earliest time of something, and how much later it may be.
type moment struct{ at, late time.Duration }

// timetable is a list of slots while it is made.
type timetable struct {
	plan  Plan
	phase Phase
	ends  map[string]moment // when each disruption is lifted for the last time
	slots []Slot
}

// place puts in a disruption, and before it the one that it comes after. One
// that comes after itself is placed as if it did not.
func (t *timetable) place(d Disruption) {
	if _, placed := t.ends[d.Name]; placed {
		return
	}
	from := moment{at: t.phase.WarmupEnd()}
	t.ends[d.Name] = from
	if i := t.phase.disruption(d.After); i >= 0 {
		t.place(t.phase.Disruptions[i])
		from = t.ends[d.After]
	}
	from.at += time.Duration(d.At)
	if d.Sweep {
		t.ends[d.Name] = t.sweep(d, from)
		return
	}
	from.late += time.Duration(d.Spread)
	end := from
	for n := range d.Times() {
		start := from.at + time.Duration(n)*d.every()
		end.at = start + time.Duration(d.For)
		t.slots = append(t.slots, Slot{Disruption: d, From: start, To: end.at, Late: from.late})
	}
	t.ends[d.Name] = end
}

// sweep puts in one instance after the other, each when the one before has
// settled.
func (t *timetable) sweep(d Disruption, from moment) (end moment) {
	each, more := t.plan.Instances(d)
	for _, one := range each {
		from.late += time.Duration(d.Spread)
		end = moment{from.at + time.Duration(d.For), from.late}
		t.slots = append(t.slots, Slot{Disruption: one, Sweep: d.Name, From: from.at, To: end.at, Late: from.late, More: more})
		from.at = end.at + d.settle()
	}
	return end
}

func (p Phase) disruption(name string) int {
	return slices.IndexFunc(p.Disruptions, func(d Disruption) bool { return d.Name == name && name != "" })
}

// Times is how often the disruption is injected, on each instance of a sweep.
func (d Disruption) Times() int {
	if d.Repeat == nil {
		return 1
	}
	return max(1, d.Repeat.Times)
}

func (d Disruption) every() time.Duration {
	if d.Repeat == nil {
		return 0
	}
	return time.Duration(d.Repeat.Every)
}

func (d Disruption) settle() time.Duration {
	if d.Settle == nil {
		return time.Duration(defaultSettle)
	}
	return time.Duration(*d.Settle)
}

// Instances gives one disruption for each thing that a sweep goes through, by
// name: NAME.INSTANCE acts on that one alone. Where only the run can find them
// (pods, containers) it gives the sweep itself and says that there are more.
// A disruption that is no sweep is its own only instance.
func (p Plan) Instances(d Disruption) (each []Disruption, more bool) {
	if !d.Sweep {
		return []Disruption{d}, false
	}
	kind, _ := d.On()
	switch kind {
	case OnDependency:
		for _, name := range matching([]string{d.Dependency}, slices.Collect(maps.Keys(p.Dependencies))) {
			one := d.instance(name, 2)
			one.Dependency = name
			each = append(each, one)
		}
	case OnServices:
		names := matching(d.Services, slices.Collect(maps.Keys(p.Services)))
		for _, name := range names {
			one := d.instance(name, len(names))
			one.Services = Names{name}
			each = append(each, one)
		}
	default:
		return []Disruption{d}, true
	}
	return each, false
}

// Instance gives the part of a sweep that acts on one of the instances that
// the run found: a pod or a container.
func (d Disruption) Instance(name string, of int) Disruption {
	one := d.instance(name, of)
	switch {
	case d.Kubernetes != nil:
		on := *d.Kubernetes
		on.Pods = []string{name}
		one.Kubernetes = &on
	case d.Container != nil:
		one.Container = &Container{Name: name, Engine: d.Container.Engine}
	}
	return one
}

// instance is a part of a sweep without what it acts on. One of several may
// be acted on by itself; the only one there is takes at_most: all, as always.
func (d Disruption) instance(name string, of int) Disruption {
	one := d
	one.Name, one.Sweep, one.After, one.Repeat = d.Name+"."+name, false, "", nil
	if of > 1 {
		one.AtMost = &Amount{Share: 1}
	}
	return one
}

// matching gives the names that any of the patterns matches, sorted.
func matching(patterns, names []string) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, name := range names {
			fits := func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }
			if slices.ContainsFunc(patterns, fits) && !yield(name) {
				return
			}
		}
	})
}

// Moment is how long after its origin (the end of warm-up, or the lifting of
// what it comes after) the n-th injection of the disruption begins, counted
// from 0: at, what repetition adds, and a part of spread that is drawn from
// the seed. It is the same whenever seed, name and n are.
func (d Disruption) Moment(seed int64, n int) time.Duration {
	return time.Duration(d.At) + time.Duration(n)*d.every() + d.Drawn(seed, n)
}

// Drawn is the part of spread that the n-th injection begins later: 0 to
// spread, each equally likely.
func (d Disruption) Drawn(seed int64, n int) time.Duration {
	if d.Spread <= 0 {
		return 0
	}
	return time.Duration(draw(seed, d.Name, n).Int64N(int64(d.Spread) + 1))
}

// draw is a source of chance for one injection of one name.
func draw(seed int64, name string, n int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(uint64(seed), h.Sum64()+uint64(n)<<32)) //nolint:gosec // repeatable on purpose
}

// Overlaps names the pairs of disruptions of a phase that may be in effect at
// the same time, or of which one may begin before the other has settled.
func (p Plan) Overlaps(phase Phase) (pairs [][2]string) {
	slots := p.Timetable(phase)
	for i, a := range slots {
		for _, b := range slots[i+1:] {
			pair := [2]string{a.Disruption.Name, b.Disruption.Name}
			together := b.From < a.To+a.Late && a.From < b.To+b.Late
			if together && pair[0] != pair[1] && !slices.Contains(pairs, pair) && !phase.sequence(a, b) {
				pairs = append(pairs, pair)
			}
		}
	}
	return pairs
}

// sequence reports whether one of two slots waits for the other to be lifted,
// so that they never meet whatever is drawn.
func (p Phase) sequence(a, b Slot) bool {
	ofA, ofB := cmp.Or(a.Sweep, a.Disruption.Name), cmp.Or(b.Sweep, b.Disruption.Name)
	return ofA == ofB || p.follows(ofA, ofB) || p.follows(ofB, ofA)
}

// follows reports whether a disruption comes after another, by however many
// steps.
func (p Phase) follows(name, other string) bool {
	for range p.Disruptions {
		i := p.disruption(name)
		if i < 0 {
			return false
		}
		if name = p.Disruptions[i].After; name == other {
			return true
		}
	}
	return false
}

// isPattern reports whether a name stands for others.
func isPattern(name string) bool { return strings.ContainsAny(name, `*?[\`) }

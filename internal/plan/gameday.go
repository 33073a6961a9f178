package plan

import (
	"fmt"
	"slices"
	"time"
)

// Unannounced gives a phase in which nobody can know from the plan when its
// disruptions come: each that has no spread of its own, and comes after none,
// begins later by a time drawn from the seed, so that all of them still end,
// and settle, before the tests do. What the plan puts one after the other
// stays in that order, with no less time between.
//
// It is an error when only a script knows how long the tests last, or when
// there is no time to draw from.
func (p Plan) Unannounced(phase Phase, seed int64) (Phase, error) {
	if len(phase.Disruptions) == 0 {
		return phase, nil
	}
	left, err := p.left(phase)
	if err != nil {
		return phase, err
	}
	var movable []int // by their times
	for i, d := range phase.Disruptions {
		if d.Spread == 0 && d.After == "" {
			movable = append(movable, i)
		}
	}
	slices.SortStableFunc(movable, func(a, b int) int { return int(phase.Disruptions[a].At - phase.Disruptions[b].At) })
	later := make([]Duration, len(movable))
	for n, i := range movable {
		later[n] = Duration(draw(seed, phase.Disruptions[i].Name, 0).Int64N(int64(left) + 1))
	}
	slices.Sort(later) // what comes later in the plan is moved by no less
	phase.Disruptions = slices.Clone(phase.Disruptions)
	for n, i := range movable {
		phase.Disruptions[i].At += later[n]
	}
	return phase, nil
}

// left is how much later everything could be and still end in time.
func (p Plan) left(phase Phase) (time.Duration, error) {
	if phase.Length() == 0 {
		return 0, fmt.Errorf("phase %s: only its scripts know how long the tests last, so that no time can be drawn: give them a duration", phase.Name)
	}
	left := phase.Length()
	drawn := true // by every disruption for itself
	for _, s := range p.Timetable(phase) {
		left = min(left, phase.Length()-s.To-s.Late-s.Disruption.settle())
		drawn = drawn && s.Disruption.Spread > 0
	}
	if left <= 0 && !drawn {
		return 0, fmt.Errorf("phase %s: its disruptions take all the time there is, so that no other can be drawn: let a test run longer", phase.Name)
	}
	return max(0, left), nil
}

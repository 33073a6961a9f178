package gates

import (
	"cmp"
	"math"
	"slices"
)

// Part is a part of a model of availability, or the whole of it: a reliability
// block diagram (IEC 61078). Just one of the five is set. Parts fail
// independently of one another, but for what Parallel says.
type Part struct {
	Name        string    `json:"name,omitempty"`        // for readers; default what is measured
	Promised    *float64  `json:"promised,omitempty"`    // availability, 0 to 1, that somebody promises
	Dependency  string    `json:"dependency,omitempty"`  // availability is measured at its proxy
	Transaction string    `json:"transaction,omitempty"` // availability is measured: a transaction, step or route
	Series      []Part    `json:"series,omitempty"`      // all are needed
	Parallel    *Parallel `json:"parallel,omitempty"`    // some are enough
}

// Parallel is parts of which some may fail.
type Parallel struct {
	Need   int     `json:"need"`             // how many of them must work, 1 to all
	Of     []Part  `json:"of"`               // the parts
	Copies int     `json:"copies,omitempty"` // how many there are of the only part; 0 for one of each
	Common float64 `json:"common,omitempty"` // share of failures that hit all at once, 0 to 1
}

// Title is what a part without parts is called.
func (p Part) Title() string { return cmp.Or(p.Name, p.Dependency, p.Transaction) }

// Leaves are the parts that have no parts themselves, in the order of the model.
func (p Part) Leaves() []Part {
	parts := p.Series
	if p.Parallel != nil {
		parts = p.Parallel.Of
	}
	if len(parts) == 0 {
		return []Part{p}
	}
	var all []Part
	for _, part := range parts {
		all = append(all, part.Leaves()...)
	}
	return all
}

// Compose gives the availability of the whole from that of its leaves, in the
// order of [Part.Leaves], each 0 to 1: in series the product; of parallel parts
// the probability that enough work. NaN where one is.
func (p Part) Compose(leaves []float64) float64 {
	whole, _ := p.compose(leaves)
	return whole
}

// compose gives the leaves that are left, too.
func (p Part) compose(leaves []float64) (float64, []float64) {
	parts := p.Series
	if p.Parallel != nil {
		parts = p.Parallel.Of
	}
	if len(parts) == 0 {
		return leaves[0], leaves[1:]
	}
	work := make([]float64, len(parts))
	for i, part := range parts {
		work[i], leaves = part.compose(leaves)
	}
	if p.Parallel != nil {
		return p.Parallel.of(work), leaves
	}
	product := 1.0
	for _, a := range work {
		product *= a
	}
	return product, leaves
}

// of gives the probability that enough of the parts work.
//
// Common causes are the beta factor (Fleming, 1975; IEC 61508-6, annex D): a
// part that fails with the probability q does so by itself with (1-beta) q, and
// all together fail with beta q. Where parts differ, q is that of the best one
// for what they have in common: they can not fail together more often than it
// fails.
func (p Parallel) of(work []float64) float64 {
	if p.Copies > 0 {
		work = slices.Repeat(work[:1], p.Copies)
	}
	alone := make([]float64, len(work))
	for i, a := range work {
		alone[i] = 1 - (1-p.Common)*(1-a)
	}
	together := p.Common * (1 - slices.Max(work))
	return (1 - together) * atLeastOf(p.Need, alone)
}

// atLeastOf gives the probability that k or more work of parts that need not be
// alike: the distribution of how many do (Poisson binomial) is built up part by
// part.
func atLeastOf(k int, work []float64) float64 {
	exactly := make([]float64, len(work)+1) // how likely so many work, of those looked at
	exactly[0] = 1
	for seen, a := range work {
		for n := seen + 1; n > 0; n-- {
			exactly[n] = exactly[n]*(1-a) + exactly[n-1]*a
		}
		exactly[0] *= 1 - a
	}
	sum := 0.0
	for _, p := range exactly[min(max(0, k), len(exactly)):] {
		sum += p
	}
	return min(sum, 1)
}

// Importance is how much a part matters to the whole.
type Importance struct {
	Birnbaum float64 // how much less available the whole is without it than with it (Birnbaum, 1969)
	Gain     float64 // how much more available the whole would be if it never failed
}

// Importances gives that of each leaf, all of its copies together.
func (p Part) Importances(leaves []float64) []Importance {
	whole := p.Compose(leaves)
	all := make([]Importance, len(leaves))
	for i := range leaves {
		with := func(a float64) float64 {
			changed := slices.Clone(leaves)
			changed[i] = a
			return p.Compose(changed)
		}
		all[i] = Importance{Birnbaum: with(1) - with(0), Gain: max(0, with(1)-whole)}
	}
	return all
}

// Weakest is the index of the leaf whose perfection would help the whole most,
// the first of several; -1 when none would.
func Weakest(all []Importance) int {
	weakest, most := -1, 0.0
	for i, one := range all {
		if one.Gain > most*(1+1e-9) && !math.IsNaN(one.Gain) {
			weakest, most = i, one.Gain
		}
	}
	return weakest
}

package disrupt

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"resilience/internal/plan"
)

// choose picks the instances of a group that a disruption acts on: no more than
// at_most allows, and never all unless the plan says so. From the same seed,
// name and group it picks the same ones; of a larger amount it picks those of a
// smaller one, too. Unit is what the instances are, such as pods. The result is
// sorted.
func choose(d plan.Disruption, group []string, unit string, seed int64) ([]string, error) {
	n := len(group)
	if n == 0 {
		return nil, plan.Misfitf("disruption %q: no %s are selected: check the selection and whether they run", d.Name, unit)
	}
	allowed := n - 1
	if d.AtMost != nil {
		allowed = d.AtMost.Of(n)
	}
	switch {
	case allowed == 0:
		return nil, plan.Misfitf("disruption %q: would act on the only one of the %s (%s): say at_most: all if that is meant", d.Name, unit, group[0])
	case allowed == n && d.AtMost != nil && d.AtMost.Share != 1 && n > 1:
		return nil, plan.Misfitf("disruption %q: at_most %s would act on all %d %s: make it less, or say at_most: all if that is meant", d.Name, d.AtMost, n, unit)
	}
	sorted := slices.Sorted(slices.Values(group))
	random := rand.New(rand.NewPCG(uint64(seed), nameSeed(d.Name))) //nolint:gosec // repeatable on purpose
	random.Shuffle(n, func(i, j int) { sorted[i], sorted[j] = sorted[j], sorted[i] })
	chosen := sorted[:cmp.Or(allowed, n)]
	slices.Sort(chosen)
	return chosen, nil
}

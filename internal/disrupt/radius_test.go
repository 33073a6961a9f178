package disrupt

import (
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

func TestChoose(t *testing.T) {
	group := []string{"c", "a", "d", "b"}
	all := &plan.Amount{Share: 1}
	for _, test := range []struct {
		name  string
		most  *plan.Amount
		group []string
		want  int
		err   string
	}{
		{name: "all but one", group: group, want: 3},
		{name: "number", most: &plan.Amount{Number: 2}, group: group, want: 2},
		{name: "percentage, rounded down", most: &plan.Amount{Share: 0.7}, group: group, want: 2},
		{name: "percentage of less than one", most: &plan.Amount{Share: 0.1}, group: group, want: 1},
		{name: "all", most: all, group: group, want: 4},
		{name: "all of one", most: all, group: []string{"a"}, want: 1},
		{name: "one of one by number", most: &plan.Amount{Number: 1}, group: []string{"a"}, want: 1},
		{name: "none", err: `disruption "d": no pods are selected: check the selection and whether they run`},
		{name: "the only one", group: []string{"a"}, err: `disruption "d": would act on the only one of the pods (a): say at_most: all if that is meant`},
		{
			name: "all by number", most: &plan.Amount{Number: 9}, group: group,
			err: `disruption "d": at_most 9 would act on all 4 pods: make it less, or say at_most: all if that is meant`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := choose(plan.Disruption{Name: "d", AtMost: test.most}, test.group, "pods", 1)
			if test.err != "" {
				require.EqualError(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Len(t, got, test.want)
			require.IsIncreasing(t, append([]string{""}, got...))
			again, err := choose(plan.Disruption{Name: "d", AtMost: test.most}, test.group, "pods", 1)
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
	require.Equal(t, []string{"c", "a", "d", "b"}, group, "left as it was")
}

func TestChooseFollowsTheSeed(t *testing.T) {
	one := plan.Disruption{Name: "d", AtMost: &plan.Amount{Number: 1}}
	seen := map[string]bool{}
	for seed := range int64(50) {
		got, err := choose(one, []string{"a", "b", "c"}, "pods", seed)
		require.NoError(t, err)
		seen[got[0]] = true
	}
	require.Len(t, seen, 3)
}

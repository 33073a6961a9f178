package disrupt

import (
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// TestNarrowedPods wants a disruption of named pods to reach those alone.
func TestNarrowedPods(t *testing.T) {
	group := []string{"shop-a", "shop-b", "shop-c"}
	o := onCluster{api: &cluster{namespace: "shop"}}
	got, err := o.narrowed(group)
	require.NoError(t, err)
	require.Equal(t, group, got)

	o.on = plan.Kubernetes{Pods: []string{"shop-b", "gone"}}
	got, err = o.narrowed(group)
	require.NoError(t, err)
	require.Equal(t, []string{"shop-b"}, got)
	require.Len(t, group, 3, "the group itself is left alone")

	o.on = plan.Kubernetes{Pods: []string{"gone"}}
	_, err = o.narrowed(group)
	require.ErrorContains(t, err, "none of the pods [gone] is among those that are selected and ready in namespace shop: [shop-a shop-b shop-c]")
}

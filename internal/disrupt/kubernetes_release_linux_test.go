package disrupt

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"resilience/internal/plan"
)

// idling is a real agent of a pod that runs in this process.
type idling struct {
	ended chan error
	link  net.Conn // to its standard input and output
}

func newIdling(t *testing.T, name string) *idling {
	t.Helper()
	here, there := net.Pipe()
	i := &idling{ended: make(chan error, 1), link: here}
	ctx, cancel := context.WithCancel(t.Context())
	var over sync.WaitGroup
	over.Go(func() { i.ended <- Agent{Name: name, Address: "127.0.0.1", Idle: time.Hour}.Run(ctx, there, there) })
	t.Cleanup(func() {
		cancel()
		_, _ = here.Close(), there.Close()
		over.Wait()
	})
	return i
}

func (i *idling) open(context.Context) (io.ReadWriteCloser, error) { return i.link, nil }

func (i *idling) requireEnded(t *testing.T) {
	t.Helper()
	select {
	case err := <-i.ended:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the agent is still there")
	}
}

// Agents that nobody needed end at once when they are released, one of which
// was being attached when preparing was broken off.
func TestAgentsThatNobodyNeededAreReleased(t *testing.T) {
	if _, err := ownTables(tablePrefix); err != nil {
		t.Skipf("an agent can not look after its rules here: %v", err)
	}
	pods := map[string]*corev1.Pod{"a": fakePod("a", true), "b": fakePod("b", true), "c": fakePod("c", true)}
	pods["a"].UID, pods["b"].UID, pods["c"].UID = "1", "2", "3"
	container := agentPrefix + shortRun("run") + "-1"
	pods["b"].Spec.EphemeralContainers = []corev1.EphemeralContainer{
		{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: container}},
		{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "resilience-other-1"}}, // of another run
	}
	o, _ := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{Image: "x"}}, pods["a"], pods["b"], pods["c"])
	o.site.Run = "run"
	made, err := newAgents(o)
	require.NoError(t, err)
	a := made.(*agents)
	require.NoError(t, a.Release(t.Context()), "there is nothing yet")

	known, unknown := newIdling(t, "known"), newIdling(t, "unknown")
	a.reach = func(api *cluster, pod podState, name string, port int) *attached {
		require.Equal(t, container, name)
		return &attached{api: api, pod: pod, container: name, port: port, link: &link{open: unknown.open}}
	}
	for _, pod := range pods { // that of c never started
		a.tried[string(pod.UID)] = stateOf(*pod)
	}
	a.ready["1"] = &attached{api: a.api, pod: stateOf(*pods["a"]), container: container, link: &link{open: known.open}}
	require.NoError(t, a.Release(t.Context()))
	known.requireEnded(t)
	unknown.requireEnded(t)
	require.Empty(t, a.tried)
	require.Empty(t, a.ready)
	require.NoError(t, a.Release(t.Context()), "nothing is left")
}

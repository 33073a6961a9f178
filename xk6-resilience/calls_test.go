package xk6resilience

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"resilience/internal/plan"
)

// A script says grpc.StatusInternal, which k6 makes of a type of Go.
func TestStatusCodeOfK6(t *testing.T) {
	c := newCluster()
	v := newVU(t, c, aStream())
	require.NoError(t, v.VU.Runtime().Set("StatusInternal", codes.Internal))
	require.NoError(t, v.run(t, newPods+`await d.injectGrpcFaults({errorRate: 0.5, statusCode: StatusInternal}, '10ms')`))
	require.Equal(t, &plan.Error{GRPC: "INTERNAL"}, c.of(t, "pods-grpc-1").Error)
}

// A fault with a delay and errors is two disruptions. A plan that promises both
// gets both.
func TestEveryPartIsInjected(t *testing.T) {
	stream := aStream()
	stream.Test.Load.Injects = plan.Names{"shaky", "shaky.error", "other"}
	v := newVU(t, newCluster(), stream)
	require.NoError(t, v.run(t, newPods+`await d.injectHTTPFaults({averageDelay: '1s', errorRate: 0.5, errorCode: 500}, '10ms', {name: 'shaky'})`))
	v.session.mu.Lock()
	v.session.unkept()
	v.session.mu.Unlock()
	require.Equal(t, []string{"disruption shaky", "disruption shaky.error", "lifted shaky", "lifted shaky.error", "skipped other"}, v.events())
}

package traffic

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const calling = `
import grpc from 'k6/net/grpc';
const client = new grpc.Client();
export default async function () {
  client.connect(__ENV.GRPC, { plaintext: true, reflect: true });
  const answer = await client.asyncInvoke('grpc.health.v1.Health/Check', { service: 'fine' });
  if (answer.message.status !== 'SERVING') throw new Error('not the answer');
  new grpc.Stream(client, 'grpc.health.v1.Health/Watch', { tags: { name: 'watch' } }).end();
  client.invoke('/grpc.health.v1.Health/Check', { service: 'down' }, { tags: { name: 'down' } });
  client.invoke('grpc.health.v1.Health/Check', { service: 'hang' }, { timeout: '1s', tags: { name: 'hang' } });
  client.close();
}`

// healthServer answers by the name of the service.
type healthServer struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (healthServer) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	switch r.GetService() {
	case "down":
		return nil, status.Error(codes.Unavailable, "down for a test")
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

// health starts a server of the health service.
func health(t *testing.T) (addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, healthServer{})
	reflection.Register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func TestK6GRPC(t *testing.T) {
	addr := health(t)
	s := scriptTo(t, "http://"+addr, calling, plan.Profile{VUs: 2, Duration: seconds(1), Grace: seconds(20)})
	s.Env = map[string]string{"GRPC": addr}
	out := runScript(t, s)

	require.Equal(t, "true", out.end(t)["complete"], out.end(t)["reason"])
	require.Empty(t, out.examples("exception"))
	n := out.sum(measure.MetricIteration, nil).Count
	require.Positive(t, n)
	all := out.sum(measure.MetricRequest, nil)
	watched := out.sum(measure.MetricRequest, onStep("watch")).Count
	require.Equal(t, 3*n, all.Count-watched, "the reflection is no request of the script")
	require.Equal(t, 2*n, all.Failed-out.sum(measure.MetricRequest, onStep("watch")).Failed)
	fine := out.sum(measure.MetricRequest, withStatus("grpc OK"))
	require.Equal(t, n, fine.Count)
	require.Equal(t, n, out.sum(measure.MetricRequest, onStep("/grpc.health.v1.Health/Check")).Count)
	down := out.sum(measure.MetricRequest, onStep("down"))
	require.Equal(t, n, down.Failed)
	require.NotEmpty(t, out.examples("grpc Unavailable"))
	hang := out.sum(measure.MetricRequest, onStep("hang"))
	require.Equal(t, n, hang.Failed)
	require.GreaterOrEqual(t, hang.Min, 100.0) // the timeout of 1 s counts from before the connection
}

const callingOnce = `
import grpc from 'k6/net/grpc';
const client = new grpc.Client();
const ask = (service, params) => {
  client.connect(__ENV.GRPC, { plaintext: true, reflect: true });
  client.invoke('grpc.health.v1.Health/Check', { service }, params);
  client.close();
};
export function fine() { ask('fine', { tags: { name: 'fine' } }); }
export function down() { ask('down'); }
export function hang() { ask('hang'); }
export function hangShorter() { ask('hang', { timeout: '100ms' }); }
export function hangLonger() { ask('hang', { timeout: '1h' }); }
`

func TestProberGRPC(t *testing.T) {
	addr := health(t)
	s := canaryTo(t, "http://"+addr, callingOnce)
	s.Env = map[string]string{"GRPC": addr}
	c := canary(t, s, 2, "fine", "down", "hang", "hangShorter", "hangLonger")
	for name, want := range map[string]struct {
		found   measure.Finding
		message string
	}{
		"fine": {found: measure.Accepted}, "down": {message: "grpc Unavailable"}, "hangShorter": {message: "grpc DeadlineExceeded"},
	} {
		a := c.try(measure.Probe{Transaction: name})
		require.Equal(t, want.found, a.Found, "%s: %s", name, a.Message)
		require.Equal(t, want.message, a.Message, name)
	}
	for _, name := range []string{"hang", "hangLonger"} { // at the same time
		c.ask(measure.Probe{Transaction: name, Timeout: 5 * time.Second})
	}
	for range 2 {
		a := c.answer().Attempt
		require.Equal(t, measure.CutOff, a.Found, a.Message)
		require.Equal(t, "no answer after 5s: /grpc.health.v1.Health/Check", a.Message)
	}
}

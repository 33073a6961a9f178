package disrupt

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"resilience/internal/plan"
)

// plainText is a codec of messages that are texts.
type plainText struct{}

func (plainText) Name() string                       { return "proto" }
func (plainText) Marshal(v any) ([]byte, error)      { return []byte(*v.(*string)), nil }
func (plainText) Unmarshal(data []byte, v any) error { *v.(*string) = string(data); return nil }

// echoText says what time it is and answers each message at once: "go" with
// "ok", a code's name with that code, and anything else with itself.
func echoText(_ any, s grpc.ServerStream) error {
	if err := s.SetHeader(metadata.Pairs("date", time.Now().UTC().Format(http.TimeFormat))); err != nil {
		return err
	}
	for {
		var text string
		switch err := s.RecvMsg(&text); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if code, known := plan.GRPCCode(text); known {
			return status.Error(codes.Code(code), "asked for") //nolint:gosec // it is small
		}
		if text == "go" {
			text = "ok"
		}
		if err := s.SendMsg(&text); err != nil {
			return err
		}
	}
}

// grpcServer starts a dependency that speaks gRPC.
func grpcServer(t testing.TB) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(grpc.ForceServerCodec(plainText{}), grpc.UnknownServiceHandler(echoText))
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func grpcClient(t testing.TB, address string) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(plainText{})))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func grpcFront(t testing.TB) (*Proxy, *kept, *grpc.ClientConn) {
	return grpcFrontOf(t, grpcServer(t))
}

func grpcFrontOf(t testing.TB, address string) (*Proxy, *kept, *grpc.ClientConn) {
	p, k := front(t, plan.Dependency{Upstream: "http://" + address, Protocol: "grpc"})
	return p, k, grpcClient(t, p.listener.Addr().String())
}

func say(ctx context.Context, conn *grpc.ClientConn, text string) received {
	start := time.Now()
	var back string
	var header metadata.MD
	err := conn.Invoke(ctx, "/shop.Echo/Say", &text, &back, grpc.Header(&header))
	return received{Response: &http.Response{StatusCode: 200, Header: http.Header{"Date": header["date"]}}, body: back, took: time.Since(start), err: err}
}

func grpcCaller(t testing.TB) (*Proxy, caller) {
	p, _, conn := grpcFront(t)
	return p, func(ctx context.Context, tenant string) received {
		return say(metadata.AppendToOutgoingContext(ctx, "x-resilience-tenant", tenant), conn, "go")
	}
}

// Codes that say that the server failed are the dependency's failures, others
// are not.
func TestCallsAreMeasuredByTheirCode(t *testing.T) {
	p, k, conn := grpcFront(t)
	requireWell(t, say(t.Context(), conn, "go"))
	failed := []string{"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
	for _, code := range append(failed, "NOT_FOUND", "UNAUTHENTICATED", "ABORTED") {
		require.Error(t, say(t.Context(), conn, code).err)
	}
	require.NoError(t, p.Close())
	var bad int
	for name, w := range k.byStatus() {
		require.True(t, strings.HasPrefix(name, "grpc "), name)
		require.EqualValues(t, 1, w.Count, name)
		bad += int(w.Failed) //nolint:gosec // it is small
	}
	require.Len(t, k.byStatus(), 10)
	require.Equal(t, len(failed), bad)
	require.EqualValues(t, 1, k.byStatus()["grpc Unavailable"].Failed)
	require.Zero(t, k.byStatus()["grpc OK"].Failed)
}

func TestErrorsOfGRPC(t *testing.T) {
	p, k, conn := grpcFront(t)
	lift := inject(t, plan.Disruption{Error: &plan.Error{GRPC: "RESOURCE_EXHAUSTED", Message: "50 % über"}}, p, 1)
	err := say(t.Context(), conn, "go").err
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.Equal(t, "50 % über", status.Convert(err).Message())
	lift()
	require.NoError(t, p.Close())
	require.Zero(t, k.byStatus()["grpc ResourceExhausted"].Failed)
	require.EqualValues(t, 1, k.byStatus()["grpc ResourceExhausted"].Count)
}

// A stream flows both ways through faults that act on its start or its pace.
func TestStreamsOfGRPC(t *testing.T) {
	p, k, conn := grpcFront(t)
	for _, d := range []plan.Disruption{
		{},
		slow(mildDelay),
		{Bandwidth: &plan.Bandwidth{PerSecond: 100_000}},
		{Slice: &plan.Slice{Size: 3}},
		{SlowClose: &plan.SlowClose{Delay: plan.Duration(time.Millisecond)}},
		{Clock: &plan.Clock{Skew: "1h"}},
	} {
		if fault, _ := d.Fault(); fault != "" {
			defer inject(t, d, p, 1)()
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/shop.Echo/Talk")
		require.NoError(t, err)
		for _, text := range []string{"a", "bc", strings.Repeat("x", 1000)} {
			require.NoError(t, stream.SendMsg(&text))
			var back string
			require.NoError(t, stream.RecvMsg(&back))
			require.Equal(t, text, back)
		}
		require.NoError(t, stream.CloseSend())
		require.ErrorIs(t, stream.RecvMsg(new(string)), io.EOF)
		cancel()
	}
	require.NoError(t, p.Close())
	require.EqualValues(t, 6, k.byStatus()["grpc OK"].Count)
}

func TestErrorsAreOfGRPCWhereItIsSpoken(t *testing.T) {
	p, _, conn := grpcFront(t)
	lift := inject(t, plan.Disruption{Error: &plan.Error{}, Match: &plan.Match{GRPC: "shop.Echo/*"}}, p, 1)
	require.Equal(t, codes.Unavailable, status.Code(say(t.Context(), conn, "go").err))
	require.EqualValues(t, 1, lift().Touched)
}

func TestMessagesAreEncoded(t *testing.T) {
	require.Equal(t, "50 %25 %C3%BC~%0A", grpcEncode("50 % ü~\n"))
}

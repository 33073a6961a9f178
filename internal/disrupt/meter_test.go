package disrupt

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

func TestWindowsAreEmittedAtEachTickAndAtTheEnd(t *testing.T) {
	ticks := make(chan time.Time)
	batches := make(chan measure.Batch, 10)
	emit := func(b measure.Batch) error { batches <- b; return nil }
	m := newMeter("payments", "beta", emit, ticks)
	start := time.Unix(100, 900_000_000)
	m.add(start, 2500*time.Microsecond, 200, measure.OK)
	m.add(start, 3*time.Second, 200, measure.OK)
	m.add(start.Add(time.Second), time.Second, 0, measure.Failed)
	ticks <- start
	got := (<-batches).Windows
	require.Len(t, got, 2)
	require.Equal(t, measure.Series{Metric: measure.MetricDependency, Phase: "beta", Step: "payments", Status: "200"}, got[0].Series)
	require.Equal(t, time.Unix(100, 0).UnixNano(), got[0].Start, "the second in which the request began")
	require.EqualValues(t, 2, got[0].Count)
	require.Equal(t, 2.5, got[0].Min)
	require.Equal(t, 3000.0, got[0].Max)
	require.Equal(t, "0", got[1].Series.Status)
	require.EqualValues(t, 1, got[1].Failed)

	ticks <- start // nothing new: nothing emitted
	m.add(start, time.Second, 200, measure.OK)
	require.NoError(t, m.close())
	late := (<-batches).Windows
	require.Equal(t, got[0].Start, late[0].Start)
	require.NotEqual(t, got[0].Part, late[0].Part)
	require.Empty(t, batches)
}

func TestTheFirstErrorOfEmittingIsKept(t *testing.T) {
	p, k := frontOf(t, ok)
	k.fail = errFull
	requireWell(t, get(t, newClient(t, http1), p.URL()))
	require.ErrorIs(t, p.Close(), errFull)
	require.ErrorIs(t, p.Close(), errFull, "closing again gives the same answer")
}

func TestWhatIsUnderWayAtTheEndIsUnfinished(t *testing.T) {
	arrived := make(chan struct{}, 2)
	p, k := frontOf(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	var wg sync.WaitGroup
	for _, set := range protocols {
		client := newClient(t, set)
		wg.Go(func() {
			answer := get(t, client, p.URL())
			require.Error(t, answer.err, "not an empty 200")
		})
		soon(t, arrived, "the request")
	}
	p.cancel() // the first thing that closing does; the connections are still open
	wg.Wait()
	require.NoError(t, p.Close())
	require.Equal(t, measure.Window{Count: 2, Failed: 2, Unfinished: 2, Max: k.byStatus()["0"].Max}, k.byStatus()["0"])
	require.Positive(t, k.byStatus()["0"].Max)
}

// A client that waited in vain was failed by the dependency; one that broke
// off in the middle of its request was not.
func TestClientsThatGiveUp(t *testing.T) {
	arrived := make(chan struct{}, 1)
	p, k := frontOf(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		for _, method := range []string{"GET", "POST"} {
			ctx, giveUp := context.WithCancel(t.Context())
			r := request(t, method, p.URL(), "body").WithContext(ctx)
			done := make(chan struct{})
			go func() { defer close(done); _ = do(client, r) }()
			soon(t, arrived, "the request")
			giveUp()
			soon(t, done, "the client gave up")
			requireMeasured(t, p, 1)
		}
	})
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	requireMeasured(t, p, 1)
	require.NoError(t, p.Close())
	require.EqualValues(t, 5, k.byStatus()["499"].Count)
	require.EqualValues(t, 4, k.byStatus()["499"].Failed)
}

// A response that breaks off in the middle is the dependency's failure, and
// the client can tell.
func TestBrokenResponses(t *testing.T) {
	p, k := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/middle" {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		require.Error(t, get(t, client, p.URL()+"/middle").err)
		require.Equal(t, 502, do(client, request(t, "POST", p.URL(), "body")).StatusCode)
	})
	require.NoError(t, p.Close())
	require.EqualValues(t, 2, k.byStatus()["200"].Failed)
	require.EqualValues(t, 2, k.byStatus()["0"].Failed)
}

func TestClosedProxyIsGone(t *testing.T) {
	p, err := NewProxy(t.Context(), "dep", plan.Dependency{Upstream: "http://127.0.0.1:1"}, "beta", "", new(kept).emit)
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	require.Error(t, get(t, newClient(t, http1), p.URL()).err)
}

package disrupt

import (
	"context"
	"encoding/pem"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// contract says how to see a fault bite.
type contract struct {
	// mild is harm that is quickly over.
	mild plan.Disruption
	// held asks for harm that holds requests back for much longer than a test
	// takes; nil for a fault that never does.
	held *plan.Disruption
	// bitten tells a request that mild harm was done to. With exact it is
	// false for all others; without, a slow machine may look the same.
	bitten func(received) bool
	exact  bool
}

const mildDelay = 15 * time.Millisecond

func slowly(r received) bool { return r.err == nil && r.took >= mildDelay }
func broke(r received) bool  { return r.err != nil }

// contracts has one for each fault. A body over HTTP is two bytes long.
var contracts = map[string]contract{
	"latency": {
		mild:   plan.Disruption{Latency: &plan.Latency{Delay: plan.Duration(mildDelay)}},
		held:   &plan.Disruption{Latency: &plan.Latency{Delay: plan.Duration(time.Hour)}},
		bitten: slowly,
	},
	"error": {
		mild: plan.Disruption{Error: &plan.Error{Status: 502, Body: "broken", Message: "broken"}},
		bitten: func(r received) bool {
			return r.err == nil && r.StatusCode == 502 && r.body == "broken" ||
				status.Code(r.err) == codes.Unavailable && strings.Contains(r.err.Error(), "broken")
		},
		exact: true,
	},
	"reset": {
		mild:   plan.Disruption{Reset: &plan.Reset{}},
		held:   &plan.Disruption{Reset: &plan.Reset{After: plan.Duration(time.Hour)}},
		bitten: broke, exact: true,
	},
	"timeout": {
		mild:   plan.Disruption{Timeout: &plan.Timeout{After: plan.Duration(time.Millisecond)}},
		held:   &plan.Disruption{Timeout: &plan.Timeout{}},
		bitten: broke, exact: true,
	},
	"refuse": {
		mild:   plan.Disruption{Refuse: &plan.Refuse{}, First: 1 << 60}, // bounded: requests are reset
		bitten: broke, exact: true,
	},
	"bandwidth": {
		mild:   plan.Disruption{Bandwidth: &plan.Bandwidth{PerSecond: 130}},
		held:   &plan.Disruption{Bandwidth: &plan.Bandwidth{PerSecond: 1}},
		bitten: slowly,
	},
	"slow_close": {
		mild:   plan.Disruption{SlowClose: &plan.SlowClose{Delay: plan.Duration(mildDelay)}},
		held:   &plan.Disruption{SlowClose: &plan.SlowClose{Delay: plan.Duration(time.Hour)}},
		bitten: slowly,
	},
	"slice": {
		mild:   plan.Disruption{Slice: &plan.Slice{Size: 1, Delay: plan.Duration(mildDelay)}},
		held:   &plan.Disruption{Slice: &plan.Slice{Size: 1, Delay: plan.Duration(time.Hour)}},
		bitten: slowly,
	},
	"truncate": {
		mild:   plan.Disruption{Truncate: &plan.Truncate{After: 1}},
		bitten: broke, exact: true,
	},
	"corrupt": {
		mild:   plan.Disruption{Corrupt: &plan.Corrupt{}},
		bitten: func(r received) bool { return r.err != nil || r.body != "ok" && len(r.body) == 2 },
		exact:  true,
	},
	"clock": {
		mild: plan.Disruption{Clock: &plan.Clock{Skew: "-1h"}},
		bitten: func(r received) bool {
			date, err := http.ParseTime(r.Header.Get("Date"))
			return err == nil && time.Since(date) > 50*time.Minute
		},
		exact: true,
	},
}

func TestEveryFaultHasAContract(t *testing.T) {
	require.Equal(t, slices.Sorted(maps.Keys(faults)), slices.Sorted(maps.Keys(contracts)))
}

// caller makes one request for a tenant. It is one that clients never repeat
// by themselves.
type caller func(ctx context.Context, tenant string) received

// callers start a dependency that answers "ok" with a proxy in front.
var callers = map[string]func(testing.TB) (*Proxy, caller){
	"http1": func(t testing.TB) (*Proxy, caller) { return httpCaller(t, http1) },
	"https": httpsCaller,
	"h2c":   func(t testing.TB) (*Proxy, caller) { return httpCaller(t, h2c) },
	"grpc":  grpcCaller,
}

func httpCaller(t testing.TB, set func(*http.Protocols)) (*Proxy, caller) {
	p, _ := frontOf(t, ok)
	client := newClient(t, set)
	return p, func(ctx context.Context, tenant string) received {
		r := request(t, "POST", p.URL(), "go").WithContext(ctx)
		r.Header.Set("X-Resilience-Tenant", tenant)
		return do(client, r)
	}
}

// httpsCaller has TLS on both sides: clients trust the proxy's authority, and
// the proxy the dependency's.
func httpsCaller(t testing.TB) (*Proxy, caller) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(ok))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(block), 0o600))
	p, _ := front(t, plan.Dependency{Upstream: s.URL, TLS: &plan.TLS{CA: ca}, Serve: &plan.Serve{}})
	client := newClient(t, http1)
	client.Transport.(*http.Transport).TLSClientConfig = trusting(t, p.CA())
	return p, func(ctx context.Context, tenant string) received {
		r := request(t, "POST", p.URL(), "go").WithContext(ctx)
		r.Header.Set("X-Resilience-Tenant", tenant)
		return do(client, r)
	}
}

// eachFault runs a test for every fault, over every protocol, and looks for
// goroutines that are left.
func eachFault(t *testing.T, test func(t *testing.T, c contract, p *Proxy, call caller)) {
	for name, c := range contracts {
		for protocol, start := range callers {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				before := goleak.IgnoreCurrent()
				t.Run("run", func(t *testing.T) {
					p, call := start(t)
					test(t, c, p, call)
				})
				requireNoLeaks(t, before)
			})
		}
	}
}

// eachHolding is eachFault for those that hold requests back.
func eachHolding(t *testing.T, test func(t *testing.T, c contract, p *Proxy, call caller)) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		if c.held != nil {
			test(t, c, p, call)
		}
	})
}

// inject puts a disruption on a proxy under a name of its own.
func inject(t testing.TB, d plan.Disruption, on *Proxy, seed int64) (lift func() measure.Touch) {
	t.Helper()
	d.Dependency = on.name
	if d.Name == "" {
		d.Name = "d"
	}
	disruption, err := on.Disruption(d, seed)
	require.NoError(t, err)
	l, err := disruption.Inject(t.Context(), nil)
	require.NoError(t, err)
	return func() measure.Touch {
		done, cancel := context.WithCancel(context.Background())
		cancel() // lifting must not need a context that lasts
		touch, err := l(done)
		require.NoError(t, err)
		return touch
	}
}

func requireWell(t testing.TB, r received) {
	t.Helper()
	require.NoError(t, r.err)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "ok", r.body)
}

// shared is a disruption with a share.
func shared(d plan.Disruption, share plan.Percent) plan.Disruption {
	d.Share = share
	return d
}

func TestFaultBitesAndLifts(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		requireWell(t, call(t.Context(), ""))
		lift := inject(t, c.mild, p, 1)
		for range 5 {
			got := call(t.Context(), "")
			require.True(t, c.bitten(got), "%+v", got)
		}
		require.Equal(t, measure.Touch{Matched: 5, Touched: 5}, lift())
		after := call(t.Context(), "")
		requireWell(t, after)
		require.False(t, c.exact && c.bitten(after))
		require.Equal(t, measure.Touch{Matched: 5, Touched: 5}, lift(), "lifting twice")
		require.Empty(t, *p.injected.Load())
	})
}

func TestFaultIsBoundedByMatch(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		d := c.mild
		if c.held != nil {
			d = *c.held
		}
		d.Match = &plan.Match{Path: "/*", Method: "POST", Tenant: "a"}
		lift := inject(t, d, p, 1)
		for _, other := range []string{"", "b", "aa"} {
			requireWell(t, call(t.Context(), other))
		}
		require.Equal(t, measure.Touch{}, lift())

		d = c.mild
		d.Match = &plan.Match{Path: "/*", Method: "post", Tenant: "a"}
		lift = inject(t, d, p, 1)
		require.True(t, c.bitten(call(t.Context(), "a")))
		require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, lift())
	})
}

// A share is kept to within 5 standard deviations of a binomial, and what is
// counted as touched was felt by as many clients. From the same seed as many
// are touched, in whatever order they come.
func TestFaultIsBoundedByShare(t *testing.T) {
	const n, share = 60, 0.3
	once := func(t *testing.T, c contract, p *Proxy, call caller, at int) (touch measure.Touch, bitten uint64) {
		lift := inject(t, shared(c.mild, share), p, 7)
		var felt atomic.Uint64
		var wg sync.WaitGroup
		for range at {
			wg.Go(func() {
				for range n / at {
					if c.bitten(call(t.Context(), "")) {
						felt.Add(1)
					}
				}
			})
		}
		wg.Wait()
		return lift(), felt.Load()
	}
	eachFault(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		first, bitten := once(t, c, p, call, 10)
		require.EqualValues(t, n, first.Matched)
		require.InDelta(t, n*share, first.Touched, 5*math.Sqrt(n*share*(1-share)))
		require.GreaterOrEqual(t, bitten, first.Touched)
		if c.exact {
			require.Equal(t, first.Touched, bitten)
		}
		again, _ := once(t, c, p, call, 6)
		require.Equal(t, first, again)
	})
}

func TestFaultIsBoundedByFirst(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		d := c.mild
		d.First = 2
		lift := inject(t, d, p, 1)
		for range 2 {
			require.True(t, c.bitten(call(t.Context(), "")))
		}
		for range 3 {
			requireWell(t, call(t.Context(), ""))
		}
		require.Equal(t, measure.Touch{Matched: 2, Touched: 2}, lift(), "what came later could not be touched any more")
	})
}

// A fault that flaps begins with harm, and touches nothing while it is off.
func TestFaultFlaps(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		d := c.mild
		d.Flap = &plan.Flap{On: plan.Duration(time.Hour), Off: plan.Duration(time.Hour)}
		lift := inject(t, d, p, 1)
		require.True(t, c.bitten(call(t.Context(), "")))
		tally := (*p.injected.Load())[0].tally
		back := func() {
			tally.mu.Lock()
			defer tally.mu.Unlock()
			tally.start = tally.start.Add(-time.Hour)
		}
		back()
		requireWell(t, call(t.Context(), ""))
		back()
		require.True(t, c.bitten(call(t.Context(), "")))
		require.Equal(t, measure.Touch{Matched: 2, Touched: 2}, lift())
		requireWell(t, call(t.Context(), ""))
	})
}

func TestFaultsOverlap(t *testing.T) {
	for name, second := range contracts {
		t.Run("with "+name, func(t *testing.T) {
			eachFault(t, func(t *testing.T, first contract, p *Proxy, call caller) {
				if name < nameOf(t) {
					return // that pair has its turn elsewhere
				}
				liftFirst, liftSecond := inject(t, first.mild, p, 1), inject(t, second.mild, p, 3)
				both := call(t.Context(), "")
				require.True(t, both.err != nil || first.bitten(both) || second.bitten(both), "%+v %q", both, both.body)
				require.NotZero(t, liftFirst().Touched+liftSecond().Touched)

				liftFirst, liftSecond = inject(t, first.mild, p, 1), inject(t, second.mild, p, 3)
				liftFirst()
				require.True(t, second.bitten(call(t.Context(), "")), "lifting one leaves the other")
				require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, liftSecond())
				requireWell(t, call(t.Context(), ""))
			})
		})
	}
}

func TestLiftingLetsGoOfWhatIsHeld(t *testing.T) {
	eachHolding(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		lift := inject(t, *c.held, p, 1)
		answers := make(chan received, 1)
		go func() { answers <- call(context.Background(), "") }()
		require.Eventually(t, func() bool { return touched(p) == 1 }, patience, time.Millisecond)
		require.EqualValues(t, 1, lift().Matched)
		requireWell(t, <-answers)
	})
}

func TestFaultLetsGoOfClientsThatGiveUp(t *testing.T) {
	eachHolding(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		lift := inject(t, *c.held, p, 1)
		ctx, giveUp := context.WithCancel(t.Context())
		answered := make(chan struct{})
		go func() { defer close(answered); _ = call(ctx, "") }()
		require.Eventually(t, func() bool { return touched(p) == 1 }, patience, time.Millisecond)
		giveUp()
		soon(t, answered, "the client is gone")
		requireMeasured(t, p, 1)
		require.EqualValues(t, 1, lift().Matched)
	})
}

// Nor are they held who did not send all of a request that was answered without
// the rest of it. The upstream speaks HTTP/2, which says that it wants no more.
func TestFaultLetsGoOfClientsThatGiveUpUploading(t *testing.T) {
	p, call := httpsCaller(t)
	require.NoError(t, call(t.Context(), "").err)
	requireMeasured(t, p, 1)
	lift := inject(t, *contracts["slow_close"].held, p, 1)
	body, pen := io.Pipe()
	defer pen.Close()
	ctx, giveUp := context.WithCancel(t.Context())
	r := request(t, "POST", p.URL(), "").WithContext(ctx)
	r.Body, r.ContentLength = body, 1000
	client := newClient(t, http1)
	client.Transport.(*http.Transport).TLSClientConfig = trusting(t, p.CA())
	answered := make(chan struct{})
	go func() { defer close(answered); _ = do(client, r) }()
	_, err := pen.Write([]byte("some"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return touched(p) == 1 }, patience, time.Millisecond)
	giveUp()
	require.NoError(t, pen.CloseWithError(context.Canceled))
	soon(t, answered, "the client is gone")
	requireMeasured(t, p, 1)
	require.EqualValues(t, 1, lift().Matched)
}

func TestProxyIsClosedDuringFault(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		d := c.mild
		if c.held != nil {
			d = *c.held
		}
		lift := inject(t, d, p, 1)
		answered := make(chan struct{})
		go func() { defer close(answered); _ = call(context.Background(), "") }()
		require.Eventually(t, func() bool { return touched(p) == 1 }, patience, time.Millisecond)
		require.NoError(t, p.Close())
		soon(t, answered, "the client gets an end")
		require.EqualValues(t, 1, lift().Matched)
	})
}

// After a fault answers take as long as through a proxy that never had one:
// the medians of requests in turns are of the same size. Where others keep the
// processors busy, chance may have it that one of them waits more often, but not
// each time.
func TestSystemIsAsBefore(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, call caller) {
		untouched, other := callers[protocolOf(t)](t)
		lift := inject(t, c.mild, p, 1)
		for range 3 {
			require.True(t, c.bitten(call(t.Context(), "")))
		}
		lift()
		const rounds = 20
		for round := 1; ; round++ {
			var with, without []time.Duration
			for range 21 {
				after, never := call(t.Context(), ""), other(t.Context(), "")
				requireWell(t, after)
				requireWell(t, never)
				with, without = append(with, after.took), append(without, never.took)
			}
			slices.Sort(with)
			slices.Sort(without)
			if with[10] < 5*without[10]+mildDelay/3 {
				break
			}
			require.Less(t, round, rounds, "half of the requests took %v or more, and %v where there never was a fault", with[10], without[10])
		}
		require.NoError(t, untouched.Close())
	})
}

// nameOf is the fault that a test below TestFaultsOverlap runs with.
func nameOf(t *testing.T) string { return strings.Split(t.Name(), "/")[2] }

// protocolOf is the caller that a test of eachFault runs with.
func protocolOf(t *testing.T) string { return strings.Split(t.Name(), "/")[2] }

// touched looks at the first fault in effect.
func touched(p *Proxy) uint64 { return (*p.injected.Load())[0].soFar().Touched }

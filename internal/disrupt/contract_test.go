package disrupt

import (
	"context"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// contract says how to see a fault bite.
type contract struct {
	// mild asks for harm that is quickly over, to the given share.
	mild func(share plan.Percent) plan.Disruption
	// harsh asks for so much harm that no touched request is answered well
	// within a minute.
	harsh func() plan.Disruption
	// bitten tells a request that mild harm was done to. With exact it is
	// false for all others; without, a slow machine may look the same.
	bitten func(reply) bool
	exact  bool
}

const mildDelay = 15 * time.Millisecond

// contracts has one for each fault.
var contracts = map[string]contract{
	"latency": {
		mild: func(share plan.Percent) plan.Disruption {
			return plan.Disruption{Share: share, Latency: &plan.Latency{Delay: plan.Duration(mildDelay)}}
		},
		harsh: func() plan.Disruption {
			return plan.Disruption{Latency: &plan.Latency{Delay: plan.Duration(time.Minute)}}
		},
		bitten: func(r reply) bool { return r.took >= mildDelay },
	},
	"error": {
		mild: func(share plan.Percent) plan.Disruption {
			return plan.Disruption{Share: share, Error: &plan.Error{Status: 502, Body: "broken"}}
		},
		harsh:  func() plan.Disruption { return plan.Disruption{Error: &plan.Error{}} },
		bitten: func(r reply) bool { return r.err == nil && r.StatusCode == 502 && r.body == "broken" },
		exact:  true,
	},
}

func TestEveryFaultHasAContract(t *testing.T) {
	require.Equal(t, slices.Sorted(maps.Keys(faults)), slices.Sorted(maps.Keys(contracts)))
}

// eachFault runs a test for every fault, over every protocol, and looks for
// goroutines that are left.
func eachFault(t *testing.T, test func(t *testing.T, c contract, p *Proxy, client *http.Client)) {
	for name, c := range contracts {
		for protocol, set := range protocols {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				before := goleak.IgnoreCurrent()
				t.Run("run", func(t *testing.T) {
					p, _ := frontOf(t, ok)
					test(t, c, p, newClient(t, set))
				})
				goleak.VerifyNone(t, before)
			})
		}
	}
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

func requireWell(t testing.TB, r reply) {
	t.Helper()
	require.NoError(t, r.err)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "ok", r.body)
}

func TestFaultBitesAndLifts(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, client *http.Client) {
		requireWell(t, get(t, client, p.URL()))
		lift := inject(t, c.mild(0), p, 1)
		for range 5 {
			require.True(t, c.bitten(get(t, client, p.URL())))
			require.True(t, c.bitten(do(client, request(t, "POST", p.URL(), "body"))))
		}
		require.Equal(t, measure.Touch{Matched: 10, Touched: 10}, lift())
		requireWell(t, get(t, client, p.URL()))
		require.Equal(t, measure.Touch{Matched: 10, Touched: 10}, lift(), "lifting twice")
		require.Empty(t, *p.injected.Load())
	})
}

func TestFaultIsGoneAfterLifting(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, client *http.Client) {
		lift := inject(t, c.harsh(), p, 1)
		require.Equal(t, measure.Touch{}, lift())
		for range 5 {
			requireWell(t, get(t, client, p.URL()))
		}
		require.Equal(t, measure.Touch{}, lift())
	})
}

func TestFaultIsBoundedByMatch(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, client *http.Client) {
		d := c.harsh()
		d.Match = &plan.Match{Path: "/pay/*", Method: "POST", Header: map[string]string{"x-tenant": "a"}}
		lift := inject(t, d, p, 1)
		for _, other := range []struct{ method, path, tenant string }{
			{"POST", "/payments", "a"}, {"POST", "/pay", "a"}, {"GET", "/pay/1", "a"}, {"POST", "/pay/1", "b"}, {"POST", "/pay/1", ""},
		} {
			r := request(t, other.method, p.URL()+other.path, "")
			r.Header.Set("X-Tenant", other.tenant)
			requireWell(t, do(client, r))
		}
		require.Equal(t, measure.Touch{}, lift())

		d = c.mild(0)
		d.Match = &plan.Match{Path: "/pay/*", Method: "post", Header: map[string]string{"x-tenant": "a"}}
		lift = inject(t, d, p, 1)
		r := request(t, "POST", p.URL()+"/pay/1", "")
		r.Header.Set("X-Tenant", "a")
		require.True(t, c.bitten(do(client, r)))
		require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, lift())
	})
}

// A share is kept to within 5 standard deviations of a binomial, and what is
// counted as touched was felt by as many clients.
func TestFaultIsBoundedByShare(t *testing.T) {
	const n, share = 400, 0.3
	eachFault(t, func(t *testing.T, c contract, p *Proxy, client *http.Client) {
		lift := inject(t, c.mild(share), p, 7)
		var bitten atomic.Uint64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range n / 20 {
					if c.bitten(get(t, client, p.URL())) {
						bitten.Add(1)
					}
				}
			})
		}
		wg.Wait()
		first := lift()
		require.EqualValues(t, n, first.Matched)
		require.InDelta(t, n*share, first.Touched, 5*math.Sqrt(n*share*(1-share)))
		require.GreaterOrEqual(t, bitten.Load(), first.Touched)
		if c.exact {
			require.Equal(t, first.Touched, bitten.Load())
		}

		lift = inject(t, c.mild(share), p, 7)
		for range n {
			require.NoError(t, get(t, client, p.URL()).err)
		}
		require.Equal(t, first, lift(), "the same seed touches as many, whatever the order")
	})
}

func TestFaultsOverlap(t *testing.T) {
	for name, second := range contracts {
		t.Run("with "+name, func(t *testing.T) {
			eachFault(t, func(t *testing.T, first contract, p *Proxy, client *http.Client) {
				liftFirst, liftSecond := inject(t, first.mild(0), p, 1), inject(t, second.mild(0), p, 2)
				both := get(t, client, p.URL())
				require.True(t, first.bitten(both) || second.bitten(both))
				require.NotZero(t, liftFirst().Touched+liftSecond().Touched)

				liftFirst, liftSecond = inject(t, first.mild(0), p, 1), inject(t, second.mild(0), p, 2)
				liftFirst()
				require.True(t, second.bitten(get(t, client, p.URL())), "lifting one leaves the other")
				require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, liftSecond())
				requireWell(t, get(t, client, p.URL()))
			})
		})
	}
}

func TestFaultLetsGoOfClientsThatGiveUp(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, client *http.Client) {
		lift := inject(t, c.harsh(), p, 1)
		for n, method := range []string{"GET", "POST"} {
			ctx, giveUp := context.WithCancel(t.Context())
			answered := make(chan struct{})
			r := request(t, method, p.URL(), "body").WithContext(ctx)
			go func() { defer close(answered); _ = do(client, r) }()
			require.Eventually(t, func() bool { return touched(p) == uint64(n+1) }, patience, time.Millisecond)
			giveUp()
			soon(t, answered, "the client is gone")
			requireMeasured(t, p, 1)
		}
		require.EqualValues(t, 2, lift().Touched)
	})
}

func TestProxyIsClosedDuringFault(t *testing.T) {
	eachFault(t, func(t *testing.T, c contract, p *Proxy, client *http.Client) {
		lift := inject(t, c.harsh(), p, 1)
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_ = do(client, request(t, "POST", p.URL(), "body"))
		}()
		require.Eventually(t, func() bool { return touched(p) == 1 }, patience, time.Millisecond)
		require.NoError(t, p.Close())
		soon(t, answered, "the client gets an end")
		require.EqualValues(t, 1, lift().Touched)
	})
}

// touched looks at the first fault in effect.
func touched(p *Proxy) uint64 {
	i := (*p.injected.Load())[0]
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.count.Touched
}

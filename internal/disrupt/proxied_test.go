package disrupt

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

func slow(delay time.Duration) plan.Disruption {
	return plan.Disruption{Dependency: "dep", Latency: &plan.Latency{Delay: plan.Duration(delay)}}
}

func failing(status int, body string) plan.Disruption {
	return plan.Disruption{Dependency: "dep", Error: &plan.Error{Status: status, Body: body}}
}

func TestWrongDisruptions(t *testing.T) {
	p, _ := frontOf(t, ok)
	day := plan.Duration(25 * time.Hour)
	for want, d := range map[string]plan.Disruption{
		`disruption "d": is for dependency "other", not for "dep"`: {Dependency: "other", Error: &plan.Error{}},
		`disruption "d": no fault given that acts on HTTP: add one of bandwidth, clock, corrupt, error, latency, refuse, reset, slice, slow_close, timeout, truncate`: {},
		`disruption "d": more than one fault given (error, latency): make a disruption of each`:                                                                       {Error: &plan.Error{}, Latency: &plan.Latency{Delay: 1}},
		`disruption "d": latency: delay 0s is not above 0 and up to 24h0m0s`:                                                                                          {Latency: &plan.Latency{}},
		`disruption "d": latency: delay 25h0m0s is not above 0 and up to 24h0m0s`:                                                                                     {Latency: &plan.Latency{Delay: day}},
		`disruption "d": latency: jitter 2ns is not between 0 and the delay of 1ns`:                                                                                   {Latency: &plan.Latency{Delay: 1, Jitter: 2}},
		`disruption "d": share 1.5 is not above 0 % and up to 100 %`:                                                                                                  {Share: 1.5, Latency: &plan.Latency{Delay: 1}},
		`disruption "d": share -1 is not above 0 % and up to 100 %`:                                                                                                   {Share: -1, Error: &plan.Error{}},
		`disruption "d": share NaN is not above 0 % and up to 100 %`:                                                                                                  {Share: plan.Percent(math.NaN()), Error: &plan.Error{}},
		`disruption "d": error: status 200 is not an error: give one from 400 to 599`:                                                                                 {Error: &plan.Error{Status: 200}},
		`disruption "d": latency: there is no distribution "gauss": use uniform, normal or pareto`:                                                                    {Latency: &plan.Latency{Delay: 1, Distribution: "gauss"}},
		`disruption "d": error: "UNAVAILBLE" is not an error of gRPC: give one such as UNAVAILABLE`:                                                                   {Error: &plan.Error{GRPC: "UNAVAILBLE"}},
		`disruption "d": error: "OK" is not an error of gRPC: give one such as UNAVAILABLE`:                                                                           {Error: &plan.Error{GRPC: "OK"}},
		`disruption "d": bandwidth: per_second is not above 0`:                                                                                                        {Bandwidth: &plan.Bandwidth{}},
		`disruption "d": slice: size is not above 0`:                                                                                                                  {Slice: &plan.Slice{}},
		`disruption "d": slow_close: delay is not above 0`:                                                                                                            {SlowClose: &plan.SlowClose{}},
		`disruption "d": corrupt: bytes 2 is not above 0 % and up to 100 %`:                                                                                           {Corrupt: &plan.Corrupt{Bytes: 2}},
		`disruption "d": clock: skew wants a duration with its sign, such as 5m or -1h; got "x"`:                                                                      {Clock: &plan.Clock{Skew: "x"}},
		`disruption "d": clock: skew must be 1s or more: the time in a header has whole seconds; got 0s`:                                                              {Clock: &plan.Clock{Skew: "0s"}},
		`disruption "d": flap: on 1ns and off 0s are not both above 0`:                                                                                                {Refuse: &plan.Refuse{}, Flap: &plan.Flap{On: 1}},
		`disruption "d": match: grpc "Charge" is not of the form shop.Payments/Charge or shop.Payments/*`:                                                             {Error: &plan.Error{}, Match: &plan.Match{GRPC: "Charge"}},
		`disruption "d": match: path "pay" does not begin with /`:                                                                                                     {Error: &plan.Error{}, Match: &plan.Match{Path: "pay"}},
		`disruption "d": match: path "/a/*/b" has a * before its end: only a prefix can be matched`:                                                                   {Error: &plan.Error{}, Match: &plan.Match{Path: "/a/*/b"}},
	} {
		d.Name = "d"
		if d.Dependency == "" {
			d.Dependency = "dep"
		}
		_, err := p.Disruption(d, 1)
		require.EqualError(t, err, want)
	}
	_, err := New(plan.Disruption{Name: "d", Dependency: "x", Latency: &plan.Latency{Delay: 1}}, Site{})
	require.EqualError(t, err, `disruption "d": dependency "x" has no proxy`)
}

func TestInjectingTwiceIsAnError(t *testing.T) {
	p, _ := frontOf(t, ok)
	d, err := p.Disruption(failing(500, ""), 1)
	require.NoError(t, err)
	lift, err := d.Inject(t.Context(), nil)
	require.NoError(t, err)
	_, err = d.Inject(t.Context(), nil)
	require.ErrorContains(t, err, "already in effect")

	_, err = lift(t.Context())
	require.NoError(t, err)
	again, err := d.Inject(t.Context(), nil)
	require.NoError(t, err)
	_, _ = lift(t.Context()) // of the first time: it does not lift the second
	require.Equal(t, 500, get(t, newClient(t, http1), p.URL()).StatusCode)
	touch, err := again(t.Context())
	require.NoError(t, err)
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, touch)
}

func TestNothingIsInjectedTooLate(t *testing.T) {
	p, _ := frontOf(t, ok)
	d, err := p.Disruption(failing(500, ""), 1)
	require.NoError(t, err)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Inject(done, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, p.Close())
	_, err = d.Inject(t.Context(), nil)
	require.ErrorContains(t, err, `the proxy of dependency "dep" is closed`)
}

func TestDelaysAddUpAndTheFirstErrorWins(t *testing.T) {
	p, _ := frontOf(t, ok)
	client := newClient(t, http1)
	first, second := inject(t, failing(500, "first"), p, 1), inject(t, failing(503, "second"), p, 1)
	late, later := inject(t, slow(20*time.Millisecond), p, 1), inject(t, slow(30*time.Millisecond), p, 1)
	answer := get(t, client, p.URL())
	require.Equal(t, "first", answer.body)
	require.GreaterOrEqual(t, answer.took, 50*time.Millisecond, "also of those that were injected after the error")
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, first())
	require.Equal(t, measure.Touch{}, second(), "it never had a chance")
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, late())
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, later())
}

// An error that is lifted while a request is held back does not hit it later.
func TestErrorLiftedDuringDelay(t *testing.T) {
	p, _ := frontOf(t, ok)
	late, failed := inject(t, slow(time.Minute), p, 1), inject(t, failing(500, ""), p, 1)
	answers := make(chan received, 1)
	client := newClient(t, http1)
	r := request(t, "GET", p.URL(), "")
	go func() { answers <- do(client, r) }()
	require.Eventually(t, func() bool { return touched(p) == 1 }, patience, time.Millisecond)
	require.Equal(t, measure.Touch{}, failed())
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, late())
	requireWell(t, <-answers)
}

// Nor does it count a request whose client gave up before its turn.
func TestClientGivesUpBetweenFaults(t *testing.T) {
	p, _ := frontOf(t, ok)
	late, failed := inject(t, slow(time.Minute), p, 1), inject(t, failing(500, ""), p, 1)
	client := newClient(t, http1)
	ctx, giveUp := context.WithCancel(t.Context())
	r := request(t, "GET", p.URL(), "").WithContext(ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = do(client, r) }()
	require.Eventually(t, func() bool { return touched(p) == 1 }, patience, time.Millisecond)
	giveUp()
	soon(t, done, "the client gave up")
	requireMeasured(t, p, 1)
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, late())
	require.Equal(t, measure.Touch{}, failed())
}

func TestErrorAnswers(t *testing.T) {
	p, k := frontOf(t, ok)
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		lift := inject(t, failing(0, `{"error":"x"}`), p, 1)
		answer := get(t, client, p.URL())
		require.Equal(t, 503, answer.StatusCode)
		require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
		require.Equal(t, `{"error":"x"}`, answer.body)
		head := do(client, request(t, "HEAD", p.URL(), ""))
		require.Equal(t, 503, head.StatusCode)
		require.EqualValues(t, 13, head.ContentLength)
		post := do(client, request(t, "POST", p.URL(), "body"))
		require.Equal(t, 503, post.StatusCode)
		require.False(t, post.Close, "the connection is kept")
		lift()
	})
	require.NoError(t, p.Close())
	require.EqualValues(t, 6, k.byStatus()["503"].Failed, "measured as the client saw it")
}

// Which requests are touched follows from the seed and the order alone, with
// about the share asked for, and differently for other seeds and names.
func TestDecisionsFollowFromTheSeed(t *testing.T) {
	p, _ := frontOf(t, ok)
	decide := func(name string, seed int64, share float64) (touched []bool, count int) {
		d := failing(500, "")
		d.Name, d.Share = name, plan.Percent(share)
		disruption, err := p.Disruption(d, seed)
		require.NoError(t, err)
		i := &injection{of: disruption.(*proxied), tally: disruption.(*proxied).bounds.begin()}
		r := httptest.NewRequest("GET", "/", nil)
		for range 2000 {
			c := i.chance(r)
			require.True(t, c == nil || c.draw >= 0 && c.draw < 1)
			touched = append(touched, c != nil)
		}
		return touched, int(i.count.Touched)
	}
	rapid.Check(t, func(rt *rapid.T) {
		seed, share := rapid.Int64().Draw(rt, "seed"), rapid.Float64Range(0.001, 0.999).Draw(rt, "share")
		a, n := decide("a", seed, share)
		again, _ := decide("a", seed, share)
		require.Equal(rt, a, again)
		require.InDelta(rt, 2000*share, n, 7*math.Sqrt(2000*share*(1-share))+8) // less than once in 10^12 by chance
		all, _ := decide("a", seed, 1)
		require.NotContains(rt, all, false)
	})
	a, _ := decide("a", 1, 0.5)
	b, _ := decide("b", 1, 0.5)
	c, _ := decide("a", 2, 0.5)
	require.NotEqual(t, a, b)
	require.NotEqual(t, a, c)
}

func TestMatch(t *testing.T) {
	r := httptest.NewRequest("POST", "http://shop/pay/card%20x", nil)
	r.Header["X-Tenant"] = []string{"a", "b"}
	for name, c := range map[string]struct {
		match plan.Match
		want  bool
	}{
		"nothing":      {plan.Match{}, true},
		"everything":   {plan.Match{Path: "*"}, true},
		"exact":        {plan.Match{Path: "/pay/card x"}, true},
		"exact only":   {plan.Match{Path: "/pay"}, false},
		"prefix":       {plan.Match{Path: "/pay/*"}, true},
		"other prefix": {plan.Match{Path: "/paid*"}, false},
		"method":       {plan.Match{Method: "post"}, true},
		"other method": {plan.Match{Method: "GET"}, false},
		"header":       {plan.Match{Header: map[string]string{"x-tenant": "b"}}, true},
		"other value":  {plan.Match{Header: map[string]string{"x-tenant": "c"}}, false},
		"two headers":  {plan.Match{Header: map[string]string{"x-tenant": "a", "X-Other": "1"}}, false},
		"host":         {plan.Match{Header: map[string]string{"host": "shop"}}, true},
		"grpc":         {plan.Match{GRPC: "pay/card"}, false},
		"not excluded": {plan.Match{Exclude: plan.Names{"/health", "shop.Payments"}}, true},
		"excluded":     {plan.Match{Exclude: plan.Names{"/health", "/pay/*"}}, false},
		"one is wrong": {plan.Match{Path: "/pay/*", Method: "GET"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := readMatch(&c.match)
			require.NoError(t, err)
			require.Equal(t, c.want, m.matches(r))
		})
	}
}

func TestMatchOfMethodsAndTenants(t *testing.T) {
	r := httptest.NewRequest("POST", "http://shop/shop.Payments/Charge", nil)
	r.Header["Content-Type"] = []string{"application/grpc+proto"}
	r.Header["Baggage"] = []string{"a=b", "userId=1;p=q , resilience.tenant = canary%2C1 ;p"}
	for name, c := range map[string]struct {
		match plan.Match
		want  bool
	}{
		"method":           {plan.Match{GRPC: "shop.Payments/Charge"}, true},
		"service":          {plan.Match{GRPC: "shop.Payments/*"}, true},
		"other method":     {plan.Match{GRPC: "shop.Payments/Refund"}, false},
		"other service":    {plan.Match{GRPC: "shop.Pay/*"}, false},
		"tenant":           {plan.Match{Tenant: "canary,1"}, true},
		"other tenant":     {plan.Match{Tenant: "canary"}, false},
		"excluded service": {plan.Match{Exclude: plan.Names{"shop.Payments"}}, false},
		"excluded method":  {plan.Match{Exclude: plan.Names{"shop.Payments/Refund"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := readMatch(&c.match)
			require.NoError(t, err)
			require.False(t, m.all())
			require.Equal(t, c.want, m.matches(r))
		})
	}
	m, err := readMatch(&plan.Match{Tenant: "a"})
	require.NoError(t, err)
	require.False(t, m.matches(r))
	r.Header["X-Resilience-Tenant"] = []string{"a"}
	require.True(t, m.matches(r))
	m, err = readMatch(&plan.Match{GRPC: "shop.Payments/Charge"})
	require.NoError(t, err)
	r.Header["Content-Type"] = []string{"application/json"}
	require.False(t, m.matches(r), "it is not gRPC")
}

package xk6resilience

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/js/modulestest"
	"go.k6.io/k6/v2/lib"

	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// cluster is a double of the driver of Kubernetes.
type cluster struct {
	pods    []string
	looking error // for pods
	prepare error // of every fault
	release error
	inject  map[string]error
	lift    error
	slow    bool            // injecting takes as long as it may
	until   <-chan struct{} // injecting takes until it is closed; nil: no time

	mu     sync.Mutex
	made   []plan.Disruption
	active map[string]bool // by the names of disruptions
	lifted []string
	held   []string // prepared and not released
}

func (c *cluster) driver(d plan.Disruption, _ disrupt.Site) (disrupt.Disruption, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = append(c.made, d)
	return &clusterFault{c, d}, nil
}

type clusterFault struct {
	of *cluster
	d  plan.Disruption
}

func (f *clusterFault) chosen() []string {
	n := f.d.AtMost.Of(len(f.of.pods))
	return f.of.pods[:n]
}

func (f *clusterFault) Prepare(context.Context) (measure.Reach, error) {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.of.held = append(f.of.held, f.d.Name)
	if f.of.prepare != nil {
		return measure.Reach{}, f.of.prepare
	}
	return measure.Reach{Unit: "pods", Of: f.of.pods, Selected: f.chosen()}, nil
}

func (f *clusterFault) Inject(ctx context.Context, _ func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	if f.of.slow {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f.of.until != nil {
		<-f.of.until
	}
	fault, _ := f.d.Fault()
	if err := f.of.inject[fault]; err != nil {
		return nil, err
	}
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.of.active[f.d.Name] = true
	return func(ctx context.Context) (measure.Touch, error) {
		f.of.mu.Lock()
		defer f.of.mu.Unlock()
		if ctx.Err() != nil {
			return measure.Touch{}, ctx.Err()
		}
		if f.of.lift != nil {
			return measure.Touch{}, f.of.lift
		}
		delete(f.of.active, f.d.Name)
		f.of.lifted = append(f.of.lifted, f.d.Name)
		return measure.Touch{Matched: 10, Touched: 4, Unit: "pods", Names: f.chosen()}, nil
	}, nil
}

// Release implements [disrupt.Releaser].
func (f *clusterFault) Release(ctx context.Context) error {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.of.held = slices.DeleteFunc(f.of.held, func(name string) bool { return name == f.d.Name && ctx.Err() == nil })
	return f.of.release
}

// find is a [podFinder].
func (c *cluster) find(context.Context, plan.Kubernetes, disrupt.Site) ([]string, error) {
	return c.pods, c.looking
}

// of is the disruption of a name, as the driver was given it.
func (c *cluster) of(t *testing.T, name string) plan.Disruption {
	t.Helper()
	i := slices.IndexFunc(c.made, func(d plan.Disruption) bool { return d.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return c.made[i]
}

func newCluster() *cluster {
	return &cluster{pods: []string{"shop-1", "shop-2", "shop-3"}, active: map[string]bool{}, inject: map[string]error{}}
}

// vuOn is a VU of a k6 with the module, on a cluster.
type vuOn struct {
	*modulestest.Runtime
	session *session
	said    []string
}

func newVU(t *testing.T, c *cluster, stream plan.Stream) *vuOn {
	t.Helper()
	runtime := modulestest.NewRuntime(t)
	s := newSession()
	s.driver, s.pods = c.driver, c.find
	s.apply(plan.Settings{Source: "k6", Stream: stream})
	s.attached.Store(true)
	v := &vuOn{Runtime: runtime, session: s}
	instance := (&module{session: s}).NewModuleInstance(runtime.VU)
	for name, export := range instance.Exports().Named {
		require.NoError(t, runtime.VU.Runtime().Set(name, export))
	}
	require.NoError(t, runtime.VU.Runtime().Set("say", func(what string) { v.said = append(v.said, what) }))
	runtime.MoveToVUContext(&lib.State{})
	return v
}

func aStream() plan.Stream {
	return plan.Stream{Phase: "beta", Arm: measure.Candidate, Run: "run-1", Test: plan.Test{Name: "checkout", Load: &plan.Profile{}}}
}

func (v *vuOn) run(t *testing.T, code string) error {
	t.Helper()
	_, err := v.RunOnEventLoop("(async () => {" + code + "})()")
	return err
}

// events are those of the disruptions: kind, name, and some attributes.
func (v *vuOn) events(attrs ...string) []string {
	var out []string
	for _, e := range v.session.take().Events {
		text := e.Kind + " " + e.Name
		for _, a := range attrs {
			if e.Attrs[a] != "" {
				text += " " + a + "=" + e.Attrs[a]
			}
		}
		out = append(out, text)
	}
	return out
}

const newPods = `const d = new PodDisruptor({namespace: 'shop', select: {labels: {app: 'shop'}}, exclude: {labels: {tier: 'db'}}}, {injectTimeout: '5s'}); `

func TestInjectHTTPFaults(t *testing.T) {
	c := newCluster()
	v := newVU(t, c, aStream())
	until := make(chan struct{})
	c.until = until
	require.NoError(t, v.VU.Runtime().Set("goOn", func() { close(until) }))
	require.NoError(t, v.run(t, newPods+`
		const p = d.injectHTTPFaults({port: 8080, averageDelay: '100ms', delayVariation: 20, errorRate: 0.4, errorCode: 500, errorBody: 'no',
			exclude: '/health, /ready'}, '50ms', {name: 'slow', settle: '1s', proxyPort: 9000});
		say('goes on');
		setTimeout(() => { say('timer'); goOn(); }, 1);
		const got = await p;
		say(JSON.stringify(got));
	`))
	require.Equal(t, []string{"goes on", "timer", `{"name":"slow","matched":10,"touched":4}`}, v.said, "the VU is not held")
	require.Empty(t, c.active)
	require.ElementsMatch(t, []string{"slow", "slow.error"}, c.lifted)
	require.Equal(t, []string{
		"disruption slow fault=latency on=app=shop share=1 settle=1s", "disruption slow.error sweep=slow fault=error on=app=shop share=0.4 settle=1s",
		"lifted slow touched=4 matched=10 unit=pods names=shop-1, shop-2, shop-3", "lifted slow.error touched=4 matched=10 unit=pods names=shop-1, shop-2, shop-3",
	}, v.events("sweep", "fault", "on", "share", "settle", "touched", "matched", "unit", "names"))
	require.Len(t, c.made, 2)
	on := &plan.Kubernetes{
		Namespace: "shop", Select: map[string]string{"app": "shop"}, Exclude: map[string]string{"tier": "db"}, Port: "8080", Protocol: "http",
	}
	match := &plan.Match{Exclude: []string{"/health", "/ready"}}
	require.Equal(t, &plan.Latency{Delay: plan.Duration(100 * time.Millisecond), Jitter: plan.Duration(20 * time.Millisecond)}, c.made[0].Latency)
	require.Equal(t, &plan.Error{Status: 500, Body: "no"}, c.made[1].Error)
	for _, d := range c.made {
		require.Equal(t, on, d.Kubernetes)
		require.Equal(t, match, d.Match)
		require.Equal(t, &plan.Amount{Share: 1}, d.AtMost)
	}
}

// Without await the iteration is not over before the fault is.
func TestInjectWithoutAwait(t *testing.T) {
	c := newCluster()
	v := newVU(t, c, aStream())
	require.NoError(t, v.run(t, `
		const d = new ServiceDisruptor('shop', 'default');
		d.injectHTTPFaults({errorRate: 1, errorCode: 503}, '20ms');
		d.injectHTTPFaults({averageDelay: '1s', exclude: ''}, '10ms');
		d.injectGrpcFaults({port: 9000, errorRate: 0.5, statusCode: 14, statusMessage: 'away'}, '10ms');
		say('done');
	`))
	require.Equal(t, []string{"done"}, v.said)
	require.Empty(t, c.active)
	require.ElementsMatch(t, []string{"shop-http-1", "shop-http-2", "shop-grpc-1"}, c.lifted)
	require.Equal(t, &plan.Kubernetes{Namespace: "default", Service: "shop", Protocol: "http"}, c.of(t, "shop-http-1").Kubernetes)
	require.Nil(t, c.of(t, "shop-http-2").Match)
	require.Equal(t, &plan.Error{GRPC: "UNAVAILABLE", Message: "away"}, c.of(t, "shop-grpc-1").Error)
	require.Equal(t, &plan.Kubernetes{Namespace: "default", Service: "shop", Protocol: "grpc", Port: "9000"}, c.of(t, "shop-grpc-1").Kubernetes)
}

func TestInjectNetworkFaults(t *testing.T) {
	c := newCluster()
	v := newVU(t, c, aStream())
	require.NoError(t, v.run(t, `
		const d = new PodDisruptor({select: {labels: {app: 'shop'}}});
		await d.injectNetworkFaults({port: 5432, protocol: 'tcp'}, '10ms');
		await d.injectNetworkFaults({}, '10ms');
		await d.injectHTTPFaults({averageDelay: '5ms'}, '10ms');
	`))
	require.Equal(t, &plan.Drop{Ports: []int{5432}, Protocol: "tcp"}, c.made[0].Drop)
	require.Equal(t, &plan.Drop{}, c.made[1].Drop)
	require.Equal(t, "80", c.made[2].Kubernetes.Port, "the default of xk6-disruptor")
	require.Equal(t, []string{"pods-network-1", "pods-network-2", "pods-http-1"}, c.lifted)
}

func TestTerminatePods(t *testing.T) {
	tests := map[string]struct {
		arguments string
		said      string
		err       string
	}{
		"one":          {`{count: 1}`, "shop-1", ""},
		"a percentage": {`{count: '67%', timeout: '3s'}`, "shop-1,shop-2", ""},
		"all":          {`{count: 3}, {name: 'gone'}`, "shop-1,shop-2,shop-3", ""},
		"too many":     {`{count: 4}`, "", "there are 3 pods, fewer than the 4 to terminate"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster()
			v := newVU(t, c, aStream())
			err := v.run(t, newPods+`say((await d.terminatePods(`+tt.arguments+`)).join())`)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				require.Empty(t, c.lifted)
				require.Equal(t, []string{"skipped pods-terminate-1"}, v.events())
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{tt.said}, v.said)
			require.Len(t, c.lifted, 1)
		})
	}
}

func TestTargets(t *testing.T) {
	c := newCluster()
	v := newVU(t, c, aStream())
	require.NoError(t, v.run(t, newPods+`say(d.targets().join()); say(new ProxyDisruptor('payments').targets().join())`))
	require.Equal(t, []string{"shop-1,shop-2,shop-3", "payments"}, v.said)
	c.prepare = errors.New("this account may not delete pods")
	require.NoError(t, v.run(t, newPods+`d.targets()`), "looking takes no right to disrupt")
	c.looking = errors.New("no pods match app=shop in namespace shop")
	require.ErrorContains(t, v.run(t, newPods+`d.targets()`), "targets: no pods match app=shop")
	require.Empty(t, v.events(), "looking is no disruption")
}

// A test that ends lifts at once, with a context that has not ended.
func TestEndOfTestLifts(t *testing.T) {
	c := newCluster()
	v := newVU(t, c, aStream())
	require.NoError(t, v.VU.Runtime().Set("stop", v.CancelContext))
	require.NoError(t, v.VU.Runtime().Set("active", func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.active)
	}))
	began := time.Now()
	require.NoError(t, v.run(t, newPods+`
		const p = d.injectHTTPFaults({averageDelay: '1s', errorRate: 1, errorCode: 500}, '15s');
		const look = () => { if (active() === 2) { stop(); } else { setTimeout(look, 1); } };
		look();
		await p;
	`))
	require.Less(t, time.Since(began), 10*time.Second)
	require.Empty(t, c.active)
	require.Empty(t, c.held, "what was prepared is released")
	require.Equal(t, []string{"disruption pods-http-1", "disruption pods-http-1.error", "lifted pods-http-1", "lifted pods-http-1.error"}, v.events())
}

func TestFailures(t *testing.T) {
	const both = newPods + `await d.injectHTTPFaults({averageDelay: '1s', errorRate: 1, errorCode: 500}, '10ms', {name: 'both'})`
	tests := map[string]struct {
		cluster func(c *cluster)
		stream  func(s *plan.Stream)
		code    string
		err     string
		events  []string
	}{
		"can not be injected": {
			cluster: func(c *cluster) { c.prepare = errors.New("no rights to patch pods") }, code: both,
			err: `disruption "both": no rights to patch pods`, events: []string{"skipped both", "skipped both.error"},
		},
		"half of it can not be injected": {
			cluster: func(c *cluster) { c.inject["error"] = errors.New("the agent did not start") }, code: both,
			err: `disruption "both.error": the agent did not start`, events: []string{"disruption both", "lifted both", "skipped both.error"},
		},
		"half of it can not be injected, the other not be lifted": {
			cluster: func(c *cluster) {
				c.inject["error"], c.lift = errors.New("the agent did not start"), errors.New("the API server is away")
			}, code: both,
			err:    `disruption "both" may still be in effect: the API server is away`,
			events: []string{"disruption both", "lifted both error=the API server is away", "skipped both.error"},
		},
		"too late": {
			cluster: func(c *cluster) { c.slow = true },
			code:    strings.Replace(both, "'5s'", "'20ms'", 1),
			err:     "it was not in effect within 20ms", events: []string{"skipped both", "skipped both.error"},
		},
		"can not be lifted": {
			cluster: func(c *cluster) { c.lift = errors.New("the API server is away") }, code: both,
			err:    `disruption "both" may still be in effect: the API server is away`,
			events: []string{"disruption both", "disruption both.error", "lifted both error=the API server is away", "lifted both.error error=the API server is away"},
		},
		"agents stay at work": {
			cluster: func(c *cluster) { c.prepare, c.release = errors.New("no rights"), errors.New("the API server is away") }, code: both,
			err: "no rights", events: []string{"skipped both", "skipped both.error", "warning both"},
		},
		"production": {
			stream: func(s *plan.Stream) { s.Phase = "production" }, code: both,
			err: "users are served here, as the name of the phase says", events: []string{"skipped both", "skipped both.error"},
		},
		"a namespace of production": {
			code: strings.Replace(both, "'shop'", "'prod'", 1),
			err:  "users are served here, as the namespace prod says", events: []string{"skipped both", "skipped both.error"},
		},
		"no proxies": {
			code: `await new ProxyDisruptor('payments').inject({latency: {delay: '1s'}}, '1s')`,
			err:  "there are no proxies to control", events: []string{"skipped payments-latency-1"},
		},
		"no image": {
			code: "useTheCluster();" + both,
			err:  "there is no image for agents: give the disruptor {image:", events: []string{"skipped both", "skipped both.error"},
		},
		"production that is meant": {
			stream: func(s *plan.Stream) { s.Phase, s.Disrupt = "production", true }, code: both,
			events: []string{"disruption both", "disruption both.error", "lifted both", "lifted both.error"},
		},
		"without a plan": {
			stream: func(s *plan.Stream) { *s = plan.Stream{} }, code: strings.Replace(both, "'shop'", "'prod'", 1),
			events: []string{"disruption both", "disruption both.error", "lifted both", "lifted both.error"},
		},
		"the baseline's script injects nothing": {
			stream: func(s *plan.Stream) { s.Arm = measure.Baseline; s.Test.Load.Injects = plan.Names{"both"} }, code: both, events: nil,
		},
		"a promise that is not kept": {
			stream: func(s *plan.Stream) { s.Test.Load.Injects = plan.Names{"both", "never"} }, code: both,
			events: []string{"disruption both", "disruption both.error", "lifted both", "lifted both.error", "skipped never"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, stream := newCluster(), aStream()
			if tt.cluster != nil {
				tt.cluster(c)
			}
			if tt.stream != nil {
				tt.stream(&stream)
			}
			v := newVU(t, c, stream)
			defer func() { require.Empty(t, c.held) }()
			require.NoError(t, v.VU.Runtime().Set("useTheCluster", func() { v.session.driver = onCluster }))
			err := v.run(t, tt.code)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
			} else {
				require.NoError(t, err)
			}
			v.session.mu.Lock()
			v.session.unkept()
			v.session.mu.Unlock()
			got := v.events("error")
			if tt.events == nil {
				require.Empty(t, got)
				require.Empty(t, c.lifted)
				return
			}
			slices.Sort(got)
			slices.Sort(tt.events)
			require.Equal(t, tt.events, got)
			if c.lift == nil {
				require.Empty(t, c.active)
			}
		})
	}
}

// TestArguments wants each mistake to be told with what to do about it.
func TestArguments(t *testing.T) {
	tests := map[string]string{
		`new PodDisruptor()`:                                                          "PodDisruptor: the selector is missing",
		`new PodDisruptor(null)`:                                                      "PodDisruptor: the selector is missing",
		`new PodDisruptor('shop')`:                                                    `the selector wants an object, not the text "shop"`,
		`new PodDisruptor({})`:                                                        "the selector is empty: give it a namespace, select or exclude",
		`new PodDisruptor({namespce: 'shop'})`:                                        `the selector has no field "namespce"; did you mean "namespace"?`,
		`new PodDisruptor({select: {app: 'shop'}})`:                                   `select of the selector has no field "app"`,
		`new PodDisruptor({select: {labels: {app: 7}}})`:                              "the label app wants a text, not the number 7",
		`new PodDisruptor({select: {labels: ['app']}})`:                               "labels wants an object of labels, not a list",
		`new PodDisruptor({namespace: 'shop'}, {injectTimeout: 30})`:                  "injectTimeout wants a text with a unit such as '30s', not the number 30",
		`new PodDisruptor({namespace: 'shop'}, {timeout: '3s'})`:                      `options has no field "timeout"; there are: image, injectTimeout`,
		`new ServiceDisruptor('shop')`:                                                "ServiceDisruptor: the namespace is missing",
		`new ServiceDisruptor()`:                                                      "ServiceDisruptor: the service is missing",
		`new ServiceDisruptor('', 'default')`:                                         "the service wants a name",
		`new ServiceDisruptor('shop', {})`:                                            "the namespace wants a name, not an object",
		`new ProxyDisruptor()`:                                                        "ProxyDisruptor: the name is missing",
		`new ProxyDisruptor(7)`:                                                       "the name wants a text, not the number 7",
		`new ProxyDisruptor('a b')`:                                                   "a name holds letters, digits, - _ and . only",
		`new ProxyDisruptor('payments', {url: 'http://x'})`:                           `options has no field "url"`,
		`new ProxyDisruptor('payments', {token: 'x'})`:                                "token and ca are those of a control: give its URL, too",
		`d.injectHTTPFaults()`:                                                        "injectHTTPFaults: the HTTP fault is missing",
		`d.injectHTTPFaults({}, '1s')`:                                                "the HTTP fault does nothing: give it averageDelay or errorRate",
		`d.injectHTTPFaults({averageDely: '1s'}, '1s')`:                               `the HTTP fault has no field "averageDely"; did you mean "averageDelay"?`,
		`d.injectHTTPFaults({averageDelay: '1'}, '1s')`:                               `averageDelay wants a length of time such as '30s' or '500ms'; got "1"`,
		`d.injectHTTPFaults({averageDelay: '-1s'}, '1s')`:                             "averageDelay is 0s to 24h; got -1s",
		`d.injectHTTPFaults({averageDelay: '25h'}, '1s')`:                             "averageDelay is 0s to 24h; got 25h0m0s",
		`d.injectHTTPFaults({averageDelay: NaN}, '1s')`:                               "averageDelay is 0 to 24h; got NaN ms",
		`d.injectHTTPFaults({averageDelay: '1s', delayVariation: '2s'}, '1s')`:        "delayVariation 2s is more than averageDelay 1s",
		`d.injectHTTPFaults({errorRate: 1.5, errorCode: 500}, '1s')`:                  "errorRate is from 0 to 1; got 1.5",
		`d.injectHTTPFaults({errorRate: '10%', errorCode: 500}, '1s')`:                `errorRate wants a number from 0 to 1, not the text "10%"`,
		`d.injectHTTPFaults({errorRate: 0.1}, '1s')`:                                  "errorRate wants errorCode, such as 500",
		`d.injectHTTPFaults({errorCode: 500}, '1s')`:                                  "without errorRate there are no errors",
		`d.injectHTTPFaults({errorRate: 0.1, errorCode: 200}, '1s')`:                  "errorCode is 400 to 599; got 200",
		`d.injectHTTPFaults({errorRate: 0.1, errorCode: 500, port: 70000}, '1s')`:     "port is 0 to 65535; got 70000",
		`d.injectHTTPFaults({errorRate: 0.1, errorCode: 500, exclude: ['/a']}, '1s')`: "exclude wants a text, not a list",
		`d.injectHTTPFaults({averageDelay: '1s'})`:                                    "the duration is missing: the second argument, such as '30s'",
		`d.injectHTTPFaults({averageDelay: '1s'}, 30)`:                                "the duration wants a text with a unit such as '30s', not the number 30",
		`d.injectHTTPFaults({averageDelay: '1s'}, '0s')`:                              "the duration is more than 0s",
		`d.injectHTTPFaults({averageDelay: '1s'}, '1s', {nam: 'x'})`:                  `options has no field "nam"; did you mean "name"?`,
		`d.injectHTTPFaults({averageDelay: '1s'}, '1s', {name: 'each'})`:              "is a word of the gate language",
		`d.injectHTTPFaults({averageDelay: '1s'}, '1s', {settle: '-1s'})`:             "settle can not be negative",
		`d.injectGrpcFaults({errorRate: 0.1}, '1s')`:                                  "errorRate wants a statusCode of 1 to 16",
		`d.injectGrpcFaults({errorRate: 0.1, statusCode: 17}, '1s')`:                  "statusCode is 0 to 16; got 17",
		`d.injectGrpcFaults({errorCode: 3}, '1s')`:                                    `the gRPC fault has no field "errorCode"`,
		`d.injectNetworkFaults({protocol: 'icmp'}, '1s')`:                             `protocol is tcp or udp, or left out for both; got "icmp"`,
		`d.injectNetworkFaults({port: 1.5}, '1s')`:                                    "port wants a whole number, not the number 1.5",
		`d.terminatePods()`:                                                           "terminatePods: the fault is missing",
		`d.terminatePods({})`:                                                         "count is missing: a number of pods, or a percentage such as '50%'",
		`d.terminatePods({count: '200%'})`:                                            `count wants a number of pods or a percentage such as '50%'; got "200%"`,
		`d.terminatePods({count: 0})`:                                                 "count is 1 to 10000; got 0",
		`p.inject()`:                                                                  "inject: the fault is missing",
		`p.inject({}, '1s')`:                                                          "a disruption wants one of",
		`p.inject({latncy: {delay: '1s'}}, '1s')`:                                     `did you mean "latency"?`,
		`p.inject({latency: {delay: '1s'}, at: '3s'}, '1s')`:                          `the fault can not have "at" in a script: it begins now`,
		`p.inject({latency: {delay: '1s'}, share: '130%'}, '1s')`:                     "share",
		`p.inject({latency: {delay: '1s'}, error: {}}, '1s')`:                         "can not have both",
		`p.injectHTTPFaults({averageDelay: '1s', port: 80}, '1s')`:                    `the HTTP fault has no field "port"`,
	}
	for code, want := range tests {
		t.Run(code, func(t *testing.T) {
			v := newVU(t, newCluster(), aStream())
			err := v.run(t, fmt.Sprintf("%s; const p = new ProxyDisruptor('payments'); %s;", newPods, code))
			require.ErrorContains(t, err, want)
			require.Empty(t, v.events())
		})
	}
}

func TestDisruptorsInTheInitContext(t *testing.T) {
	v := newVU(t, newCluster(), aStream())
	v.VU.StateField = nil
	require.ErrorContains(t, v.run(t, newPods+`d.injectHTTPFaults({averageDelay: '1s'}, '1s')`), "call it in a function that runs")
}

func TestTokenOfTheControlIsHidden(t *testing.T) {
	stream := aStream()
	stream.Control = &plan.Control{URL: "http://127.0.0.1:1", Token: "open-sesame"}
	s := newSurroundings(plan.Settings{Stream: stream, Headers: map[string]string{"X-Key": "password1"}})
	require.NotContains(t, s.said("told open-sesame and password1"), "open-sesame")
	require.NotContains(t, s.said("told open-sesame and password1"), "password1")
}

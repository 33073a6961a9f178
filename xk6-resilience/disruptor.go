package xk6resilience

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/grafana/sobek"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Defaults of disruptors. Those of time and port are xk6-disruptor's.
const (
	defaultInjectTimeout = 30 * time.Second
	defaultTerminate     = 10 * time.Second
	defaultPodPort       = "80"
	defaultSettle        = 10 * time.Second
)

// disruptor is what PodDisruptor, ServiceDisruptor and ProxyDisruptor have in
// common: what their faults act on, and how they get there.
type disruptor struct {
	vu     *vu
	base   string // names of disruptions begin with it
	within time.Duration
	ported bool // faults have a port
	driver driver
	place  func(d plan.Disruption, port, protocol string) plan.Disruption // acts on it
}

// call is one call of a method that injects something.
type call struct {
	*disruptor
	method string
}

// method makes a function of JavaScript that reads its arguments at once, throws
// where they are wrong, and returns a promise of the rest.
func (d *disruptor) method(name string, do func(c call, arguments sobek.FunctionCall) (sobek.Value, error)) func(sobek.FunctionCall) sobek.Value {
	return func(arguments sobek.FunctionCall) sobek.Value {
		if d.vu.State() == nil {
			d.vu.throw(fmt.Errorf("%s: call it in a function that runs, not at the top of the script", name))
		}
		result, err := do(call{d, name}, arguments)
		if err != nil {
			d.vu.throw(fmt.Errorf("%s: %w", name, err))
		}
		return result
	}
}

// options are the optional last argument of a method that injects something.
type options struct {
	name   string
	settle time.Duration
}

// readOptions reads them. The port that xk6-disruptor's agent listened at
// (proxyPort) is accepted and has no meaning: our agent takes a free one.
func readOptions(value sobek.Value) (options, error) {
	o := readObject("options", value, "name", "settle", "proxyPort")
	o.port("proxyPort")
	out := options{name: o.text("name"), settle: defaultSettle}
	if o.has("settle") {
		out.settle = o.duration("settle")
	}
	if o.has("name") {
		if err := plan.ValidName(out.name); err != nil {
			o.wrong("options: %w", err)
		}
	}
	if out.settle < 0 {
		o.wrong("options: settle can not be negative; got %s", out.settle)
	}
	return out, o.err
}

// httpFaults is injectHTTPFaults(fault, duration, options).
func (c call) httpFaults(arguments sobek.FunctionCall) (sobek.Value, error) {
	parts, port, err := readHTTPFault(arguments.Argument(0), c.ported)
	return c.protocolFaults("http", parts, port, err, arguments)
}

// grpcFaults is injectGrpcFaults(fault, duration, options).
func (c call) grpcFaults(arguments sobek.FunctionCall) (sobek.Value, error) {
	parts, port, err := readGRPCFault(arguments.Argument(0), c.ported)
	return c.protocolFaults("grpc", parts, port, err, arguments)
}

func (c call) protocolFaults(protocol string, parts []plan.Disruption, port string, err error, arguments sobek.FunctionCall) (sobek.Value, error) {
	if err != nil {
		return nil, err
	}
	for i := range parts {
		parts[i] = c.place(parts[i], port, protocol)
	}
	return c.timed(protocol, parts, arguments)
}

// networkFaults is injectNetworkFaults(fault, duration, options).
func (c call) networkFaults(arguments sobek.FunctionCall) (sobek.Value, error) {
	d, err := readNetworkFault(arguments.Argument(0))
	if err != nil {
		return nil, err
	}
	return c.timed("network", []plan.Disruption{c.place(d, "", "")}, arguments)
}

// planFault is inject(fault, duration, options) with a fault as in a plan.
func (c call) planFault(arguments sobek.FunctionCall) (sobek.Value, error) {
	d, err := readPlanFault(arguments.Argument(0), c.base)
	if err != nil {
		return nil, err
	}
	kind, _ := d.Fault()
	return c.timed(kind, []plan.Disruption{c.place(d, "", "")}, arguments)
}

// timed injects for the duration in the second argument, with the options in
// the third.
func (c call) timed(kind string, parts []plan.Disruption, arguments sobek.FunctionCall) (sobek.Value, error) {
	length, err := readLength(arguments.Argument(1))
	if err != nil {
		return nil, err
	}
	o, err := readOptions(arguments.Argument(2))
	if err != nil {
		return nil, err
	}
	return c.promise(c.injection(kind, parts, length, c.within, o), c.summary), nil
}

// injection makes an injection of what a call asks for. The first of its
// disruptions has the name of the call; another comes and goes with it, and has
// its fault added to that.
func (d *disruptor) injection(kind string, parts []plan.Disruption, length, within time.Duration, o options) *injection {
	s := d.vu.session
	name := o.name
	if name == "" {
		name = s.numbered(d.base + "-" + kind)
	}
	i := &injection{session: s, driver: d.driver, site: d.vu.site(), length: length, within: within}
	settle, all := plan.Duration(o.settle), plan.Amount{Share: 1}
	for n, p := range parts {
		p.Name, p.For, p.Settle = name, plan.Duration(length), &settle
		if n > 0 {
			fault, _ := p.Fault()
			p.Name += "." + fault
		}
		if p.AtMost == nil && p.Dependency == "" {
			p.AtMost = &all
		}
		s.injects(p.Name)
		i.parts = append(i.parts, &part{plan: p})
	}
	return i
}

// promise runs an injection beside the VU, which goes on with its script: the
// promise is settled once nothing is in effect any more. A test ends no
// iteration before that.
func (d *disruptor) promise(i *injection, result func(name string, t measure.Touch) any) sobek.Value {
	rt, ctx := d.vu.Runtime(), d.vu.Context()
	promise, resolve, reject := rt.NewPromise()
	callback := d.vu.RegisterCallback()
	refused := d.vu.session.refuses(i)
	go func() {
		touch, err := measure.Touch{}, refused
		switch {
		case refused != nil:
			i.skipped(refused)
		case d.vu.session.mirrors():
			i.idle(ctx)
		default:
			touch, err = i.run(ctx)
		}
		callback(func() error {
			if err != nil {
				return reject(rt.NewGoError(err))
			}
			return resolve(result(i.parts[0].plan.Name, touch))
		})
	}()
	return rt.ToValue(promise)
}

// idle waits as long as the injection would be in effect.
func (i *injection) idle(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(i.length):
	}
}

// summary is what a promise gives: proof that the fault bit.
func (d *disruptor) summary(name string, t measure.Touch) any {
	out := d.vu.Runtime().NewObject()
	d.vu.set(out, "name", name)
	d.vu.set(out, "matched", t.Matched)
	d.vu.set(out, "touched", t.Touched)
	return out
}

// numbered gives a name that no call was given before: NAME-1, NAME-2.
func (s *session) numbered(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers[name]++
	return fmt.Sprintf("%s-%d", name, s.numbers[name])
}

// injects notes that the script asked for a disruption of this name.
func (s *session) injects(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.promised, name)
}

// unkept notes the disruptions of which the plan says that the script injects
// them, and it never did. The caller holds the lock.
func (s *session) unkept() {
	for _, name := range slices.Sorted(maps.Keys(s.promised)) {
		s.event(measure.Event{Kind: measure.EventSkipped, Name: name, Attrs: map[string]string{"reason": "the script did not inject it"}})
	}
}

// mirrors reports whether this is the baseline's k6, whose script is the
// candidate's: that one injects, and both see it.
func (s *session) mirrors() bool { return s.around.Load().names.Arm == measure.Baseline }

// refuses says why a script must not inject something where a plan is run; nil
// where it may. k6 without a plan has nobody who could say that it is meant.
func (s *session) refuses(i *injection) error {
	for _, p := range i.parts {
		if err := s.spares(p.plan); err != nil {
			return err
		}
	}
	return nil
}

// spares is an error where a disruption would hurt users.
func (s *session) spares(d plan.Disruption) error {
	st := s.around.Load().stream
	if st.Test.Name == "" {
		return nil
	}
	return plan.Phase{Name: st.Phase, Production: st.Production, Disrupt: st.Disrupt}.SparesUsers(d, st.Target.URL)
}

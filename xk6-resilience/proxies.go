package xk6resilience

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/grafana/sobek"

	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Variables that name a control of proxies to a k6 that no harness started. One
// that was started by the harness learns of its control with its settings: a
// token in the environment is there for everyone to see.
const (
	controlURL   = "RESILIENCE_CONTROL_URL"
	controlToken = "RESILIENCE_CONTROL_TOKEN" //nolint:gosec // the name of one
)

// control is where orders for proxies go.
type control struct{ url, token, ca string }

// proxyDisruptor is `new ProxyDisruptor(name, options)`.
func (v *vu) proxyDisruptor(c sobek.ConstructorCall) *sobek.Object {
	name, where, err := v.readProxy(c)
	if err != nil {
		v.throw(fmt.Errorf("ProxyDisruptor: %w", err))
	}
	d := &disruptor{
		vu: v, base: name, within: defaultInjectTimeout,
		place: func(d plan.Disruption, _, _ string) plan.Disruption {
			d.Dependency = name
			return d
		},
		driver: func(d plan.Disruption, s disrupt.Site) (disrupt.Disruption, error) {
			by, err := v.session.controller(where)
			if err != nil {
				return nil, fmt.Errorf("ProxyDisruptor: %w", err)
			}
			return &ordered{by: by, plan: d, seed: s.Seed}, nil
		},
	}
	return v.object(map[string]any{
		"targets":          func() []string { return []string{name} },
		"injectHTTPFaults": d.method("injectHTTPFaults", call.httpFaults),
		"injectGrpcFaults": d.method("injectGrpcFaults", call.grpcFaults),
		"inject":           d.method("inject", call.planFault),
	})
}

// readProxy reads the arguments. Without options it is the harness's own
// control, or the one that the environment names.
func (v *vu) readProxy(c sobek.ConstructorCall) (name string, where control, err error) {
	if absent(c.Argument(0)) {
		return "", where, errors.New("the name is missing: write new ProxyDisruptor('payments')")
	}
	name, ok := c.Argument(0).Export().(string)
	if !ok {
		return "", where, fmt.Errorf("the name wants a text, not %s", kindOf(c.Argument(0).Export()))
	}
	if err := plan.ValidName(name); err != nil {
		return "", where, err
	}
	o := readObject("options", c.Argument(1), "control", "token", "ca")
	where = control{o.text("control"), o.text("token"), o.text("ca")}
	if where.url == "" && (o.has("token") || o.has("ca")) {
		o.wrong("options: token and ca are those of a control: give its URL, too")
	}
	return name, where, o.err
}

// known fills in the control that a script does not name.
func (s *session) known(where control) (control, error) {
	switch c := s.around.Load().stream.Control; {
	case where.url != "":
		return where, nil
	case c != nil:
		return control{url: c.URL, token: c.Token}, nil
	case os.Getenv(controlURL) != "":
		return control{url: os.Getenv(controlURL), token: os.Getenv(controlToken)}, nil
	}
	return where, fmt.Errorf("there are no proxies to control: the plan has no dependencies, or k6 runs without the harness; "+
		"give new ProxyDisruptor(name, {control: 'http://HOST:PORT', token: ...}), or set %s and %s", controlURL, controlToken)
}

// controller gives the one controller of a control that this process has.
func (s *session) controller(where control) (*disrupt.Controller, error) {
	where, err := s.known(where)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if by := s.controls[where]; by != nil {
		return by, nil
	}
	var config *tls.Config
	if where.ca != "" {
		if config, err = (&plan.TLS{CA: where.ca}).Config(s.around.Load().stream.Dir); err != nil {
			return nil, err
		}
	}
	by, err := disrupt.NewController(where.url, where.token, config)
	if err != nil {
		return nil, err
	}
	by.Warn = func(name, detail string) {
		s.keep(func() {
			s.event(measure.Event{Kind: measure.EventWarning, Name: name, Attrs: map[string]string{"detail": strings.TrimSpace(name + ": " + detail)}})
		})
	}
	s.controls[where] = by
	return by, nil
}

// ordered is a fault on a proxy that a control is asked for. It ends soon after
// nobody renews it any more.
type ordered struct {
	by   *disrupt.Controller
	plan plan.Disruption
	seed int64
}

// Prepare implements [disrupt.Disruption].
func (o *ordered) Prepare(ctx context.Context) (measure.Reach, error) {
	status, err := o.by.Status(ctx)
	if err != nil {
		return measure.Reach{}, fmt.Errorf("disruption %q: %w", o.plan.Name, err)
	}
	var names []string
	for _, p := range status.Proxies {
		if p.Name == o.plan.Dependency {
			return measure.Reach{}, nil
		}
		names = append(names, p.Name)
	}
	return measure.Reach{}, fmt.Errorf("disruption %q: there is no proxy %q; %s", o.plan.Name, o.plan.Dependency,
		cmp.Or(plan.DidYouMean(o.plan.Dependency, names), "there are many others"))
}

// Inject implements [disrupt.Disruption].
func (o *ordered) Inject(ctx context.Context, _ func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	lift, err := o.by.Inject(ctx, o.plan.Dependency, o.plan, o.seed)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", o.plan.Name, err)
	}
	return lift, nil
}

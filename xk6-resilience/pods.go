package xk6resilience

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/grafana/sobek"

	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// podDisruptor is `new PodDisruptor(selector, options)`.
func (v *vu) podDisruptor(c sobek.ConstructorCall) *sobek.Object {
	k, within, err := readPods(c)
	if err != nil {
		v.throw(fmt.Errorf("PodDisruptor: %w", err))
	}
	d := v.onPods("pods", k, within, defaultPodPort)
	methods := d.methods()
	methods["injectNetworkFaults"] = d.method("injectNetworkFaults", call.networkFaults)
	return v.object(methods)
}

func readPods(c sobek.ConstructorCall) (k plan.Kubernetes, within time.Duration, err error) {
	if absent(c.Argument(0)) {
		return k, 0, errors.New("the selector is missing: the first argument, such as {namespace: 'shop', select: {labels: {app: 'shop'}}}")
	}
	o := readObject("the selector", c.Argument(0), "namespace", "select", "exclude")
	chosen, left := o.inner("select", "labels"), o.inner("exclude", "labels")
	k = plan.Kubernetes{Namespace: o.text("namespace"), Select: chosen.labels("labels"), Exclude: left.labels("labels")}
	if o.err = cmp.Or(o.err, chosen.err, left.err); k.Namespace == "" && len(k.Select) == 0 && len(k.Exclude) == 0 {
		o.wrong("the selector is empty: give it a namespace, select or exclude")
	}
	within, k.Image, err = readPodOptions(c.Argument(1))
	return k, within, cmp.Or(o.err, err)
}

// serviceDisruptor is `new ServiceDisruptor(service, namespace, options)`.
func (v *vu) serviceDisruptor(c sobek.ConstructorCall) *sobek.Object {
	k, within, err := readService(c)
	if err != nil {
		v.throw(fmt.Errorf("ServiceDisruptor: %w", err))
	}
	return v.object(v.onPods(k.Service, k, within, "").methods())
}

func readService(c sobek.ConstructorCall) (k plan.Kubernetes, within time.Duration, err error) {
	for i, to := range []*string{&k.Service, &k.Namespace} {
		what := []string{"service", "namespace"}[i]
		if absent(c.Argument(i)) {
			return k, 0, fmt.Errorf("the %s is missing: write new ServiceDisruptor('shop', 'default')", what)
		}
		text, ok := c.Argument(i).Export().(string)
		if !ok || text == "" {
			return k, 0, fmt.Errorf("the %s wants a name, not %s", what, kindOf(c.Argument(i).Export()))
		}
		*to = text
	}
	within, k.Image, err = readPodOptions(c.Argument(2))
	return k, within, err
}

// agentImage is the variable that names the image of the agents to scripts that
// do not.
const agentImage = "RESILIENCE_AGENT_IMAGE"

// readPodOptions reads the options of a constructor: how long injecting may take,
// and the image of the agents. As in xk6-disruptor zero and what is below stand
// for the default; there is no injecting without waiting.
func readPodOptions(value sobek.Value) (within time.Duration, image string, err error) {
	o := readObject("options", value, "injectTimeout", "image")
	within, image = o.duration("injectTimeout"), o.text("image")
	if within <= 0 {
		within = defaultInjectTimeout
	}
	return within, cmp.Or(image, os.Getenv(agentImage)), o.err
}

// onCluster makes disruptions as [disrupt.New] does. A script that does not say
// which image the agents have is told how it can.
func onCluster(d plan.Disruption, s disrupt.Site) (disrupt.Disruption, error) {
	if d.Kubernetes.Image == "" && d.Kill == nil {
		return nil, fmt.Errorf("there is no image for agents: give the disruptor {image: 'REGISTRY/resilience:VERSION'} in its options, or set %s", agentImage)
	}
	return disrupt.New(d, s)
}

// onPods is a disruptor of pods.
func (v *vu) onPods(base string, k plan.Kubernetes, within time.Duration, port string) *disruptor {
	return &disruptor{
		vu: v, base: base, within: within, ported: true,
		place: func(d plan.Disruption, asked, protocol string) plan.Disruption {
			on := k
			if protocol != "" {
				on.Port, on.Protocol = cmp.Or(asked, port), protocol
			}
			d.Kubernetes = &on
			return d
		},
		driver: v.session.driver,
	}
}

// methods are those that pods and services have in common.
func (d *disruptor) methods() map[string]any {
	return map[string]any{
		"targets":          d.targets,
		"injectHTTPFaults": d.method("injectHTTPFaults", call.httpFaults),
		"injectGrpcFaults": d.method("injectGrpcFaults", call.grpcFaults),
		"terminatePods":    d.method("terminatePods", call.terminate),
	}
}

// targets are the names of the pods that faults would act on. It asks the
// cluster, and throws where there are none.
func (d *disruptor) targets() []string {
	pods, err := d.pods(d.vu.Context())
	if err != nil {
		d.vu.throw(fmt.Errorf("targets: %w", err))
	}
	return pods
}

// podFinder finds the names of pods: [disrupt.Pods], outside of tests.
type podFinder func(ctx context.Context, k plan.Kubernetes, s disrupt.Site) ([]string, error)

// pods finds the pods that faults would act on, which takes no right to do them
// any harm.
func (d *disruptor) pods(ctx context.Context) ([]string, error) {
	if ctx == nil { // at the top of a script
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, d.within)
	defer cancel()
	return d.vu.session.pods(ctx, *d.place(plan.Disruption{}, "", "").Kubernetes, d.vu.site())
}

// terminate is terminatePods({count, timeout}, options). Its promise gives the
// names of the pods that were terminated.
func (c call) terminate(arguments sobek.FunctionCall) (sobek.Value, error) {
	if absent(arguments.Argument(0)) {
		return nil, errors.New("the fault is missing: the first argument, such as {count: 1}")
	}
	fault := readObject("the fault", arguments.Argument(0), "count", "timeout")
	count, within := fault.count("count"), fault.duration("timeout")
	o, err := readOptions(arguments.Argument(1))
	if err = cmp.Or(fault.err, err); err != nil {
		return nil, err
	}
	d := c.place(plan.Disruption{Kill: &plan.Kill{}, AtMost: &count}, "", "")
	i := c.injection("terminate", []plan.Disruption{d}, 0, cmp.Or(max(0, within), defaultTerminate), o)
	if count.Number > 0 {
		i.choose = c.enough(count.Number)
	}
	return c.promise(i, func(string, measure.Touch) any { return slices.Clone(i.parts[0].touch.Names) }), nil
}

// enough wants as many pods as a script asked to terminate. It may ask for all
// of them: that it says a number is clear enough.
func (c call) enough(count int) func(context.Context, *injection) error {
	return func(ctx context.Context, i *injection) error {
		pods, err := c.pods(ctx)
		switch n := len(pods); {
		case err != nil:
			return err
		case count > n:
			return fmt.Errorf("there are %d pods, fewer than the %d to terminate", n, count)
		case count == n:
			i.parts[0].plan.AtMost = &plan.Amount{Share: 1}
		}
		return nil
	}
}

var percentage = regexp.MustCompile(`^([0-9]{1,3})%$`)

// count reads a number of pods, or a percentage of them.
func (o *object) count(name string) plan.Amount {
	text, is := o.fields[name].(string)
	if !is {
		n := o.whole(name, 1, 10_000)
		if n == 0 {
			o.wrong("%s: count is missing: a number of pods, or a percentage such as '50%%'", o.what)
		}
		return plan.Amount{Number: n}
	}
	if found := percentage.FindStringSubmatch(text); found != nil {
		if n, _ := strconv.Atoi(found[1]); n >= 1 && n <= 100 { // three digits always fit
			return plan.Amount{Share: plan.Percent(n) / 100}
		}
	}
	o.wrong("%s: count wants a number of pods or a percentage such as '50%%'; got %q", o.what, text)
	return plan.Amount{}
}

// site is what a disruption needs to know of this process.
func (v *vu) site() disrupt.Site {
	s := v.session
	around := s.around.Load()
	return disrupt.Site{
		Run: cmp.Or(around.stream.Run, "k6"), Phase: around.names.Phase, Dir: around.stream.Dir, Seed: around.stream.Seed, Spares: s.spares,
		Note: func(kind, name string, attrs map[string]string) {
			s.keep(func() { s.event(measure.Event{Kind: kind, Name: name, Attrs: attrs}) })
		},
	}
}

// object makes an object of functions.
func (v *vu) object(methods map[string]any) *sobek.Object {
	out := v.Runtime().NewObject()
	for name, method := range methods {
		v.set(out, name, method)
	}
	return out
}

package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
)

// SpellDisruption writes a disruption that [Bind] has been through as JSON, with
// the keys and units of a plan: [ParseDisruption] reads an equal one from it.
func SpellDisruption(d Disruption) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(plainly(reflect.ValueOf(d))); err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// loneRules are the rules of a disruption that need no plan around it.
var loneRules = []func(*checker, *Phase, *Disruption){
	validLone, oneFault, onePlace, validMatch, validLatency, validError,
	validModifiers, validDistribution, validGRPCError, validShapes, validGRPCMatch,
}

func validLone(c *checker, _ *Phase, d *Disruption) {
	if problem := wrongName(d.Name); c.given("name") && problem != "" {
		c.wrong("name", "", "%s", problem)
	}
	if c.given("share") && d.Share <= 0 {
		c.wrong("share", "", "share must be more than 0%%, or the disruption touches nothing")
	}
}

// ParseDisruption reads one disruption, in YAML or JSON, as strictly as a plan
// is read. It has no plan around it: what it refers to is not looked for, and
// texts stand for themselves, with nothing in them to be replaced.
func ParseDisruption(data []byte) (Disruption, error) {
	const path = "phases[0].disruptions[0]"
	r, d := alone("disruption", data, Options{})
	if d == nil {
		return Disruption{}, r.errs.ordered()
	}
	var out Disruption
	d.literal = true
	d.value(d.root, reflect.ValueOf(&out).Elem(), path, "")
	d.fillDisruption(&out, path, nil)
	p := &Plan{Phases: []Phase{{Disruptions: []Disruption{out}}}}
	c := &checker{decoder: d, plan: p, path: path}
	for _, rule := range loneRules {
		rule(c, &p.Phases[0], &out)
	}
	return out, r.errs.ordered()
}

// ParseDependencies reads the dependencies of a file that has nothing else, in
// YAML: a mapping of names to what a plan has under dependencies:, with proxies
// that run here. They may lead anywhere. Its places are in a file called name.
func ParseDependencies(name string, data []byte, opts Options) (map[string]Dependency, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of %s: %w", name, err)
	}
	r, d := alone(name, data, opts)
	if d == nil {
		return nil, r.errs.ordered()
	}
	p := &Plan{Dir: dir, Allow: []string{"*"}} // whoever starts a proxy says where it leads
	d.value(d.root, reflect.ValueOf(&p.Dependencies).Elem(), "dependencies", "")
	d.fillIn(p)
	c := &checker{decoder: d, plan: p}
	for _, rule := range []func(*checker, *Plan){validNames, noneElsewhere, validDependencies, listenOnce} {
		rule(c, p)
	}
	return p.Dependencies, r.errs.ordered()
}

// ParseComparison reads a file that has nothing but what a shadow test of a plan has
// under compare:, in YAML. Its places are in a file called name.
func ParseComparison(name string, data []byte) (Comparison, error) {
	const path = "shadow.compare"
	r, d := alone(name, data, Options{})
	if d == nil {
		return Comparison{}, r.errs.ordered()
	}
	var s Shadow
	d.literal = true
	d.value(d.root, reflect.ValueOf(&s.Compare).Elem(), path, "")
	fill(d, path+".false_alarms", &s.Compare.FalseAlarms, defaultAlarms)
	shadowCompare(&checker{decoder: d, plan: &Plan{}, path: "shadow"}, nil, &s)
	return s.Compare, r.errs.ordered()
}

// noneElsewhere wants proxies that can run here.
func noneElsewhere(c *checker, p *Plan) {
	for name := range p.Dependencies {
		for _, key := range []string{"proxy", "toxiproxy"} {
			c.under(`dependencies["%s"]`, name).wrongKey(key, "give its upstream:", "%s: is of a proxy that runs elsewhere; this one runs here", key)
		}
	}
}

// alone begins to read a file that is a part of a plan; the decoder is nil when
// it is not even a mapping.
func alone(name string, data []byte, opts Options) (*report, *decoder) {
	r := &report{}
	root := r.parse(name, data)
	if root == nil {
		return r, nil
	}
	return r, newDecoder(r, opts, root)
}

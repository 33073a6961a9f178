package plan

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"resilience/gates"
)

// What is used where a plan says nothing: all defaults are here.
var (
	defaultAccept       = []string{"2xx", "3xx"}
	defaultAuthHeader   = "Authorization"
	defaultReadyTimeout = Duration(30 * time.Second)
	defaultStopTimeout  = Duration(5 * time.Second)
	defaultProtocol     = "http"
	defaultArrival      = "constant"
	defaultGrace        = Duration(30 * time.Second)
	defaultTimeout      = Duration(30 * time.Second)
	defaultSettle       = Duration(10 * time.Second)
	defaultStatus       = 503
	defaultShare        = Percent(1)
	defaultWeight       = 1
	defaultDetection    = 10
	defaultOver         = Duration(28 * 24 * time.Hour)
	defaultNeed         = 1
	defaultEvery        = Duration(5 * time.Second)
	defaultStale        = Duration(30 * time.Second)
	defaultDelay        = Duration(2 * time.Second)
	defaultNamespace    = "default"
	defaultBegin        = Duration(5 * time.Minute)
)

// defaultMaxVUs is two for each arrival per second at the highest rate, 50 to
// 10,000: enough while answers take less than 2 s.
func defaultMaxVUs(peak Rate) int {
	return int(min(10_000, max(50, math.Ceil(2*float64(peak)))))
}

// fill sets a value unless the plan says something at its path.
func fill[T any](d *decoder, path string, to *T, value T) {
	if !d.has(path) {
		*to = value
	}
}

// fillIn puts in what the plan leaves out: first from its own defaults, then
// from those above.
func (d *decoder) fillIn(p *Plan) {
	for name, s := range p.Services {
		path := `services["` + name + `"]`
		fill(d, path+".ready_timeout", &s.ReadyTimeout, defaultReadyTimeout)
		fill(d, path+".stop_timeout", &s.StopTimeout, defaultStopTimeout)
		p.Services[name] = s
	}
	for name, t := range p.Targets {
		path := `targets["` + name + `"]`
		fill(d, path+".accept", &t.Accept, defaultAccept)
		if t.Auth != nil && t.Auth.Header != nil {
			fill(d, path+".auth.header.name", &t.Auth.Header.Name, defaultAuthHeader)
		}
		p.Targets[name] = t
	}
	for name, dep := range p.Dependencies {
		fill(d, `dependencies["`+name+`"].protocol`, &dep.Protocol, defaultProtocol)
		p.Dependencies[name] = dep
	}
	for name, q := range p.Queries {
		p.Queries[name] = d.filledQuery(q, `queries["`+name+`"]`, p.Telemetry)
	}
	for i := range p.FailureModes {
		fill(d, fmt.Sprintf("failure_modes[%d].detection", i), &p.FailureModes[i].Detection, defaultDetection)
	}
	for name, o := range p.Objectives {
		fill(d, `objectives["`+name+`"].over`, &o.Over, defaultOver)
		if only := named(p.Telemetry); len(only) == 1 && o.Queried() {
			fill(d, `objectives["`+name+`"].from`, &o.From, only[0])
		}
		p.Objectives[name] = o
	}
	if p.Model != nil {
		d.fillPart(p.Model, "model")
	}
	if p.Tenants != nil {
		fill(d, "tenants.header", &p.Tenants.Header, defaultTenantHeader)
		fill(d, "tenants.prefix", &p.Tenants.Prefix, defaultTenantPrefix)
	}
	if p.Distribute != nil {
		fill(d, "distribute.namespace", &p.Distribute.Namespace, defaultNamespace)
		fill(d, "distribute.begin", &p.Distribute.Begin, defaultBegin)
	}
	if p.Canary != nil {
		d.fillCanary(p)
	}
	defaults := Defaults{}
	if p.Defaults != nil {
		defaults = *p.Defaults
	}
	for i := range p.Phases {
		d.fillPhase(&p.Phases[i], fmt.Sprintf("phases[%d]", i), defaults)
		p.Phases[i].fillCanary(p.Canary)
	}
	d.fillGRPC(p)
}

func (d *decoder) fillPart(p *Part, path string) {
	for i := range p.Series {
		d.fillPart(&p.Series[i], fmt.Sprintf("%s.series[%d]", path, i))
	}
	if p.Parallel == nil {
		return
	}
	fill(d, path+".parallel.need", &p.Parallel.Need, defaultNeed)
	for i := range p.Parallel.Of {
		d.fillPart(&p.Parallel.Of[i], fmt.Sprintf("%s.parallel.of[%d]", path, i))
	}
}

func (d *decoder) filledQuery(q Query, path string, sources map[string]Source) Query {
	if only := named(sources); len(only) == 1 {
		fill(d, path+".from", &q.From, only[0])
	}
	kind := Gauge
	if q.Share() {
		kind = Counter
	}
	fill(d, path+".type", &q.Type, kind)
	fill(d, path+".every", &q.Every, defaultEvery)
	fill(d, path+".stale", &q.Stale, max(defaultStale, q.Every))
	fill(d, path+".delay", &q.Delay, defaultDelay)
	return q
}

func (d *decoder) fillPhase(phase *Phase, path string, defaults Defaults) {
	for i := range phase.Tests {
		for kind, profile := range phase.Tests[i].kinds() {
			if profile != nil {
				d.fillProfile(profile, fmt.Sprintf("%s.tests[%d].%s", path, i, kind), defaults.Test)
			}
		}
	}
	for i := range phase.Tests {
		if s := phase.Tests[i].Shadow; s != nil {
			d.fillShadow(s, fmt.Sprintf("%s.tests[%d].shadow", path, i))
		}
	}
	for i := range phase.Disruptions {
		d.fillDisruption(&phase.Disruptions[i], fmt.Sprintf("%s.disruptions[%d]", path, i), defaults.Disruption)
	}
	if phase.Watch != nil {
		fill(d, path+".watch.false_alarms", &phase.Watch.FalseAlarms, Percent(gates.FalseAlarms))
	}
	for i := range phase.Gates {
		if defaults.Gate != nil {
			d.fillGate(&phase.Gates[i], fmt.Sprintf("%s.gates[%d]", path, i), *defaults.Gate)
		}
	}
}

// alternatives are the keys of a profile of which it has one: where a test has
// any of a group, the plan's defaults add none of it.
var alternatives = map[string][]string{
	"script": {"requests"}, "exec": {"requests"}, "parallel": {"requests"}, "tenants": {"requests"}, "requests": {"script", "exec", "parallel", "tenants"},
	"rate": {"vus", "stages"}, "vus": {"rate", "stages", "max_vus", "arrival"},
	"max_vus": {"vus"}, "arrival": {"vus"},
	"duration": {"stages"}, "ramp": {"stages"}, "stages": {"rate", "vus", "duration", "ramp"},
}

func (d *decoder) fillProfile(p *Profile, path string, defaults *Profile) {
	if defaults != nil {
		d.inheritProfile(p, path)
	}
	fill(d, path+".grace", &p.Grace, defaultGrace)
	fill(d, path+".timeout", &p.Timeout, defaultTimeout)
	if p.Open() {
		fill(d, path+".arrival", &p.Arrival, defaultArrival)
		fill(d, path+".max_vus", &p.MaxVUs, defaultMaxVUs(p.Peak()))
	}
	for i := range p.Requests {
		fillRequest(d, &p.Requests[i], fmt.Sprintf("%s.requests[%d]", path, i))
	}
}

// inheritProfile takes over what the plan's defaults say and a test does not.
func (d *decoder) inheritProfile(p *Profile, path string) {
	own := map[string]bool{}
	to := reflect.ValueOf(p).Elem()
	for i := range to.NumField() {
		key := fieldName(to.Type().Field(i))
		own[key] = d.has(join(path, key))
	}
	for i := range to.NumField() {
		key := fieldName(to.Type().Field(i))
		if own[key] || !d.has(join("defaults.test", key)) || anyOf(own, alternatives[key]) {
			continue
		}
		from := join("defaults.test", key)
		d.keys[join(path, key)] = d.keys[from]
		d.value(d.values[from], to.Field(i), join(path, key), to.Type().Field(i).Tag.Get("bind"))
	}
}

func anyOf(set map[string]bool, keys []string) bool {
	for _, k := range keys {
		if set[k] {
			return true
		}
	}
	return false
}

func fillRequest(d *decoder, r *Request, path string) {
	method := "GET"
	if d.has(path+".body") || d.has(path+".json") {
		method = "POST"
	}
	fill(d, path+".method", &r.Method, method)
	fill(d, path+".name", &r.Name, r.Method+" "+r.Path)
	fill(d, path+".weight", &r.Weight, defaultWeight)
}

func (d *decoder) fillDisruption(to *Disruption, path string, defaults *DefaultDisruption) {
	settle := defaultSettle
	if defaults != nil && defaults.Settle != nil {
		settle = *defaults.Settle
	}
	fill(d, path+".settle", &to.Settle, &settle)
	d.fillFault(to, path)
}

func (d *decoder) fillGate(g *Gate, path string, defaults DefaultGate) {
	fill(d, path+".strict", &g.Strict, defaults.Strict)
	fill(d, path+".min_samples", &g.MinSamples, defaults.MinSamples)
	fill(d, path+".confidence", &g.Confidence, float64(defaults.Confidence))
}

package xk6resilience

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/metrics"

	"resilience/internal/measure"
)

// maxCached bounds the look-up tables from k6's tag sets to our series; beyond
// it they are built anew.
const maxCached = 20_000

// sampler turns k6's samples into windows. The session's lock guards it.
type sampler struct {
	session  *session
	trails   map[*metrics.TagSet]*trailRefs
	others   map[metrics.TimeSeries]*otherRef
	declared map[string]bool
	held     []*httpext.Trail // of redirects: by the next batch it is known whether they were followed
}

// trailRefs are the series that one HTTP request adds to.
type trailRefs struct {
	lifecycle bool
	request   *measure.Ref
	fate      measure.Fate
	duration  *measure.Ref
	blocked   *measure.Ref
	connect   *measure.Ref
	tls       *measure.Ref
	sending   *measure.Ref
	waiting   *measure.Ref
	receive   *measure.Ref
	count     *measure.Ref
}

// otherRef is the series that one sample of any other metric adds to.
type otherRef struct {
	add func(metrics.Sample) // nil: the sample is of no use
}

func newSampler(s *session) *sampler {
	return &sampler{
		session: s, declared: map[string]bool{},
		trails: map[*metrics.TagSet]*trailRefs{}, others: map[metrics.TimeSeries]*otherRef{},
	}
}

func (p *sampler) add(containers []metrics.SampleContainer) {
	p.release()
	for _, c := range containers {
		if trail, ok := c.(*httpext.Trail); ok {
			if f, known := trail.ConnRemoteAddr.(*flight); known && f.mayGoOn() {
				p.held = append(p.held, trail)
				continue
			}
			p.trail(trail)
			continue
		}
		for _, sample := range c.GetSamples() {
			p.sample(sample)
		}
	}
}

// release adds the redirects that were held back.
func (p *sampler) release() {
	held := p.held
	p.held = nil
	for _, trail := range held {
		p.trail(trail)
	}
}

// makeRoom keeps the look-up tables within their bounds.
func (p *sampler) makeRoom() {
	if grown := p.session.grown.Load(); grown != nil && len(p.trails)+len(p.others) >= maxGrown {
		clear(p.trails)
		clear(p.others)
		p.session.grown.Store(newGrown())
	}
	if len(p.trails) >= maxCached {
		clear(p.trails)
	}
	if len(p.others) >= maxCached {
		clear(p.others)
	}
}

// trail adds one finished HTTP request. Its latency is all the time the caller
// waited, the connection included, and it belongs to the second it started in.
func (p *sampler) trail(t *httpext.Trail) {
	refs, ok := p.trails[t.Tags]
	if !ok {
		p.makeRoom()
		refs = p.trailRefs(t.Tags)
		p.trails[t.Tags] = refs
	}
	flight, known := t.ConnRemoteAddr.(*flight)
	skip, took := refs.lifecycle, t.Blocked+t.Duration
	if known {
		skip, took = flight.quiet, t.EndTime.Sub(flight.start)
	}
	start := t.EndTime.Add(-took).UnixNano()
	hop := known && flight.goesOn()
	if known && !hop {
		flight.wentWell(refs.request, refs.fate)
	}
	if known && refs.fate != measure.OK {
		p.session.refused(flight)
	}
	if known {
		p.session.closeAll(flight.vu.settle(flight, hop || refs.fate == measure.OK))
	}
	if skip {
		return
	}
	if !hop { // the request goes on, and counts when it has come to its end
		refs.request.Add(start, milliseconds(took), refs.fate)
	}
	refs.count.Add(start, 1, measure.OK)
	refs.duration.Add(start, milliseconds(t.Duration), measure.OK)
	refs.blocked.Add(start, milliseconds(t.Blocked), measure.OK)
	refs.connect.Add(start, milliseconds(t.Connecting), measure.OK)
	refs.tls.Add(start, milliseconds(t.TLSHandshaking), measure.OK)
	refs.sending.Add(start, milliseconds(t.Sending), measure.OK)
	refs.waiting.Add(start, milliseconds(t.Waiting), measure.OK)
	refs.receive.Add(start, milliseconds(t.Receiving), measure.OK)
}

func (p *sampler) trailRefs(tags *metrics.TagSet) *trailRefs {
	at := p.at(tags)
	at.Step = routeOfName(get(tags, "method"), get(tags, "name"))
	ref := func(metric string) *measure.Ref {
		series := at
		series.Metric = metric
		return p.session.agg.Ref(series)
	}
	for _, name := range []string{"duration", "blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving"} {
		p.declare("http_req_"+name, "trend", "time")
	}
	p.declare("http_reqs", "counter", "default")
	request := at
	request.Metric, request.Status = measure.MetricRequest, get(tags, "status")
	return &trailRefs{
		lifecycle: lifecycle(tags),
		request:   p.session.agg.Ref(request), fate: p.fate(tags), count: ref("http_reqs"),
		duration: ref("http_req_duration"), blocked: ref("http_req_blocked"), connect: ref("http_req_connecting"),
		tls: ref("http_req_tls_handshaking"), sending: ref("http_req_sending"), waiting: ref("http_req_waiting"),
		receive: ref("http_req_receiving"),
	}
}

// fate decides whether a request was accepted: by the plan's accept, else by
// what the script expects, else by its status.
func (p *sampler) fate(tags *metrics.TagSet) measure.Fate {
	around := p.session.around.Load()
	status, _ := strconv.Atoi(get(tags, "status"))
	ok := around.accepted(status)
	if expected := get(tags, "expected_response"); expected != "" && !around.byPlan {
		ok = expected == "true" && status != 0
	}
	if ok {
		return measure.OK
	}
	return measure.Failed
}

// sample adds a sample of any metric but the HTTP ones.
func (p *sampler) sample(s metrics.Sample) {
	ref, ok := p.others[s.TimeSeries]
	if !ok {
		p.makeRoom()
		ref = &otherRef{add: p.adder(s.Metric, s.Tags)}
		p.others[s.TimeSeries] = ref
	}
	if ref.add != nil {
		ref.add(s)
	}
}

// adder finds what to do with the samples of one time series.
func (p *sampler) adder(m *metrics.Metric, tags *metrics.TagSet) func(metrics.Sample) {
	if lifecycle(tags) {
		return nil
	}
	switch m.Name {
	case metrics.ChecksName:
		return p.assertion(tags)
	case metrics.DroppedIterationsName:
		return p.dropped
	case metrics.GRPCReqDurationName:
		return p.grpc(m, tags)
	case measure.MetricTransaction, measure.MetricStep, measure.MetricRequest, measure.MetricOutcome,
		measure.MetricAssertion, measure.MetricIteration, measure.MetricDependency:
		p.taken(m.Name)
		return nil
	}
	return p.generic(m, tags)
}

func (p *sampler) assertion(tags *metrics.TagSet) func(metrics.Sample) {
	at := p.at(tags)
	at.Metric, at.Step = measure.MetricAssertion, get(tags, "check")
	ref := p.session.agg.Ref(at)
	return func(s metrics.Sample) {
		if s.Value != 0 {
			ref.Count(s.Time.UnixNano(), measure.OK)
			return
		}
		ref.Count(s.Time.UnixNano(), measure.Failed)
		p.session.example(measure.Example{At: s.Time.UnixNano(), Kind: "check " + at.Step})
	}
}

// dropped holds arrivals that found no free VU until it is known who is to
// blame.
func (p *sampler) dropped(s metrics.Sample) {
	waiting, active := p.session.waiting.Load(), p.session.active.Load()
	d := drop{at: s.Time.UnixNano(), count: int(s.Value), waiting: 2*waiting >= active}
	if !d.waiting {
		p.session.blame.busy(waiting, active)
	}
	p.session.starvation.held = append(p.session.starvation.held, d)
}

// grpc derives what k6 has no metric for: whether a call was accepted. Only
// status OK is. Unary calls are counted where they are made, see grpc.go; what is
// left are streams.
func (p *sampler) grpc(m *metrics.Metric, tags *metrics.TagSet) func(metrics.Sample) {
	if get(tags, "method") == "" { // k6's own call for the server's reflection
		return p.generic(m, tags)
	}
	at := p.at(tags)
	at.Metric, at.Step, at.Status = measure.MetricRequest, get(tags, "name"), "grpc"
	fate := measure.Failed
	if code, err := strconv.ParseUint(get(tags, "status"), 10, 32); err == nil {
		at.Status, fate = grpcStatus(codes.Code(code))
	}
	ref, generic := p.session.agg.Ref(at), p.generic(m, tags)
	return func(s metrics.Sample) {
		generic(s)
		if _, ours := s.Metadata[countedByUs]; ours {
			return
		}
		start := s.Time.Add(-time.Duration(s.Value * float64(time.Millisecond))).UnixNano()
		ref.Add(start, s.Value, fate)
		if fate != measure.OK {
			p.session.example(measure.Example{At: start, Kind: at.Status, Request: at.Step, Status: at.Status})
		}
	}
}

// generic keeps a k6 metric under its own name.
func (p *sampler) generic(m *metrics.Metric, tags *metrics.TagSet) func(metrics.Sample) {
	p.declare(m.Name, m.Type.String(), m.Contains.String())
	at := p.at(tags)
	at.Metric = m.Name
	ref := p.session.agg.Ref(at)
	if m.Type == metrics.Rate {
		return func(s metrics.Sample) {
			fate := measure.OK
			if s.Value == 0 {
				fate = measure.Failed
			}
			ref.Count(s.Time.UnixNano(), fate)
		}
	}
	return func(s metrics.Sample) { ref.Add(s.Time.UnixNano(), s.Value, measure.OK) }
}

// declare tells the harness once what kind of metric a name is.
func (p *sampler) declare(name, kind, contains string) {
	if p.declared[name] {
		return
	}
	p.declared[name] = true
	p.session.event(measure.Event{Kind: measure.EventMetric, Name: name, Attrs: map[string]string{"type": kind, "contains": contains}})
}

// taken warns, once, that a script uses a name of our own.
func (p *sampler) taken(name string) {
	if p.declared[name] {
		return
	}
	p.declared[name] = true
	p.session.event(measure.Event{Kind: measure.EventWarning, Name: name, Attrs: map[string]string{
		"detail": "the script's metric " + name + " has a name of our own; its values are not kept: rename it",
	}})
}

// at takes from tags what a series has names for.
func (p *sampler) at(tags *metrics.TagSet) measure.Series {
	return p.session.around.Load().series(labelled(measure.Series{Transaction: get(tags, "transaction")}, tags))
}

// labelled adds what tags say about who sent and who answered.
func labelled(series measure.Series, tags *metrics.TagSet) measure.Series {
	series.Tenant, series.Class, series.Cell = get(tags, "tenant"), get(tags, "class"), get(tags, "cell")
	series.Region, series.Instance = get(tags, "region"), get(tags, "instance")
	return series
}

// lifecycle reports whether a sample comes from setup or teardown, which are
// not traffic: their group has the name, and they have no scenario.
func lifecycle(tags *metrics.TagSet) bool {
	group := get(tags, "group")
	return get(tags, "scenario") == "" && (strings.HasPrefix(group, "::setup") || strings.HasPrefix(group, "::teardown"))
}

func get(tags *metrics.TagSet, name string) string {
	if tags == nil {
		return ""
	}
	value, _ := tags.Get(name)
	return value
}

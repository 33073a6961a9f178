package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MirrorOptions say whose requests are copied, to whom, and what is done with the
// answers.
type MirrorOptions struct {
	Listen    string // HOST:PORT; "" is a free loopback port
	Candidate string // URL of the version that wants to serve
	Primary   string // URL of the one that serves users: the mirror is a proxy in front of it; or
	Baseline  string // URL of the one that is asked what a proxy elsewhere mirrors: the mirror is a sink
	Noise     string // URL of a second instance of the primary or baseline, or of the same; "" is none
	TLS       Encryption
	OwnHost   bool          // each is asked by the host of its URL, not by the one that users asked for
	MaxBody   int64         // bytes kept of each body; 0 is DefaultMaxBody, less is none
	Buffer    int64         // bytes of bodies kept at once; 0 is DefaultBuffer
	Queue     int           // exchanges that may wait for the candidate; 0 is 1,000
	Copies    int           // how many are with the candidate at once; 0 is 64
	Timeout   time.Duration // for the candidate's whole answer, and for waiting to be sent; 0 is 10 s
	Allow     []string      // routes that may be copied though their method is not safe: "POST /search"
	Sample    SessionSample // which users are mirrored

	Redactor *Redactor                          // hides secrets in all that is kept or shown; nil hides nothing
	Route    func(method, target string) string // what requests of one kind have in common
	Compare  func(Answers) (differ bool)        // called from several goroutines; must not keep bodies
}

// Answers are what one request was answered.
type Answers struct {
	Exchange            // redacted, with the answer of the primary or baseline: it may be kept
	Told      int       // the status that the user was answered; 0 where nobody knows, as in a sink
	Answer    Response  // of the primary or baseline, as it is
	Candidate Response  // as it is; Failure where there was none
	Noise     *Response // of the second instance, as it is; nil where none was asked, or it did not answer

	Hide func(place, value string) string // takes secrets out of what is shown of the answers; nil does nothing
}

// Mirrored are the counts of a [Mirror]. Seen is the sum of all others but Differing
// and Failed, once nothing is under way.
type Mirrored struct {
	Seen       uint64 `json:"seen"`        // requests
	Compared   uint64 `json:"compared"`    // both were answered, or the baseline was
	Differing  uint64 `json:"differing"`   // of those
	Failed     uint64 `json:"failed"`      // of those: the candidate gave no answer
	Withheld   uint64 `json:"withheld"`    // it may change data and its route is not allowed, or it is a copy already
	NotSampled uint64 `json:"not_sampled"` // users who are not in the sample
	Streams    uint64 `json:"streams"`     // upgrades, gRPC and event streams
	Unanswered uint64 `json:"unanswered"`  // the primary or baseline gave no whole answer, or its client left before
	Conditions uint64 `json:"conditions"`  // users asked whether something had changed, and only one of the two said that it had not
	TooLarge   uint64 `json:"too_large"`   // the request is longer than what is kept of it
	Dropped    uint64 `json:"dropped"`     // there was no room to keep them
	Shed       uint64 `json:"shed"`        // the candidate could not keep up
	Errors     uint64 `json:"errors"`      // comparing them broke off, which is a defect of this program
}

// Mirror asks the candidate what users ask, and compares what it answers with what
// they were answered. Users wait for nothing of it: what the candidate can not keep
// up with is shed and counted.
type Mirror struct {
	proxy   proxy
	sink    *mirrorSink // nil for a proxy
	options MirrorOptions
	askers  mirrorAskers
	breaker mirrorBreaker
	queue   chan *capture
	done    sync.WaitGroup
	copying context.Context // ends when the candidate is not waited for any more
	giveUp  context.CancelFunc
	once    sync.Once

	compared, differing, failed, withheld, notSampled, unanswered, streams, conditions, tooLarge, dropped, shed, errors atomic.Uint64
}

// NewMirror starts a mirror, which works until it is closed; the context only limits
// starting.
func NewMirror(ctx context.Context, o MirrorOptions) (*Mirror, error) {
	if (o.Primary == "") == (o.Baseline == "") {
		return nil, errors.New("a mirror wants a primary, to be a proxy in front of it, or a baseline, to compare with what others mirror: give one of them")
	}
	o.Timeout, o.Copies = cmp.Or(o.Timeout, 10*time.Second), cmp.Or(o.Copies, 64)
	m := &Mirror{options: o, queue: make(chan *capture, cmp.Or(o.Queue, 1000))}
	m.proxy.prepare(o.MaxBody, o.Buffer, m.wanted, m.enqueue)
	var err error
	if m.askers, err = newAskers(o); err != nil {
		return nil, err
	}
	m.copying, m.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	if o.Primary != "" {
		err = startProxy(ctx, &m.proxy, o.Listen, o.Primary, o.TLS)
	} else {
		m.sink, err = startSink(ctx, m)
	}
	if err != nil {
		m.giveUp()
		return nil, err
	}
	for range o.Copies {
		m.done.Go(m.work)
	}
	return m, nil
}

// URL is what clients on this machine, or the proxy that mirrors, call.
func (m *Mirror) URL() string {
	if m.sink != nil {
		return m.sink.server.url()
	}
	return m.proxy.server.url()
}

// Counts are those so far.
func (m *Mirror) Counts() Mirrored {
	f := &m.proxy.fates
	return Mirrored{
		Compared: m.compared.Load(), Differing: m.differing.Load(), Failed: m.failed.Load(), Withheld: m.withheld.Load(),
		NotSampled: m.notSampled.Load(), Streams: f.streams.Load() + m.streams.Load(),
		Unanswered: f.unanswered.Load() + m.unanswered.Load(), Conditions: m.conditions.Load(), TooLarge: m.tooLarge.Load(),
		Dropped: f.dropped.Load() + m.dropped.Load(), Shed: m.shed.Load(), Errors: m.errors.Load(), Seen: f.seen.Load(),
	}
}

// Close stops listening, lets requests under way and copies that wait come to their
// end until the context ends, and gives up the rest, which is shed.
func (m *Mirror) Close(ctx context.Context) {
	m.once.Do(func() {
		defer context.AfterFunc(ctx, m.giveUp)()
		if m.sink != nil {
			m.sink.close(ctx)
		} else {
			m.proxy.close(ctx)
		}
		close(m.queue)
		m.done.Wait()
		m.giveUp()
		m.askers.close()
	})
}

// wanted decides what is copied. Writes are not, unless their route was named.
func (m *Mirror) wanted(r *http.Request) bool {
	switch {
	case r.Header[ShadowHeader] != nil || !m.allowed(r):
		m.withheld.Add(1)
	case !m.options.Sample.has(r):
		m.notSampled.Add(1)
	default:
		return true
	}
	return false
}

// allowed reports whether a request may be copied, as far as its head tells.
func (m *Mirror) allowed(r *http.Request) bool {
	target := proxyTarget(r)
	switch {
	case asksForMore(Request{Method: r.Method, Target: target, Header: r.Header}):
		return false
	case safeMethod(r.Method):
		return true
	}
	return m.options.Route != nil && slices.Contains(m.options.Allow, m.options.Route(r.Method, target))
}

// asksForMore reports whether a request may change data though its method, or who allowed
// its route, says that it does not.
func asksForMore(r Request) bool { return overridden(r) || mutates(r) }

// enqueue never waits.
func (m *Mirror) enqueue(c *capture) {
	if c.asked.cut() {
		m.drop(c, &m.tooLarge)
		return
	}
	if !m.breaker.lets(c.at.Add(c.took)) {
		m.drop(c, &m.shed)
		return
	}
	select {
	case m.queue <- c:
	default:
		m.drop(c, &m.shed)
	}
}

func (m *Mirror) drop(c *capture, why *atomic.Uint64) {
	c.release()
	why.Add(1)
}

// work copies what waits, one after the other.
func (m *Mirror) work() {
	for c := range m.queue {
		// What waited too long would be answered about another state of the world.
		if m.copying.Err() != nil || time.Since(c.at.Add(c.took)) > m.options.Timeout {
			m.drop(c, &m.shed)
			continue
		}
		fate := &m.unanswered
		if err := keepGoing(func() { fate = m.mirror(c) }); err != nil {
			fate = &m.errors
		}
		m.drop(c, fate)
	}
}

// keepGoing turns a panic into an error: whatever is in an answer, users go on being
// served.
func keepGoing(do func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	do()
	return nil
}

// mirror asks for what was kept of one request, compares, and tells what became of
// it.
func (m *Mirror) mirror(c *capture) (fate *atomic.Uint64) {
	x := c.exchange(m.options.Route)
	if asksForMore(x.Request) || x.Request.Body.Damage != "" && !safeMethod(c.method) {
		return &m.withheld
	}
	asked := m.askers.ask(m.copying, m.options.Timeout, c, m.proxy.budget, m.proxy.maxBody)
	defer asked.release()
	m.breaker.saw(asked.candidate.err != nil)
	if m.copying.Err() != nil {
		return &m.shed
	}
	if asked.lost() {
		return &m.dropped
	}
	a := Answers{Exchange: x, Candidate: asked.candidate.response()}
	if asked.baseline != nil {
		a.Response = asked.baseline.response()
		a.Took = asked.baseline.took
	} else {
		a.Told = a.Response.Status
		a.Response = a.Response.during(a.At, a.At.Add(a.Took))
	}
	if asked.noise != nil {
		if noise := asked.noise.response(); noise.Status != 0 && !apart(c.header, a.Response.Status, noise.Status) {
			a.Noise = &noise
		}
	}
	switch {
	case asked.stream():
		return &m.streams
	case a.Response.Status == 0 || a.Response.Body.Damage != "":
		return &m.unanswered
	case apart(c.header, a.Response.Status, a.Candidate.Status):
		return &m.conditions
	}
	if a.Candidate.Status == 0 {
		m.failed.Add(1)
	}
	if m.options.Compare(m.redacted(a)) {
		m.differing.Add(1)
	}
	return &m.compared
}

// redacted hides the secrets of what may be kept, and tells how to hide those of what
// is shown. The answers that are compared stay as they are: of what can not be redacted
// nothing could be compared.
func (m *Mirror) redacted(a Answers) Answers {
	a.Answer = a.Response
	if m.options.Redactor == nil {
		return a
	}
	hide := &mirrorHide{r: m.options.Redactor, request: a.Request, answers: []Response{a.Answer, a.Candidate}}
	if a.Noise != nil {
		hide.answers = append(hide.answers, *a.Noise)
	}
	a.Exchange, a.Hide = m.options.Redactor.Redact(a.Exchange), hide.hide
	return a
}

// mirroredHost is the host that a user asked for: Envoy, and so Istio, adds -shadow to
// that of what it mirrors.
func mirroredHost(host string) string {
	name, port, found := strings.Cut(host, ":")
	name = strings.TrimSuffix(name, "-shadow")
	if found {
		return strings.TrimSuffix(name+":"+port, "-shadow")
	}
	return name
}

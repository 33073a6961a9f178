package shadow

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// ShadowHeader marks every request of a replay and every copy of a mirror.
const ShadowHeader = "X-Resilience-Shadow"

// lane sends to one target what is replayed: to the candidate, to the baseline,
// or to the baseline once more, which no arm counts.
type lane struct {
	*replaying
	number   int
	arm      string // "" for the one that tells noise
	target   plan.Target
	base     *url.URL
	sender   Sender
	jobs     chan *job // to workers that wait
	end      chan struct{}
	underway atomic.Int64
}

func newLane(p *replaying, number int, arm string, target plan.Target, sender Sender) *lane {
	base, err := url.Parse(target.URL)
	if err != nil { // the sender has said so already
		base = &url.URL{}
	}
	return &lane{replaying: p, number: number, arm: arm, target: target, base: base, sender: sender, jobs: make(chan *job), end: make(chan struct{})}
}

func (l *lane) close() {
	close(l.end)
	l.sender.Close()
}

// take has a job done at once: by a worker that waits, or by a new one. The line
// bounds how many there are.
func (l *lane) take(j *job) {
	l.underway.Add(1)
	select {
	case l.jobs <- j:
	default:
		go l.work(j)
	}
}

func (l *lane) work(j *job) {
	within := &patience{flight: l.flight, limit: time.Duration(l.test.Timeout)}
	defer within.close()
	for {
		l.do(j, within)
		select {
		case j = <-l.jobs:
		case <-l.end:
			return
		}
	}
}

// do sends one request and counts how it ended.
func (l *lane) do(j *job, within *patience) {
	if !j.decide() {
		l.underway.Add(-1)
		j.answered()
		return
	}
	a := &j.answers[l.number]
	a.at = time.Now()
	l.asks(j, a.at)
	if l.number == 0 && !j.delayed && !l.test.Speed.Max() { // which has no moment to be late for
		l.record.late(j.due, a.at.Sub(j.from()))
	}
	err := l.exchange(j, a, within)
	a.Response = a.during(a.at, time.Now())
	if l.arm != "" {
		l.settle(j, a, err)
	}
	if err != nil {
		a.err = l.word(err)
		a.Failure = a.err
	}
	l.has(j, a.at)
	l.underway.Add(-1)
	j.answered()
}

// unfinishedWord is why there is no answer when a request was given up because the
// test ended.
const unfinishedWord = "unfinished"

// word is why there is no answer.
func (l *lane) word(err error) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, context.Canceled) && l.flight.Err() != nil {
		return unfinishedWord
	}
	return l.sender.Status(err)
}

// exchange sends the request and reads the answer.
func (l *lane) exchange(j *job, a *answer, within *patience) error {
	ctx := within.begin()
	defer within.end()
	req, err := l.request(within, j)
	if err != nil {
		return err
	}
	resp, err := l.sender.Transport.RoundTrip(req)
	if err == nil {
		err = firstAnswer(&within.again, resp)
	}
	if err != nil {
		return replayCause(ctx, err)
	}
	defer resp.Body.Close()
	a.Status, a.Header = resp.StatusCode, resp.Header
	if resp.Request != nil { // with the headers that the sender added
		a.sent.Header = resp.Request.Header
	}
	a.trace = traceOf(resp.Header, req.Header)
	if a.Body, err = readReplayed(req.Method, resp, l.keeps()); err != nil {
		a.Body.Damage = "the answer ended early: " + err.Error()
		return replayCause(ctx, err)
	}
	return nil
}

// replayCause prefers why the context ended: transports word that in many ways.
func replayCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// request makes the request of a job for this lane's target.
func (l *lane) request(within *patience, j *job) (*http.Request, error) {
	r, carried := l.sessions.put(j, l.number)
	u, err := targetURL(l.base, r.Target)
	if err != nil {
		return nil, err
	}
	if !httpguts.ValidHeaderFieldName(r.Method) { // a token, as a method is
		return nil, fmt.Errorf("the method %.20q can not be sent", r.Method)
	}
	req := within.request()
	req.Method, req.URL, req.Host, req.Header = r.Method, u, u.Host, r.Header
	req.Proto, req.ProtoMajor, req.ProtoMinor, req.Body = "HTTP/1.1", 1, 1, http.NoBody
	if data := r.Body.Data; len(data) > 0 {
		req.ContentLength = int64(len(data))
		again := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
		req.Body, _ = again()
		if j.rung != rungTenant { // else net/http would send a write with a key twice, and its first answer would be lost
			req.GetBody = again
		}
	}
	if len(l.ladder.writes.Routes) > 0 {
		req.Header = req.Header.Clone() // it may be everybody's
		l.ladder.mark(j, l.number, req)
	}
	j.answers[l.number].sent = r
	l.record.carried(l.arm, j, carried)
	return req, nil
}

// settle counts the request of an arm.
func (l *lane) settle(j *job, a *answer, err error) {
	from := j.from()
	if l.test.Speed.Max() {
		from = a.at
	}
	value := milliseconds(time.Since(from))
	switch word := l.word(err); {
	case err == nil:
		status, fate := strconv.Itoa(a.Status), measure.OK
		if !plan.Accepts(l.target, a.Status) {
			fate = measure.Failed
			l.example(j, a, "status "+status, status, http.StatusText(a.Status))
		}
		l.count(j, status, value, fate)
	case word == unfinishedWord:
		value = milliseconds(time.Unix(0, l.cutAt.Load()).Sub(from))
		l.count(j, word, max(value, 0), measure.Failed|measure.Unfinished)
		l.example(j, a, word, word, "no answer until the test ended")
	case word == measure.StatusGenerator: // it never left, and says nothing of the target
		l.record.add(measure.MetricIteration, l.arm, "", "", "", j.due, value, measure.Failed)
		l.record.blame("files", "requests could not be sent: "+replayMessage(err))
	default:
		l.count(j, word, value, measure.Failed)
		l.example(j, a, word, word, replayMessage(err))
	}
}

func (l *lane) count(j *job, status string, value float64, fate measure.Fate) {
	l.record.add(measure.MetricRequest, l.arm, j.Route, status, j.Tenant, j.due, value, fate)
	l.record.add(measure.MetricIteration, l.arm, "", "", "", j.due, value, fate&measure.Unfinished)
}

func (l *lane) example(j *job, a *answer, kind, status, message string) {
	l.record.example(
		measure.Example{At: j.due.UnixNano(), Arm: l.arm, Kind: kind, Status: status, Message: message, TraceID: a.trace},
		func() string { return shownRequest(j.Request) })
}

// replayMessage is the text of an error without the URL that net/http puts in front.
func replayMessage(err error) string {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return err.Error()
}

// shownRequest is a request as reports show it: without the values of its query.
func shownRequest(r Request) string {
	path, query, has := strings.Cut(r.Target, "?")
	if !has {
		return r.Method + " " + path
	}
	var names []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, valued := strings.Cut(pair, "=")
		if valued {
			name += "="
		}
		names = append(names, name)
	}
	return r.Method + " " + path + "?" + strings.Join(names, "&")
}

// traceOf takes a trace id out of a traceparent header (W3C Trace Context,
// section 3.2), "" when there is none.
func traceOf(headers ...http.Header) string {
	for _, h := range headers {
		parts := strings.Split(h.Get("Traceparent"), "-")
		if len(parts) >= 4 && len(parts[1]) == 32 && strings.Trim(parts[1], "0123456789abcdef") == "" {
			return parts[1]
		}
	}
	return ""
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// laneKey makes a value that is a lane's own of one that was recorded, always the
// same in a run.
func laneKey(run string, lane int, recorded string) string {
	h := fnv.New128a()
	_, _ = io.WriteString(h, run+"\x00"+strconv.Itoa(lane)+"\x00"+recorded)
	return "shadow-" + hex.EncodeToString(h.Sum(nil))
}

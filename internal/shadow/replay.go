package shadow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Replay asks again what a recording holds, of the candidate and of the baseline,
// and compares what they answer.
//
// Its stages: replay_pace.go says when an exchange is due, replay_choose.go which
// are sent at all, replay_writes.go which of them may change data, replay_line.go
// keeps the order within sessions and bounds what is under way, replay_origins.go
// tells which session goes on as which, replay_carry.go finds what earlier answers
// named, replay_substitute.go puts that into a request, replay_lane.go sends it to one
// target, replay_compare.go compares what came back, and replay_record.go counts all
// that.
type Replay struct {
	stream  plan.Stream
	test    plan.Shadow
	outside Outside
	rules   Rules
	carry   []carryRule
	ladder  *ladder
}

// Outside is what a replay needs of the world: all of it must be there.
type Outside struct {
	// Open opens the recording, a path.
	Open func(path string) (Recording, error)
	// Sender makes what sends to a target, and keeps so many connections to it.
	Sender func(target plan.Target, hosts []string, dir string, conns int) (Sender, error)
	// Busy is called once a second and gives evidence that this machine could not
	// keep up, "" being none.
	Busy func() string
}

// Recording is a [Source] that is closed after use.
type Recording interface {
	Source
	io.Closer
}

// Sender sends requests to one target, with its credentials, and to no host that
// the plan does not name.
type Sender struct {
	Transport http.RoundTripper
	Ready     func(context.Context) error // fetches credentials, or says why there are none
	Status    func(error) string          // a word for a request without an answer
	Close     func()
}

// NewReplay prepares a stream whose test is a shadow test with its defaults filled
// in. It checks all that can be checked without traffic.
func NewReplay(s plan.Stream, outside Outside) (*Replay, error) {
	r := &Replay{stream: s, test: *s.Test.Shadow, outside: outside}
	if err := r.prepare(); err != nil {
		return nil, fmt.Errorf("test %s: %w", s.Test.Name, err)
	}
	return r, nil
}

func (r *Replay) prepare() (err error) {
	if r.rules, err = rulesOf(r.test.Compare); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if _, err := NewComparer(r.rules, CompareOptions{}); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if r.carry, err = carryRules(r.test.Carry); err != nil {
		return err
	}
	if r.ladder, err = newLadder(r.test.Writes, r.stream.Tenants); err != nil {
		return err
	}
	if _, err := NewRedactor(RedactionRules{Paths: r.test.Redact}); err != nil {
		return fmt.Errorf("redact: %w", err)
	}
	source, err := r.outside.Open(plan.Locate(r.stream.Dir, r.test.Recording))
	if err != nil {
		return err
	}
	return source.Close()
}

// Run replays until the recording, the test or the context ends, and hands what
// it measured to emit about once a second and at the end. What writes have made
// is undone before it returns. An error means that the test could not begin or
// that emit failed; or it is a [LeftError], and the test came to its end.
func (r *Replay) Run(ctx context.Context, emit func(measure.Batch) error) error {
	p, err := newReplaying(ctx, r)
	if err == nil {
		defer p.close()
		if err = p.run(ctx, emit); err == nil && p.left != nil {
			err = p.left
		}
	}
	if err != nil {
		return fmt.Errorf("test %s: %w", r.stream.Test.Name, err)
	}
	return nil
}

// replaying is one run of a Replay.
type replaying struct {
	*Replay
	source   Recording
	lanes    []*lane
	second   *lane // of lanes, the one that tells noise; nil without
	compared *comparing
	record   *replayRecord
	line     *replayLine
	sessions *sessions
	origins  origins // of sessions; only reading uses it
	random   *rand.Rand
	marks    http.Header // of every request: it is synthetic
	began    time.Time
	judged   time.Time // the end of warm-up

	sending context.Context // ends when nothing more may start
	halt    context.CancelFunc
	flight  context.Context // ends when what is under way is given up
	cut     context.CancelFunc
	cutAt   atomic.Int64
	left    *LeftError // nil where all was undone

	tally   replayTally
	waited  lanesWaiting // of all exchanges
	busiest busiest
	kept    []string // names of cookies that are sent as they were
	seq     uint64
}

// replayTally counts what became of the exchanges of a recording.
type replayTally struct {
	read, sent, other, held, dropped atomic.Uint64
	apart                            atomic.Uint64 // exchanges that were not compared for their conditions
	nobodys                          atomic.Uint64 // of those that were dropped, the failure of no arm
	damages                          int           // parts of the recording that were passed over
	broken                           string        // why it could not be read to its end
}

func newReplaying(ctx context.Context, r *Replay) (p *replaying, err error) {
	p = &replaying{Replay: r, random: rand.New(rand.NewPCG(uint64(r.stream.Seed), 0x5d))} //nolint:gosec // any bits do
	p.sending, p.halt = context.WithCancel(context.Background())
	p.flight, p.cut = context.WithCancel(context.Background())
	p.marks = http.Header{ShadowHeader: {"1"}, "Baggage": {"synthetic=true,synthetic.shadow=" + url.PathEscape(r.stream.Run)}}
	p.record = newReplayRecord(r.stream)
	p.sessions = newSessions(r.carry)
	p.line = newReplayLine(r.test.MaxVUs)
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.source, err = r.outside.Open(plan.Locate(r.stream.Dir, r.test.Recording)); err != nil {
		return nil, err
	}
	if chooser, ok := p.source.(interface{ Select(Selection) }); ok {
		chooser.Select(selectionOf(r.test))
	}
	p.kept = p.keptCookies()
	if err = p.openLanes(ctx); err != nil {
		return nil, err
	}
	p.compared, err = newComparing(p)
	return p, err
}

// openLanes opens one lane to each of those that are asked.
func (p *replaying) openLanes(ctx context.Context) error {
	open := func(target plan.Target, arm string) (*lane, error) {
		sender, err := p.outside.Sender(target, p.stream.Hosts, p.stream.Dir, p.test.MaxVUs)
		if err != nil {
			return nil, err
		}
		l := newLane(p, len(p.lanes), arm, target, sender)
		p.lanes = append(p.lanes, l)
		return l, sender.Ready(ctx)
	}
	if _, err := open(p.stream.Target, measure.Candidate); err != nil {
		return err
	}
	if p.stream.Beside != nil {
		if _, err := open(*p.stream.Beside, measure.Baseline); err != nil {
			return err
		}
	}
	if p.stream.Again == nil {
		return nil
	}
	l, err := open(*p.stream.Again, "")
	p.second = l
	return err
}

func (p *replaying) close() {
	p.halt()
	p.cut()
	for _, l := range p.lanes {
		l.close()
	}
	if p.source != nil {
		_ = p.source.Close() // it was only read
	}
}

// run replays, waits for the end and accounts for everything.
func (p *replaying) run(ctx context.Context, emit func(measure.Batch) error) error {
	recording := p.open()
	defer recording.close()
	p.began = time.Now()
	p.judged = p.began.Add(time.Duration(p.test.Warmup))
	p.record.begin(p.began, p.test)
	if r, ok := p.source.(interface{ Complete() bool }); ok && !r.Complete() {
		p.record.warn("the recording has no end: its writer still writes, or was killed; it is replayed as far as it can be read")
	}
	if err := emit(p.record.flush()); err != nil { // disruptions wait to hear that it began
		return err
	}
	read := make(chan struct{})
	go func() { defer close(read); p.read(recording) }()
	reason, err := p.watch(ctx, read, emit)
	p.finish(ctx, reason)
	return errors.Join(err, emit(p.record.flush()))
}

// replayStop is how long requests under way may take after an interrupt.
const replayStop = time.Second

// watch hands on what is measured until everything has settled. It gives the
// reason why that was early.
func (p *replaying) watch(ctx context.Context, read <-chan struct{}, emit func(measure.Batch) error) (reason string, failed error) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	interrupted := ctx.Done()
	var idle <-chan struct{}
	var bound <-chan time.Time
	stop := func(why string) {
		reason, interrupted = why, nil
		p.halt()
		bound = time.After(replayStop)
	}
	for {
		select {
		case <-read:
			read, idle = nil, p.line.idle()
			if bound == nil {
				bound = time.After(time.Duration(p.test.Grace))
			}
		case <-idle:
			return reason, failed
		case <-interrupted:
			stop("interrupted")
		case <-bound:
			p.halt()
			p.cutAt.CompareAndSwap(0, time.Now().UnixNano())
			p.line.abandon()
			p.cut()
		case <-ticker.C:
			p.record.blame("cpu", p.outside.Busy())
			p.compared.settle(false)
			if failed == nil {
				if failed = emit(p.record.flush()); failed != nil {
					stop("nobody took what was measured: " + failed.Error())
				}
			}
		}
	}
}

// finish undoes what was written, says what was found and ends the test.
func (p *replaying) finish(ctx context.Context, reason string) {
	end := time.Now()
	p.undo(ctx)
	p.compared.settle(true)
	p.compared.tell(end)
	p.tell(end)
	if reason == "" && p.tally.broken != "" {
		reason = "the recording could not be read to its end: " + p.tally.broken
	}
	p.record.end(end, reason)
}

// tell records how the recording was replayed.
func (p *replaying) tell(end time.Time) {
	lag := p.record.lag()
	attrs := map[string]string{
		"read": strconv.FormatUint(p.tally.read.Load(), 10), "sent": strconv.FormatUint(p.tally.sent.Load(), 10),
		"not chosen": strconv.FormatUint(p.tally.other.Load(), 10), "dropped": strconv.FormatUint(p.tally.dropped.Load(), 10),
		"held": strconv.FormatUint(p.tally.held.Load(), 10), "withheld": strconv.FormatUint(p.ladder.total(), 10),
	}
	maps.Copy(attrs, p.record.carriedText())
	for name, q := range map[string]float64{"lag p50": 0.5, "lag p99": 0.99} {
		if v, ok := lag.Quantile(q); ok {
			attrs[name] = strconv.FormatFloat(v, 'g', 3, 64) + "ms"
		}
	}
	p.record.event(end, measure.EventReplay, "", attrs)
	for _, w := range p.ladder.withheld() {
		p.record.event(end, measure.EventWithheld, w.route, map[string]string{"count": strconv.FormatUint(w.count, 10), "reason": w.reason})
	}
	p.tellConditions()
	p.tellDropped()
	for i, rule := range p.test.Carry {
		if p.tally.sent.Load() > 0 && p.sessions.used[i].Load() == 0 {
			p.record.warn("carry %d put nothing into any request: no answer had %s before a request of its session had %s", i+1, rule.From, rule.To)
		}
	}
}

// targetURL joins the base of a target with what a recording asked of its host.
func targetURL(base *url.URL, target string) (*url.URL, error) {
	path, query, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("the target %.80q is no path", target)
	}
	u := *base
	var err error
	raw := strings.TrimRight(base.EscapedPath(), "/") + path
	if u.Path, err = url.PathUnescape(raw); err != nil {
		return nil, fmt.Errorf("the target %.80q is no path: %w", target, err)
	}
	u.RawPath, u.RawQuery, u.Fragment = raw, query, ""
	return &u, nil
}

// countdown tells each of several how many are left.
type countdown struct {
	mu   sync.Mutex
	left int
}

func (c *countdown) done() (left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left--
	return c.left
}

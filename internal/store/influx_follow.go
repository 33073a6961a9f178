package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
)

// followPace is how often a [Follower] does what.
type followPace struct {
	every    time.Duration // asks for what is new
	recount  time.Duration // asks how much there is, and reads again what was missed
	whole    time.Duration // reads all of a runner again, when the last minutes were not enough
	ask      time.Duration // waits for the answers
	patience time.Duration // bears an InfluxDB that does not answer
}

var usualPace = followPace{every: time.Second, recount: 10 * time.Second, whole: time.Minute, ask: time.Minute, patience: 5 * time.Minute}

// How far back what is new is looked for, from the newest window of the slowest
// runner: windows may come late, and out of order.
const (
	followOverlap = 10 * time.Second
	followFurther = 2 * time.Minute // when there is more than was read
	followSilent  = time.Minute     // after which nobody waits for a runner
)

// Follower reads from InfluxDB what runners write there (see
// [measure.EventRunner]) while they do, and knows of each whether it began,
// whether it ended, and when it was heard last. It is safe for concurrent use.
type Follower struct {
	from Influx
	http *http.Client
	run  string
	emit func(measure.Batch) error
	pace followPace

	sources   string // a condition of InfluxQL
	recounted time.Time
	syncs     chan chan error
	done      chan struct{}

	mu      sync.Mutex
	runners map[string]*followed // by source
	trouble error                // why InfluxDB did not answer the last time; nil when it did
	err     error                // why following ended
}

// followed is a runner, and what was read of it. The goroutine that reads is
// the only one that writes, and it alone uses the sets.
type followed struct {
	measure.Runner
	parts, seqs numberSet
	newest      int64     // start of its newest window; 0 when there is none
	whole       time.Time // when all of it was read again
	hurried     bool      // it was recounted at once after it ended
}

// Follow hands every window and event of the runners of a run to emit, exactly
// once, from the first on, and goes on until the context ends. Sources is what
// the sources of the runners begin with; of those, only ones that said that
// they began are followed. Emit is called by one goroutine at a time; its error
// ends the following, and so does an InfluxDB that has not answered for five
// minutes; see Err. An InfluxDB that does not answer at first is an error here.
func Follow(ctx context.Context, from Influx, run, sources string, emit func(measure.Batch) error) (*Follower, error) {
	return follow(ctx, from, run, sources, emit, usualPace)
}

func follow(ctx context.Context, from Influx, run, sources string, emit func(measure.Batch) error, pace followPace) (*Follower, error) {
	if err := from.Validate(); err != nil {
		return nil, err
	}
	f := &Follower{
		from: from, http: from.httpClient(), run: run, emit: emit, pace: pace, runners: map[string]*followed{},
		sources: ` AND "origin" = '' AND "source" =~ /^` + strings.ReplaceAll(regexp.QuoteMeta(escapeTag(sources)), "/", `\/`) + `/`,
		syncs:   make(chan chan error), done: make(chan struct{}),
	}
	f.http.Timeout = 0 // the context of a question ends it
	if err := f.poll(ctx, true); err != nil {
		f.http.CloseIdleConnections()
		return nil, fmt.Errorf("follow run %s in InfluxDB: %w", run, err)
	}
	go f.loop(ctx)
	return f, nil
}

// Runners are those that began, by source.
func (f *Follower) Runners() []measure.Runner {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []measure.Runner
	for _, source := range slices.Sorted(maps.Keys(f.runners)) {
		list = append(list, f.runners[source].Runner)
	}
	return list
}

// Sync reads all that InfluxDB has by now; it returns once emit has it.
func (f *Follower) Sync(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case f.syncs <- answer:
	case <-f.done:
		return errors.Join(errors.New("InfluxDB is not followed any more"), f.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Trouble is why InfluxDB did not answer the last time; nil when it did.
func (f *Follower) Trouble() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble
}

// Done is closed when following has ended.
func (f *Follower) Done() <-chan struct{} { return f.done }

// Err is why following ended by itself: nil as long as it goes on, and when the
// context ended it.
func (f *Follower) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// loop reads what is new, again and again.
func (f *Follower) loop(ctx context.Context) {
	defer close(f.done)
	defer f.http.CloseIdleConnections()
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // spreads attempts
	answered, failures, wait := time.Now(), 0, f.pace.every
	for {
		var answer chan error
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case answer = <-f.syncs:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		err := f.poll(ctx, answer != nil)
		wait = f.pace.every
		if err == nil {
			answered, failures = time.Now(), 0
		} else {
			wait = max(wait, backoff(failures, 0, random))
			failures++
		}
		over := f.over(ctx, err, answered)
		if answer != nil {
			answer <- err
		}
		if over {
			return
		}
	}
}

// over notes how asking went, and reports whether that was the last time.
func (f *Follower) over(ctx context.Context, err error, answered time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = err
	var refused *unemitted
	switch silent := time.Since(answered); {
	case err == nil || ctx.Err() != nil:
	case errors.As(err, &refused):
		f.err = refused.err
	case silent >= f.pace.patience:
		f.err = fmt.Errorf("InfluxDB did not answer for %s: %w", silent.Round(time.Second), err)
	}
	return f.err != nil
}

// unemitted is that emit did not take something.
type unemitted struct{ err error }

func (u *unemitted) Error() string { return u.err.Error() }

// poll reads what is new; when it is time, or all is wanted, it also counts what
// there is, and reads again where that is more than was read. Counted is first,
// so that what is written meanwhile is not missed.
func (f *Follower) poll(ctx context.Context, all bool) error {
	ctx, cancel := context.WithTimeout(ctx, f.pace.ask)
	defer cancel()
	c := &collector{ctx: ctx, from: f.from, http: f.http, run: f.run}
	var windows, events map[string]uint64
	if all = all || time.Since(f.recounted) >= f.pace.recount || f.hurry(); all {
		var err error
		if windows, err = f.count(c, influxWindows, "count"); err != nil {
			return err
		}
		if events, err = f.count(c, influxEvents, "seq"); err != nil {
			return err
		}
	}
	since := f.since()
	if err := f.events(c, f.sources+from(since)); err != nil {
		return err
	}
	if err := f.windows(c, f.sources+from(since)); err != nil {
		return err
	}
	if !all {
		return nil
	}
	f.recounted = time.Now()
	for _, source := range slices.Sorted(maps.Keys(events)) {
		if err := f.recover(c, source, windows[source], events[source]); err != nil {
			return err
		}
	}
	return nil
}

// hurry reports whether a runner has just ended of which something is missing.
func (f *Follower) hurry() (now bool) {
	for _, r := range f.runners {
		if r.Missing() > 0 && !r.hurried {
			r.hurried, now = true, true
		}
	}
	return now
}

// since is the time from which new windows are looked for: a little before the
// newest of the slowest runner. One that is silent for long may be dead; what
// it says later is found by counting.
func (f *Follower) since() int64 {
	slowest, newest := int64(math.MaxInt64), int64(0)
	for _, r := range f.runners {
		newest = max(newest, r.newest)
		if r.newest > 0 && !r.Settled() && time.Since(r.Heard) < followSilent {
			slowest = min(slowest, r.newest)
		}
	}
	return max(0, min(slowest, newest)-int64(followOverlap))
}

// from is a condition: not before a time, 0 for any.
func from(since int64) string {
	if since == 0 {
		return ""
	}
	return ` AND time >= ` + strconv.FormatInt(since, 10)
}

// count asks how many points each source wrote.
func (f *Follower) count(c *collector, measurement, field string) (map[string]uint64, error) {
	counts := map[string]uint64{}
	question := `SELECT count("` + field + `") FROM "` + measurement + `" WHERE "run" = ` + quoted(escapeTag(f.run)) + f.sources + ` GROUP BY "source"`
	for r, err := range c.query(question) {
		if err != nil {
			return nil, err
		}
		v := &values{row: r}
		if counts[v.tag("source")] = v.count("count"); v.err != nil {
			return nil, v.err
		}
	}
	return counts, nil
}

// recover reads a source again if there is more of it than was read: the last
// minutes, and all of it where that is not enough, but not every time as long
// as the runner goes on.
func (f *Follower) recover(c *collector, source string, windows, events uint64) error {
	only := ` AND "origin" = '' AND "source" = ` + quoted(escapeTag(source))
	r := f.runners[source]
	if r == nil { // it may have begun long before it could be read
		if err := f.events(c, only); err != nil || f.runners[source] == nil {
			return err
		}
		return f.windows(c, only)
	}
	short := func() bool { return r.parts.count() < windows || r.seqs.count() < events }
	for _, since := range []int64{r.newest - int64(followFurther), 0} {
		if !short() || (since <= 0 && !r.Ended && time.Since(r.whole) < f.pace.whole) {
			return nil
		}
		if since <= 0 {
			since, r.whole = 0, time.Now()
		}
		if err := errors.Join(f.events(c, only+from(since)), f.windows(c, only+from(since))); err != nil {
			return err
		}
	}
	return nil
}

// events hands on those that were not read before.
func (f *Follower) events(c *collector, and string) error {
	var fresh []measure.Event
	for row, err := range c.rows(influxEvents, and) {
		var e measure.Event
		if err == nil {
			e, _, err = eventOf(row)
		}
		if err != nil {
			return errors.Join(err, f.hand(measure.Batch{Events: fresh}))
		}
		if f.isNewEvent(e) {
			fresh = append(fresh, e)
		}
	}
	return f.hand(measure.Batch{Events: fresh})
}

// isNewEvent reports whether an event is one of a runner, and was not read
// before. With its first event a runner becomes known.
func (f *Follower) isNewEvent(e measure.Event) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runners[e.Source]
	if r == nil {
		if e.Kind != measure.EventRunner {
			return false
		}
		r = &followed{parts: numberSet{}, seqs: numberSet{}, Runner: measure.Runner{
			Source: e.Source, Number: e.Attrs["runner"], Host: e.Attrs["host"], Segment: e.Attrs["segment"], Began: time.Unix(0, e.At),
		}}
		f.runners[e.Source] = r
	}
	if e.Kind == measure.EventRunner && !r.Began.Equal(time.Unix(0, e.At)) {
		r.Twice = e.Attrs["host"]
	}
	return r.seqs.add(e.Seq)
}

// windows hands on those that were not read before.
func (f *Follower) windows(c *collector, and string) error {
	var fresh []measure.Window
	for row, err := range c.rows(influxWindows, and) {
		var w measure.Window
		if err == nil {
			w, _, err = windowOf(row)
		}
		if err != nil {
			return errors.Join(err, f.hand(measure.Batch{Windows: fresh}))
		}
		if r := f.runners[w.Source]; r == nil || !r.parts.add(uint64(w.Part)) {
			continue
		}
		if fresh = append(fresh, w); len(fresh) == collectedAtOnce {
			if err := f.hand(measure.Batch{Windows: fresh}); err != nil {
				return err
			}
			fresh = nil
		}
	}
	return f.hand(measure.Batch{Windows: fresh})
}

// hand gives a batch to emit, and only then says that it was read.
func (f *Follower) hand(batch measure.Batch) (err error) {
	if len(batch.Windows)+len(batch.Events) == 0 {
		return nil
	}
	if err := f.emit(batch); err != nil {
		return &unemitted{err}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for i := range batch.Windows {
		w := &batch.Windows[i]
		r := f.runners[w.Source]
		r.Windows++
		r.Heard, r.newest = now, max(r.newest, w.Start)
	}
	for _, e := range batch.Events {
		err = errors.Join(err, f.runners[e.Source].heard(e, now))
	}
	return err
}

// heard notes an event. An end without its numbers is an error, and no end.
func (r *followed) heard(e measure.Event, now time.Time) (err error) {
	r.Heard = now
	if e.Kind != measure.EventRunnerEnd {
		r.Events++
		return nil
	}
	r.End, err = measure.ReadRunnerEnd(e)
	r.Ended = err == nil
	return err
}

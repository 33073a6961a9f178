package distribute

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
)

// How long the crew waits for what should come.
const (
	reportGrace = 20 * time.Second // for what a runner that came to its end wrote, or one whose pod is gone
	endGrace    = 45 * time.Second // for the end of a runner, after the test should be over
)

// crew is the account of the runners of one job: what they wrote, and what became
// of their pods. It is safe for concurrent use.
type crew struct {
	source string        // of the runners; each adds its number
	begin  time.Duration // how long all may take to begin
	most   time.Duration // from when the test begins to its end; 0 when only the script knows
	since  time.Time     // when they were asked for

	mu      sync.Mutex
	runners []runner
	began   time.Time // when the test began, on the first of them; zero before
	trouble string    // what keeps the operator's own pods from running
	lost    string    // why none can do anything any more; "" while they can
}

// runner is one of them, as far as is known.
type runner struct {
	heard   time.Time // when something of it last came in; zero for never
	windows uint64    // that came in
	events  uint64    // that came in, without its end
	begun   int       // how often it said that it is there
	again   string    // the host of one that began in its place; "" when none did
	test    int64     // when its test began, Unix nanoseconds; 0 before
	end     *measure.Event
	ended   time.Time // when its end came in

	pod     string    // its name; "" before it was seen
	trouble string    // what keeps it from beginning
	dead    time.Time // when its pod was first seen to have ended or to be gone
	cause   string    // of that

	done   bool
	failed string // why it is not complete, once it is done; "" when it is
}

func newCrew(j Job, since time.Time) *crew {
	_, profile := j.Settings.Stream.Test.Kind()
	c := &crew{source: j.Settings.Source, begin: time.Duration(j.On.Begin), since: since, runners: make([]runner, j.parallel())}
	if profile.Shaped() {
		c.most = profile.Length() + time.Duration(profile.Grace) + endGrace
	}
	return c
}

// hear takes note of what runners wrote.
func (c *crew) hear(batch measure.Batch, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range batch.Windows {
		if r := c.of(w.Source); r != nil {
			r.windows, r.heard = r.windows+1, now
		}
	}
	for _, e := range batch.Events {
		r := c.of(e.Source)
		if r == nil {
			continue
		}
		r.heard = now
		if e.Kind == measure.EventRunnerEnd {
			r.end, r.ended = &e, now
			continue
		}
		r.events++
		if e.Kind == measure.EventRunner {
			if r.begun++; r.begun > 1 {
				r.again = e.Attrs["host"]
			}
		}
		if e.Kind == measure.EventTest && r.test == 0 {
			r.test = e.At
			if c.began.IsZero() {
				c.began = now
			}
		}
	}
}

// of is the runner with a source; nil when there is none.
func (c *crew) of(source string) *runner {
	number, ours := strings.CutPrefix(source, c.source+"/")
	n, err := strconv.Atoi(number)
	if !ours || err != nil || n < 1 || n > len(c.runners) {
		return nil
	}
	return &c.runners[n-1]
}

// see takes note of how the pods are.
func (c *crew) see(s sight, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	there := map[int]bool{}
	c.trouble = ""
	for _, p := range s.pods {
		switch {
		case p.runner >= 1 && p.runner <= len(c.runners):
			there[p.runner] = true
			c.runners[p.runner-1].seen(p, now)
		case p.runner == 0 && p.ended && !p.succeeded:
			c.lost = cmp.Or(c.lost, "the pod "+p.name+" of k6-operator failed: "+p.cause())
		case p.runner == 0 && p.waits != "":
			c.trouble = "the pod " + p.name + " of k6-operator is not running: " + p.waits
		}
	}
	for i := range c.runners {
		if r := &c.runners[i]; r.pod != "" && !there[i+1] {
			r.died("its pod was deleted", now)
		}
	}
	switch {
	case s.gone:
		c.lost = cmp.Or(c.lost, "the TestRun was deleted")
	case s.stage == "error":
		c.lost = cmp.Or(c.lost, "k6-operator gave up the TestRun (stage error): see its log")
	}
}

func (r *runner) seen(p pod, now time.Time) {
	r.pod = p.name
	r.trouble = p.waits
	if p.ended {
		cause := p.cause()
		if p.succeeded {
			cause = "it ended without a report"
		}
		r.died(cause, now)
	}
}

func (r *runner) died(cause string, now time.Time) {
	if r.dead.IsZero() {
		r.dead, r.cause = now, cause
	}
}

// settle decides which runners are done at a moment, and reports whether all
// are.
func (c *crew) settle(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := true
	for i := range c.runners {
		r := &c.runners[i]
		if !r.done {
			r.done, r.failed = c.judge(r, now)
		}
		all = all && r.done
	}
	if !all && c.began.IsZero() { // the operator begins with all or with none
		for i := range c.runners {
			if r := c.runners[i]; r.done && r.failed != "" {
				c.give(fmt.Sprintf("the test did not begin, because of runner %d", i+1))
				return true
			}
		}
	}
	return all
}

// judge decides whether a runner is done, and what was wrong with it.
func (c *crew) judge(r *runner, now time.Time) (done bool, failed string) {
	switch {
	case r.again != "":
		return true, "another one began in its place, on " + r.again + ": what it sent is not all"
	case r.end != nil:
		return r.reported(now)
	case !r.dead.IsZero() && now.Sub(r.dead) > reportGrace:
		return true, r.cause
	case c.lost != "":
		return true, c.lost
	case c.began.IsZero() && now.Sub(c.since) > c.begin:
		return true, fmt.Sprintf("the test did not begin within %s: %s", c.begin, cmp.Or(r.trouble, c.trouble, r.idle()))
	case c.most > 0 && !c.began.IsZero() && now.Sub(c.began) > c.most:
		return true, "it did not report its end in time" + r.last(now)
	}
	return false, ""
}

// reported judges a runner that told its end: it is done once all that it wrote
// has come in.
func (r *runner) reported(now time.Time) (done bool, failed string) {
	end, err := measure.ReadRunnerEnd(*r.end)
	switch {
	case err != nil:
		return true, err.Error()
	case !end.Complete:
		return true, cmp.Or(end.Reason, "it did not come to its end")
	case end.Lost > 0:
		return true, fmt.Sprintf("InfluxDB did not take %d of its windows and events", end.Lost)
	case r.windows >= end.Windows && r.events >= end.Events:
		return true, ""
	case now.Sub(r.ended) > reportGrace:
		return true, fmt.Sprintf("of its %d windows and %d events only %d and %d arrived", end.Windows, end.Events, r.windows, r.events)
	}
	return false, ""
}

func (r *runner) idle() string {
	switch {
	case r.pod == "":
		return "k6-operator made no pod for it; is it installed, and does it look after this namespace?"
	case r.heard.IsZero():
		return "its pod runs, but nothing of it arrived in InfluxDB"
	}
	return "it waits for k6-operator to start it"
}

func (r *runner) last(now time.Time) string {
	if r.heard.IsZero() {
		return ", and nothing of it arrived"
	}
	return fmt.Sprintf("; the last of it arrived %s ago", now.Sub(r.heard).Round(time.Second))
}

// giveUp ends the account of all who are not done, for one reason.
func (c *crew) giveUp(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.give(why)
}

func (c *crew) give(why string) {
	for i := range c.runners {
		if r := &c.runners[i]; !r.done {
			r.done, r.failed = true, why
		}
	}
}

// reporting reports whether there are runners whose end has not come in.
func (c *crew) reporting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.runners {
		if r.end == nil && !r.heard.IsZero() && r.dead.IsZero() {
			return true
		}
	}
	return false
}

// account is what became of each runner, once all are done.
func (c *crew) account() []outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]outcome, len(c.runners))
	for i, r := range c.runners {
		out[i] = outcome{failed: r.failed, test: r.test, end: r.end}
		if r.failed != "" {
			out[i].who = fmt.Sprintf("runner %d of %d", i+1, len(c.runners))
			if r.pod != "" {
				out[i].who += " (pod " + r.pod + ")"
			}
		}
	}
	return out
}

// outcome is what became of one runner.
type outcome struct {
	who    string
	failed string // "" when it is complete
	test   int64  // when its test began; 0 when it did not
	end    *measure.Event
}

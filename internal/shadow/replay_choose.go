package shadow

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"resilience/internal/plan"
)

// readAhead is how many exchanges are read before they are due, so that unpacking a
// block of the recording makes none of them late.
const readAhead = 128

// gotten is what a recording gave.
type gotten struct {
	Exchange
	err error
}

// reading is a recording that is read ahead.
type reading struct {
	ahead chan gotten
	first gotten // what it began with
	some  bool   // there is something
	stop  context.CancelFunc
	over  sync.WaitGroup
}

// open begins to read, and returns when there is something to send: the first block
// of a recording takes a while.
func (p *replaying) open() *reading {
	ctx, stop := context.WithCancel(p.sending)
	r := &reading{ahead: make(chan gotten, readAhead), stop: stop}
	r.over.Go(func() {
		defer close(r.ahead)
		p.feed(ctx, r.ahead)
	})
	r.first, r.some = <-r.ahead
	return r
}

// close ends the reading.
func (r *reading) close() {
	r.stop()
	r.over.Wait()
}

// read takes exchanges off the recording and lets them go when they are due. A
// recording is never held in memory.
func (p *replaying) read(r *reading) {
	when := &pace{speed: p.test.Speed, rate: p.test.Rate}
	for next, more := r.first, r.some; more; next, more = <-r.ahead {
		switch {
		case next.err != nil:
			p.damaged(next.err)
		case !p.replay(next.Exchange, when):
			return
		}
	}
}

// feed reads the recording until it ends.
func (p *replaying) feed(reading context.Context, ahead chan<- gotten) {
	for {
		e, err := p.source.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		select {
		case ahead <- gotten{e, err}:
		case <-reading.Done():
			return
		}
		if err != nil && !passable(err) {
			return
		}
	}
}

// replay lets an exchange go when it is due, if it is to go; false when no other
// one is.
func (p *replaying) replay(e Exchange, when *pace) bool {
	p.tally.read.Add(1)
	p.origins.learn(e)
	whole := e
	whole.Session = p.origins.root(e.Session) // a sample has all of a session, or nothing
	if !chosen(p.test, whole) {
		p.tally.other.Add(1)
		return p.sending.Err() == nil
	}
	e.Route = routeName(e)
	rung, ok := p.ladder.allows(e)
	if !ok {
		return p.sending.Err() == nil
	}
	if due := when.due(e.At); p.over(due) || p.gap(due) || !p.let(e, rung, due) {
		p.tally.read.Add(^uint64(0)) // nothing became of it: it is as if it had not been read
		return false
	}
	return true
}

// passable reports whether what follows a damaged part of a recording can be read.
func passable(err error) bool {
	var damage *DamageError
	return errors.As(err, &damage)
}

// damaged notes that a part of the recording can not be read.
func (p *replaying) damaged(err error) {
	if !passable(err) {
		p.tally.broken = err.Error()
		return
	}
	if p.tally.damages++; p.tally.damages <= undoTold {
		p.record.warn("a part of the recording is left out: %v", err)
	}
}

// over reports whether an exchange lies behind the end of the test.
func (p *replaying) over(due time.Duration) bool {
	s := p.test
	return s.Limit > 0 && p.seq >= s.Limit || s.Duration > 0 && due >= time.Duration(s.Warmup+s.Duration)
}

// let sends an exchange when it is due; false when the sending ended before.
func (p *replaying) let(e Exchange, rung rung, due time.Duration) bool {
	at := p.began.Add(due)
	if p.test.Speed.Max() {
		if !p.line.free(p.sending) {
			return false
		}
		at = time.Now()
		if p.test.Duration > 0 && at.Sub(p.began) >= time.Duration(p.test.Warmup+p.test.Duration) {
			return false
		}
	} else if !awaitMoment(p.sending, at) {
		return false
	}
	p.seq++
	j := newJob(p, e, rung, at)
	switch p.line.enter(j) {
	case lineFull:
		p.drop(j)
	case lineHeld:
		p.tally.held.Add(1)
	}
	return true
}

// longestGap is how long nothing may be due. A recording of logs of several years,
// or of a log without times beside another, would keep its replay waiting.
const longestGap = 24 * time.Hour

// gap reports whether nothing is due for longer than anybody waits, and says so.
func (p *replaying) gap(due time.Duration) bool {
	wait := time.Until(p.began.Add(due))
	if wait > longestGap {
		p.record.warn("the rest of the recording was not replayed, for nothing is due for %s: choose a part of it by from: and to:, or give a rate: or speed: max", wait.Round(time.Hour))
	}
	return wait > longestGap
}

// selectionOf lets a recording leave out what a test does not replay: whole blocks
// of it need not be unpacked then.
func selectionOf(s plan.Shadow) (chosen Selection) {
	if s.From != nil {
		chosen.From = time.Time(*s.From)
	}
	if s.To != nil {
		chosen.To = time.Time(*s.To)
	}
	chosen.Tenants = s.Tenants
	return chosen
}

// chosen reports whether a test replays an exchange.
func chosen(s plan.Shadow, e Exchange) bool {
	switch {
	case s.From != nil && e.At.Before(time.Time(*s.From)), s.To != nil && !e.At.Before(time.Time(*s.To)):
		return false
	case len(s.Tenants) > 0 && !slices.Contains(s.Tenants, e.Tenant):
		return false
	case !ofHosts(s.Hosts, e.Request.Host):
		return false
	case len(s.Routes) > 0 && !slices.ContainsFunc(s.Routes, func(route string) bool { return isReplayRoute(routeName(e), route) }):
		return false
	}
	return sampled(e, float64(s.Sample))
}

// sampled reports whether an exchange is in a sample of the sessions: always the
// same ones, and those of a smaller sample in a larger one.
func sampled(e Exchange, share float64) bool {
	if share >= 1 {
		return true
	}
	return inShare(cmp.Or(e.Session, e.Request.Method+" "+e.Request.Target+e.At.String()), share)
}

// routeName is the route of an exchange, or what stands for it.
func routeName(e Exchange) string {
	if e.Route != "" {
		return e.Route
	}
	path, _, _ := strings.Cut(e.Request.Target, "?")
	return e.Request.Method + " " + path
}

// isReplayRoute reports whether a name is the route, with or without a method.
func isReplayRoute(name, route string) bool {
	if name == route {
		return true
	}
	_, path, ok := strings.Cut(name, " ")
	return ok && path == route
}

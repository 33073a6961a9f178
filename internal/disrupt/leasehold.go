package disrupt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"resilience/internal/measure"
)

// Pauses between two tries when a control does not answer.
const (
	liftAgain  = 100 * time.Millisecond
	renewAgain = time.Second
)

// ttlSlack is added to a time to live before it has surely passed: what the
// control may have been late by.
const ttlSlack = time.Second

// leasehold is a fault on a proxy elsewhere, from its injection to its lifting.
// A goroutine renews it three times within its time to live, so that two lost
// renewals do no harm.
type leasehold struct {
	by       *Controller
	order    Order
	instance string // of the control that injected it
	injected time.Time
	ttl      time.Duration

	stop    context.CancelFunc // of renewing
	stopped chan struct{}      // closed when nothing renews it any more

	// What follows belongs to the goroutine that renews until stopped is
	// closed, and then to whoever has the turn.
	last  Lease     // what was last known
	gone  bool      // the control said that it is not in effect
	heard time.Time // when a renewal may last have arrived
	alive time.Time // when the fault was last known to be in effect
	early time.Time // alive, for a fault that was gone before it was lifted

	turn chan struct{} // holds one value while somebody lifts
	over bool
}

func (c *Controller) keepAlive(o Order, a answer) *leasehold {
	ctx, stop := context.WithCancel(context.Background())
	now := time.Now()
	h := &leasehold{
		by: c, order: o, instance: a.Instance, injected: now, ttl: time.Duration(a.Lease.TTL), last: *a.Lease, heard: now, alive: now,
		stop: stop, stopped: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	go h.renew(ctx)
	return h
}

// renew keeps the fault alive until the context ends or it is gone.
func (h *leasehold) renew(ctx context.Context) {
	defer close(h.stopped)
	pause, failing := h.ttl/3, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		err := h.renewNow(ctx)
		if err != nil && !h.gone && ctx.Err() == nil {
			err = h.renewNow(ctx) // the connection may just have been closed
		}
		switch {
		case h.gone || ctx.Err() != nil:
			return
		case err == nil:
			pause, failing = h.ttl/3, false
		case !failing:
			h.warn("could not be renewed, and is lifted by the proxy in at most %s unless that works again: %v", h.ttl, err)
			fallthrough
		default:
			pause, failing = min(h.ttl/3, renewAgain), true
		}
	}
}

// renewNow asks once for the fault to live on, and notes when it is gone.
func (h *leasehold) renewNow(ctx context.Context) error {
	a, err := h.by.renewOnce(ctx, h.order.ID)
	var never unsent
	if !errors.As(err, &never) {
		h.heard = time.Now()
	}
	var no *refused
	switch {
	case err == nil:
		h.last, h.alive = *a.Lease, time.Now()
	case errors.As(err, &no) && h.stranger(no.answer):
		return errStranger
	case errors.As(err, &no) && no.status == http.StatusGone:
		h.lost(no.answer)
	}
	return err
}

// errStranger says that an answer comes from another process than the one with
// the fault, which was there at the same time.
var errStranger = errors.New("another process answers at the URL of the control: it must lead to one proxy, not to several by turns")

// stranger reports whether an answer comes from another process than the one
// with the fault, though not from its successor.
func (h *leasehold) stranger(a answer) bool {
	return a.Instance != h.instance && time.Duration(a.Uptime)*time.Millisecond > time.Since(h.injected)
}

// lost notes that the fault is not in effect any more though nobody lifted it.
func (h *leasehold) lost(a answer) {
	h.gone, h.early = true, h.alive
	if a.Lease != nil {
		h.last = *a.Lease
	}
	if a.Instance != h.instance {
		h.warn("is gone before its time: the proxy does not know it any more and must have been restarted; what it touched is only known until then")
		return
	}
	h.warn("was lifted by the proxy before its time: %s", a.Error)
}

func (h *leasehold) warn(format string, args ...any) {
	if h.by.Warn != nil {
		h.by.Warn(h.order.Disruption.Name, "the fault "+fmt.Sprintf(format, args...))
	}
}

// lift is as [Disruption] wants it. While the control can not be reached it
// tries again, until the context ends or the fault's own time is surely over.
func (h *leasehold) lift(ctx context.Context) (measure.Touch, error) {
	h.stop()
	<-h.stopped
	if !h.take(ctx) {
		return measure.Touch{}, fmt.Errorf("disruption %q: %w while it was being lifted", h.order.Disruption.Name, ctx.Err())
	}
	defer func() { <-h.turn }()
	for once := context.WithoutCancel(ctx); !h.over; once = ctx { // the first try has a time of its own
		err := h.attempt(once)
		if h.over {
			break
		}
		select {
		case <-ctx.Done():
			return h.last.Touch(), fmt.Errorf("disruption %q could not be lifted: %w; the proxy lifts it by itself within %s", h.order.Disruption.Name, err, h.ttl)
		case <-time.After(liftAgain):
		}
	}
	return h.touch(), nil
}

// touch is the proof of the fault. What was measured after it was gone does not
// count as during it.
func (h *leasehold) touch() measure.Touch {
	t := h.last.Touch()
	if !h.early.IsZero() {
		t.Gone = h.early.UnixNano()
	}
	return t
}

// take waits for the turn to lift. One that is free is taken whatever the
// context is.
func (h *leasehold) take(ctx context.Context) bool {
	select {
	case h.turn <- struct{}{}:
		return true
	default:
	}
	select {
	case h.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt asks once for the fault to be lifted.
func (h *leasehold) attempt(ctx context.Context) error {
	a, err := h.by.liftOnce(ctx, h.order.ID)
	switch {
	case err == nil && h.stranger(a):
		err = errStranger
	case err == nil:
		h.over = true
		h.settle(a)
	}
	switch {
	case h.over:
	case h.gone: // the control has said so before
		h.over = true
	case time.Since(h.heard) > h.ttl+ttlSlack:
		h.over, h.early = true, h.alive
		h.warn("could not be lifted, but the time for which it lives without being renewed (%s) has passed: %v", h.ttl, err)
	}
	return err
}

// settle takes over what the control knows of a fault that is gone.
func (h *leasehold) settle(a answer) {
	switch {
	case a.Instance != h.instance && !h.gone:
		h.early = h.alive
		h.warn("went with the process of the proxy, which was restarted; what it touched is only known until its last renewal")
	case a.Instance == h.instance:
		if a.Lease.State == StateExpired && !h.gone {
			h.early = h.alive
			h.warn("was lifted by the proxy before its time: it was not renewed within %s", h.ttl)
		}
		h.last = *a.Lease
	}
}

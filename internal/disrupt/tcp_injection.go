package disrupt

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// tcpInjection is a fault on connections while it is in effect. Its fields are
// guarded by the mutex of the proxy, but for those that never change.
type tcpInjection struct {
	on      *TCPProxy
	harm    tcpHarm
	tally   *tally
	acting  bool // false in the pauses of a flap
	refused bool // the port is refusing because of this
	met     map[*tcpWire]*hit
	err     error // the first reason why the port could not refuse or open in a flap

	stop     func() // ends the flapping; may be called again
	stopped  chan struct{}
	flapping sync.WaitGroup
}

// hit is what a fault does to one connection; a connection that it met and did
// not choose has one without anything in it.
type hit struct {
	touched bool
	links   []*tcpLink
	reset   *time.Timer
}

// inject puts a fault into effect on what is connected and on what will be.
func (p *TCPProxy) inject(harm tcpHarm, t *tally) (stop func() error, err error) {
	i := &tcpInjection{on: p, harm: harm, tally: t, met: map[*tcpWire]*hit{}, stopped: make(chan struct{})}
	i.stop = sync.OnceFunc(func() { close(i.stopped) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errProxyClosed
	}
	if harm.refuse {
		t.take() // the port is what is touched: nobody hears of what it refuses
	}
	if err := i.begin(); err != nil {
		return nil, err
	}
	p.injected = append(p.injected, i)
	if t.on > 0 {
		i.flapping.Go(i.flap)
	}
	return i.lift, nil
}

// begin makes the fault act, on connections that it met in an earlier turn
// again.
func (i *tcpInjection) begin() error {
	i.acting = true
	if i.harm.refuse && !i.refused {
		if err := i.on.port.refuse(); err != nil {
			return err
		}
		i.refused = true
	}
	for w, h := range i.met {
		i.act(w, h)
	}
	for w := range i.on.wires {
		i.meet(w)
	}
	return nil
}

// meet decides about a connection that the fault has not met.
func (i *tcpInjection) meet(w *tcpWire) {
	if !i.acting || i.met[w] != nil {
		return
	}
	if i.harm.refuse {
		w.reset() // it was open when the port was closed
		return
	}
	h := &hit{}
	i.met[w] = h
	turn, touched := i.tally.take()
	if h.touched = touched; !touched {
		return
	}
	lines := []*line{w.down}
	if i.harm.up {
		lines = append(lines, w.up)
	}
	for n, l := range lines {
		if i.harm.toxic == nil {
			break
		}
		random := rand.New(rand.NewPCG(math.Float64bits(turn.draw), uint64(n))) //nolint:gosec // repeatable on purpose
		if k := l.add(i.harm.toxic(random), true); k != nil {
			h.links = append(h.links, k)
		}
	}
	if i.harm.reset {
		i.reset(w, h)
	}
}

// reset resets a connection when it has lived long enough, before anything
// passes where that is now.
func (i *tcpInjection) reset(w *tcpWire, h *hit) {
	left := i.left(w)
	switch {
	case left <= 0:
		w.reset()
	case h.reset == nil:
		h.reset = time.AfterFunc(left, w.reset)
	default:
		h.reset.Reset(left)
	}
}

// left is how long a connection has before it is reset.
func (i *tcpInjection) left(w *tcpWire) time.Duration {
	return max(0, time.Duration(i.harm.after)-time.Since(w.opened))
}

// act does again to a connection what was decided about it.
func (i *tcpInjection) act(w *tcpWire, h *hit) {
	for _, k := range h.links {
		k.set(true)
	}
	if i.harm.reset && h.touched {
		i.reset(w, h)
	}
}

// pause takes the fault out of effect for a while, or before it is lifted.
func (i *tcpInjection) pause() error {
	i.acting = false
	for _, h := range i.met {
		for _, k := range h.links {
			k.set(false)
		}
		if h.reset != nil {
			h.reset.Stop()
		}
	}
	if !i.refused {
		return nil
	}
	if err := i.on.port.admit(); err != nil {
		return err
	}
	i.refused = false
	return nil
}

// flap lets the fault come and go.
func (i *tcpInjection) flap() {
	for i.tally.waitTurn(i.stopped) {
		on, _ := i.tally.acts(time.Now())
		i.on.mu.Lock()
		switch {
		case on && !i.acting:
			i.err = cmp.Or(i.err, i.begin())
		case !on && i.acting:
			i.err = cmp.Or(i.err, i.pause())
		}
		i.on.mu.Unlock()
	}
}

// forget is called when a connection is over.
func (i *tcpInjection) forget(w *tcpWire) {
	h := i.met[w]
	delete(i.met, w)
	if h != nil && h.reset != nil && h.reset.Stop() {
		i.tally.spare() // it was over before the harm was done
	}
}

// settleLimit is how long lifting waits for the toxics to notice. They only
// take longer where data waits to be written, which is not their doing.
const settleLimit = time.Second

// lift takes the fault out of effect and waits until it holds nothing back. It
// may be called again: what went wrong while the fault came and went is told
// once.
func (i *tcpInjection) lift() error {
	i.stop()
	i.flapping.Wait()
	p := i.on
	p.mu.Lock()
	p.injected = slices.DeleteFunc(p.injected, func(other *tcpInjection) bool { return other == i })
	err := errors.Join(i.err, i.pause())
	i.err = nil
	var links []*tcpLink
	for _, h := range i.met {
		links = append(links, h.links...)
	}
	i.met = nil
	p.mu.Unlock()
	for _, k := range links {
		k.lift()
	}
	limit := time.After(settleLimit)
	for _, k := range links {
		k.settled(limit)
	}
	return err
}

package disrupt

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	chunks "github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// chain is the way through the faults on a line: each is a toxic of Toxiproxy
// on a stub, the newest first, so that adding one disturbs none of the others.
// Its methods add, used and release want the mutex of the line.
type chain struct {
	in     chan<- *chunks.StreamChunk // of the first link
	links  []*tcpLink                 // the newest last
	mu     *sync.Mutex                // of the line
	cut    atomic.Bool                // a fault ended it before its source did
	broken func(error)
	err    error // how writing ended; valid when the goroutines are gone

	goroutines sync.WaitGroup
}

func newChain(l *line) *chain {
	out := make(chan *chunks.StreamChunk)
	c := &chain{in: out, mu: &l.mu, broken: l.broken}
	c.goroutines.Go(func() { c.write(l.dst, out) })
	return c
}

// write writes what comes out of the chain. What nobody wants any more it
// throws away, so that no link waits for ever.
func (c *chain) write(dst net.Conn, out <-chan *chunks.StreamChunk) {
	for chunk := range out {
		if c.err != nil {
			continue
		}
		if c.err = write(dst, chunk.Data); c.err != nil {
			c.broken(c.err)
		}
	}
	if c.err == nil && c.ended() {
		c.cut.Store(true)
		c.err = errCut
		c.broken(errCut)
	}
}

// ended tells whether a fault ended the chain, and not its source. Links end
// from the newest to the oldest, those before the one that cut not at all.
func (c *chain) ended() bool {
	c.mu.Lock()
	links := slices.Clone(c.links)
	c.mu.Unlock()
	for _, k := range links {
		if <-k.done; k.cut {
			return true
		}
	}
	return false
}

// add puts a toxic in front of the others.
func (c *chain) add(toxic toxics.Toxic, on bool) *tcpLink {
	size := 0
	if t, ok := toxic.(toxics.BufferedToxic); ok {
		size = t.GetBufferSize()
	}
	in := make(chan *chunks.StreamChunk, size)
	k := &tcpLink{toxic: toxic, stub: toxics.NewToxicStub(in, c.in), look: make(chan struct{}, 1), done: make(chan struct{})}
	if t, ok := toxic.(toxics.StatefulToxic); ok {
		k.stub.State = t.NewState()
	}
	k.on.Store(on)
	c.in = in
	c.links = append(c.links, k)
	c.goroutines.Go(func() { c.run(k, in) })
	c.goroutines.Go(k.interrupt)
	return k
}

// run lets data through a link until it ends.
func (c *chain) run(k *tcpLink, in <-chan *chunks.StreamChunk) {
	for !k.stub.Closed() {
		if k.on.Load() {
			k.toxic.Pipe(k.stub)
		} else {
			new(toxics.NoopToxic).Pipe(k.stub)
		}
	}
	select {
	case _, more := <-in:
		k.cut = more
	default:
		k.cut = true
	}
	close(k.done)
	for range in { // what is left when the toxic ended the connection itself
	}
}

// used tells whether there is a fault that was not lifted, or has done what can
// not be undone.
func (c *chain) used() bool {
	return c.cut.Load() || slices.ContainsFunc(c.links, func(k *tcpLink) bool { return !k.over.Load() })
}

// release takes all faults out of effect.
func (c *chain) release() {
	for _, k := range c.links {
		k.lift()
	}
}

// drain ends the chain and returns when everything has come out of it. Nothing
// may be sent into it any more.
func (c *chain) drain() error {
	close(c.in)
	c.goroutines.Wait()
	return c.err
}

// tcpLink is one fault on one direction of a connection.
type tcpLink struct {
	toxic toxics.Toxic
	stub  *toxics.ToxicStub
	mu    sync.Mutex    // of changes to the next two
	on    atomic.Bool   // in effect; off, everything goes through it
	over  atomic.Bool   // lifted: does not come into effect any more
	look  chan struct{} // one is waiting when on has changed
	cut   bool          // the toxic ended before its source; valid after done
	done  chan struct{} // closed when the toxic has ended
}

// set puts the fault into effect, or takes it out and releases what it holds.
func (k *tcpLink) set(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.change(on && !k.over.Load())
}

// lift takes the fault out of effect for good.
func (k *tcpLink) lift() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over.Store(true)
	k.change(false)
}

func (k *tcpLink) change(on bool) {
	if k.on.Swap(on) == on {
		return
	}
	select {
	case k.look <- struct{}{}:
	default: // is going to look anyway
	}
}

// interrupt makes the toxic return each time that it should look. A toxic only
// keeps it waiting while it writes, when it is not the fault that holds data
// back.
func (k *tcpLink) interrupt() {
	for {
		select {
		case <-k.look:
		case <-k.done:
			return
		}
		select {
		case k.stub.Interrupt <- struct{}{}:
		case <-k.done:
			return
		}
	}
}

// settled waits until the toxic has been told, for no longer than the given
// time: one that is writing need not be waited for.
func (k *tcpLink) settled(limit <-chan time.Time) {
	select {
	case k.stub.Interrupt <- struct{}{}: // one more than needed does no harm
	case <-k.done:
	case <-limit:
	}
}

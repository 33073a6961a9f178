package disrupt

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"resilience/internal/measure"
)

// tcpWire is one connection through a proxy: two lines between a client and the
// dependency.
type tcpWire struct {
	client, upstream net.Conn
	opened           time.Time
	up, down         *line // to and from the dependency

	mu     sync.Mutex
	over   bool // both sides were closed at once
	cut    bool // a fault ended what comes from the dependency
	failed bool
}

func newTCPWire(client, upstream net.Conn, opened time.Time) *tcpWire {
	w := &tcpWire{client: client, upstream: upstream, opened: opened}
	w.up = &line{src: client, dst: upstream, broken: func(err error) { w.broke(w.up, err) }}
	w.down = &line{src: upstream, dst: client, broken: func(err error) { w.broke(w.down, err) }}
	return w
}

// run passes everything on in both directions until both have ended.
func (w *tcpWire) run() {
	var up sync.WaitGroup
	up.Go(func() { w.pass(w.up) })
	w.pass(w.down)
	up.Wait()
	_ = w.client.Close() // both directions are over already
	_ = w.upstream.Close()
}

// pass runs one line. Its end is passed on as it was: an end as an end, a
// reset as a reset.
func (w *tcpWire) pass(l *line) {
	err := l.run()
	if err == nil {
		closeWrite(l.dst)
		return
	}
	w.broke(l, err)
}

// broke ends the connection because of an error on a line.
func (w *tcpWire) broke(l *line, err error) {
	var side lost
	upstream := errors.As(err, &side) && side.conn == w.upstream
	w.mu.Lock()
	again := w.over || w.cut && l == w.down
	first := !w.cut && errors.Is(err, errCut)
	if !again {
		w.failed = w.failed || upstream || first
		w.cut = w.cut || first
	}
	w.mu.Unlock()
	switch {
	case again:
	case first: // as if the dependency had died
		closeWrite(w.client)
		_ = w.upstream.Close()
	default:
		w.abort()
	}
}

// reset ends the connection because of a fault.
func (w *tcpWire) reset() {
	w.mu.Lock()
	w.failed = w.failed || !w.over
	w.mu.Unlock()
	w.abort()
}

// abort resets both sides and throws away what is on its way.
func (w *tcpWire) abort() {
	w.mu.Lock()
	again := w.over
	w.over = true
	w.mu.Unlock()
	if !again {
		abort(w.client)
		abort(w.upstream)
	}
	w.up.release()
	w.down.release()
}

// fate is how the connection ended.
func (w *tcpWire) fate() measure.Fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed {
		return measure.Failed
	}
	return measure.OK
}

// closeWrite tells the other side that nothing more will come.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // where it fails the other direction fails, too
		return
	}
	_ = c.Close()
}

// abort closes a connection with a reset. Below TLS: there is no time to say
// goodbye.
func abort(c net.Conn) {
	resetOnClose(c)
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	_ = c.Close() // it is gone either way
}

package disrupt

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	chunks "github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// line is one direction of a connection. What it reads it writes at once;
// while there are faults on it, data takes the way through a chain of them.
type line struct {
	src, dst net.Conn
	broken   func(error) // is told when a chain could not write, or ends the connection

	mu    sync.Mutex
	chain *chain // nil while there is no fault
	ended bool   // takes no more faults
}

// errCut is how a line ends that a fault ended.
var errCut = errors.New("a fault ended the connection")

// lost is how a line ends whose source or destination broke.
type lost struct {
	conn net.Conn
	err  error
}

func (e lost) Error() string { return e.err.Error() }
func (e lost) Unwrap() error { return e.err }

// run passes data on until its source ends, and gives the error that it ended
// with; nil when all there was has been passed on.
func (l *line) run() error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.src.Read(buffer)
		if n > 0 {
			if err := l.pass(buffer[:n]); err != nil {
				return l.finish(err)
			}
		}
		if errors.Is(err, io.EOF) {
			return l.finish(nil)
		}
		if err != nil {
			return l.finish(lost{l.src, err})
		}
	}
}

// pass writes data, or hands it to the first fault.
func (l *line) pass(data []byte) error {
	for {
		l.mu.Lock()
		c := l.chain
		if c == nil {
			l.mu.Unlock()
			return write(l.dst, data)
		}
		if c.used() {
			in := c.in
			l.mu.Unlock()
			if c.cut.Load() {
				return errCut
			}
			in <- &chunks.StreamChunk{Data: append([]byte(nil), data...), Timestamp: time.Now()}
			return nil
		}
		l.chain = nil // all of its faults are lifted
		l.mu.Unlock()
		if err := c.drain(); err != nil {
			return err
		}
	}
}

func write(to net.Conn, data []byte) error {
	if _, err := to.Write(data); err != nil {
		return lost{to, err}
	}
	return nil
}

// finish lets out what faults hold, and gives the first error.
func (l *line) finish(err error) error {
	l.mu.Lock()
	l.ended = true
	c := l.chain
	if c != nil && err != nil {
		c.release() // nobody wants it any more
	}
	l.mu.Unlock()
	if c == nil {
		return err
	}
	if drained := c.drain(); err == nil {
		return drained
	}
	return err
}

// add puts a fault on the line, in effect or not. What was read before it is
// not affected. It is nil on a line that has ended.
func (l *line) add(toxic toxics.Toxic, on bool) *tcpLink {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil
	}
	if l.chain == nil {
		l.chain = newChain(l)
	}
	return l.chain.add(toxic, on)
}

// release lets out what faults hold, because the connection is over.
func (l *line) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.chain != nil {
		l.chain.release()
	}
}

package disrupt

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// packed is a connection that sends what is written at about the same time as
// one packet. Over HTTP/2 net/http writes the headers, the messages and the
// trailers of a call of gRPC one by one, and each would cost a packet, and each
// packet would wake whoever is at the other end. A write returns before it is
// sent; an error is that of a later one.
type packed struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond // of what follows
	waiting []byte    // to be sent
	spare   []byte    // for what waits next
	awake   bool      // a goroutine is about to send
	sending bool
	closed  bool // takes nothing more
	err     error
}

const (
	maxWaiting = 128 << 10   // bytes; writes wait when there are more
	parting    = time.Second // for what waits when the connection is closed
)

func pack(c net.Conn) *packed {
	p := &packed{Conn: c}
	p.changed.L = &p.mu
	return p
}

// Write takes in what is to be sent.
func (c *packed) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) >= maxWaiting && c.err == nil && !c.closed {
		c.changed.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	c.waiting = append(c.waiting, b...)
	if !c.awake {
		c.awake = true
		go c.send()
	}
	return len(b), nil
}

// send sends what waits, once those that could add to it had their turn.
func (c *packed) send() {
	runtime.Gosched()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drain()
	c.awake = false
}

// drain sends until nothing waits. The lock is held, but not while it sends.
func (c *packed) drain() {
	for c.sending {
		c.changed.Wait()
	}
	for len(c.waiting) > 0 && c.err == nil {
		next := c.waiting
		c.waiting, c.spare, c.sending = c.spare[:0], nil, true
		c.changed.Broadcast() // there is room
		c.mu.Unlock()
		_, err := c.Conn.Write(next)
		c.mu.Lock()
		c.spare, c.err, c.sending = next, err, false
		c.changed.Broadcast()
	}
}

// Close closes the connection. What waits is still sent, for as long as it takes
// the other end but not for ever, and nobody waits for that.
func (c *packed) Close() error {
	c.mu.Lock()
	again, left := c.closed, c.err == nil && (c.sending || len(c.waiting) > 0)
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	switch {
	case again:
		return net.ErrClosed
	case !left:
		return c.Conn.Close()
	}
	now := time.Now()
	_ = c.SetWriteDeadline(now.Add(parting)) // closing tells if that is not possible
	_ = c.SetReadDeadline(now)
	go c.part()
	return nil
}

// part sends what waits and closes the connection.
func (c *packed) part() {
	c.mu.Lock()
	c.drain()
	c.mu.Unlock()
	_ = c.Conn.Close() // whoever it was for has left
}

// NetConn is the connection below.
func (c *packed) NetConn() net.Conn { return c.Conn }

// packing is a listener whose connections are packed.
type packing struct{ net.Listener }

// Accept waits for a connection.
func (l packing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return pack(c), nil
}

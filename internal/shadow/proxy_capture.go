package shadow

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// captureBudget bounds the bytes of bodies that are kept at once, so that no number of
// users and no size of what they send takes more memory.
type captureBudget struct {
	limit int64
	held  atomic.Int64
}

func (b *captureBudget) take(n int64) bool {
	if b.held.Add(n) <= b.limit {
		return true
	}
	b.held.Add(-n)
	return false
}

func (b *captureBudget) give(n int64) { b.held.Add(-n) }

// capture is a copy of one request and its answer, as they travelled.
type capture struct {
	at                   time.Time
	took                 time.Duration
	session              string // the address of who asks, where it is known
	method, host, target string
	header               http.Header // not changed after it was received
	asked                captureTee
	status               int
	answerHeader         http.Header
	answered             captureTee
	heads                int64 // bytes of the budget for all but the bodies
}

// newCapture begins a copy. Without room it is nil.
func newCapture(p *proxy, r *http.Request) *capture {
	c := &capture{at: time.Now(), method: r.Method, host: r.Host, target: proxyTarget(r), header: r.Header, session: proxyClient(r)}
	c.asked = captureTee{budget: p.budget, max: p.maxBody, decoded: r.Header.Get("Content-Encoding") == ""}
	c.answered = captureTee{budget: p.budget, max: p.maxBody}
	if !c.reserve(r.Header, len(r.RequestURI)) {
		return nil
	}
	return c
}

// captureHead is what a capture takes beside its headers and bodies, roughly, in bytes.
const captureHead = 1 << 10

// reserve makes room for a head.
func (c *capture) reserve(h http.Header, line int) bool {
	n := int64(captureHead + line)
	for name, values := range h {
		n += int64(len(name)) + 64
		for _, value := range values {
			n += int64(len(value)) + 16
		}
	}
	if !c.asked.budget.take(n) {
		return false
	}
	c.heads += n
	return true
}

// answer begins the answer.
func (c *capture) answer(status int, h http.Header) bool {
	c.status, c.answerHeader = status, maps.Clone(h)
	delete(c.answerHeader, "Trailer")
	c.answered.decoded = h.Get("Content-Encoding") == ""
	return c.reserve(h, 0)
}

// release gives back the memory.
func (c *capture) release() {
	c.asked.budget.give(c.heads)
	c.heads = 0
	c.asked.release()
	c.answered.release()
}

// handOver gives back the room, but not the memory, which is somebody else's now.
func (c *capture) handOver() {
	c.asked.handOver()
	c.answered.handOver()
	c.release()
}

// captureTee keeps the beginning of a body that passes by, and the size of all of it; its
// digest too, where it is longer than what is kept and travels without an encoding.
type captureTee struct {
	budget  *captureBudget
	max     int64 // bytes
	decoded bool

	mu      sync.Mutex // the transport may read a request longer than it is handled
	data    []byte
	size    int64
	digest  hash.Hash
	lost    bool // there was no room
	stopped bool // it takes no more
}

// keep takes in a part of the body. A tee that is nil keeps nothing.
func (t *captureTee) keep(p []byte) {
	if t == nil || len(p) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.lost {
		return
	}
	t.size += int64(len(p))
	fits := min(int64(len(p)), t.max-int64(len(t.data)))
	if !t.reserve(int(fits)) {
		t.lost = true
		t.drop()
		return
	}
	t.data = append(t.data, p[:fits]...)
	rest := p[fits:]
	if len(rest) == 0 || !t.decoded {
		return
	}
	if t.digest == nil {
		t.digest = sha256.New()
		t.digest.Write(t.data)
	}
	t.digest.Write(rest)
}

// reserve makes room for n more bytes.
func (t *captureTee) reserve(n int) bool {
	need := len(t.data) + n
	if need <= cap(t.data) {
		return true
	}
	room := captureBuffer
	if need > room {
		room = max(need, min(2*cap(t.data), int(t.max)))
	}
	if !t.budget.take(int64(room)) {
		return false
	}
	grown := makeCaptureBuffer(room)
	old := t.data
	t.data = append(grown, old...)
	t.budget.give(int64(cap(old)))
	freeCaptureBuffer(old)
	return true
}

// stop ends it: whoever still reads the body is not listened to any more.
func (t *captureTee) stop() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
}

// release gives back the memory. The data must not be used afterwards.
func (t *captureTee) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.drop()
}

func (t *captureTee) drop() {
	t.budget.give(int64(cap(t.data)))
	freeCaptureBuffer(t.data)
	t.data = nil
}

// handOver leaves the data to somebody else.
func (t *captureTee) handOver() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.budget.give(int64(cap(t.data)))
	t.data = nil
}

func (t *captureTee) cut() bool { return t.size > int64(len(t.data)) }

// sum is the digest of all that passed by, "" where it was not made.
func (t *captureTee) sum() string {
	if t.digest == nil {
		return ""
	}
	return hex.EncodeToString(t.digest.Sum(nil))
}

// captureBuffer is the least room for a body, in bytes; most need no more.
const captureBuffer = 4 << 10

var captureBuffers = sync.Pool{New: func() any { return new([captureBuffer]byte) }}

// makeKept gives an empty slice with room for exactly n bytes.
func makeCaptureBuffer(n int) []byte {
	if n == captureBuffer {
		return captureBuffers.Get().(*[captureBuffer]byte)[:0]
	}
	return make([]byte, 0, n)
}

func freeCaptureBuffer(b []byte) {
	if cap(b) == captureBuffer {
		captureBuffers.Put((*[captureBuffer]byte)(b[:captureBuffer]))
	}
}

// proxyFates count what became of requests, and know which are under way.
type proxyFates struct {
	seen       atomic.Uint64
	streams    atomic.Uint64 // passed on only: upgrades, gRPC, event streams
	unanswered atomic.Uint64 // no whole answer, or nobody waited for it
	dropped    atomic.Uint64 // there was no room to keep them

	mu       sync.Mutex
	closed   bool
	underway sync.WaitGroup
}

// enter is called before a request is handled; it is false after closing.
func (f *proxyFates) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.underway.Add(1)
	}
	return !f.closed
}

func (f *proxyFates) leave() { f.underway.Done() }

// wait lets nothing in any more and waits for what is under way.
func (f *proxyFates) wait() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.underway.Wait()
}

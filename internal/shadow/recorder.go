package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// RecorderOptions say what a [Recorder] is in front of, and what it keeps.
type RecorderOptions struct {
	Listen   string // HOST:PORT; "" is a free loopback port
	Upstream string // http://, https:// or h2c://HOST:PORT[/PATH]
	TLS      Encryption
	MaxBody  int64                              // bytes kept of each body; 0 is DefaultMaxBody, less is none
	Buffer   int64                              // bytes of bodies kept at once, of all that waits; 0 is DefaultBuffer
	Queue    int                                // exchanges that may wait to be written; 0 is 10,000
	Sample   SessionSample                      // which users are recorded
	Redact   func(Exchange) Exchange            // hides secrets; called before anything is written
	Route    func(method, target string) string // what requests of one kind have in common
	Failed   func(err error)                    // told once when writing begins to fail; may be nil
}

// recorderQueue is how many exchanges may wait unless told otherwise.
const recorderQueue = 10_000

// Recorded are the counts of a [Recorder]. Seen is the sum of all others but Cut,
// Failed and Waiting, once nothing is under way.
type Recorded struct {
	Seen       uint64 `json:"seen"`     // requests
	Recorded   uint64 `json:"recorded"` // written
	Cut        uint64 `json:"cut"`      // of those: a body is longer than what is kept of it
	NotSampled uint64 `json:"not_sampled"`
	Streams    uint64 `json:"streams"`    // upgrades, gRPC and event streams, which are passed on only
	Unanswered uint64 `json:"unanswered"` // the upstream gave no whole answer, or the client left before
	Dropped    uint64 `json:"dropped"`    // there was no room to keep them
	Failed     uint64 `json:"failed"`     // could not be written
}

// Recorder is a reverse proxy that writes what passes by. Users get the bytes of the
// upstream's answers, when it sends them: writing is done elsewhere, and what it can
// not keep up with is dropped and counted.
type Recorder struct {
	proxy   proxy
	options RecorderOptions
	sink    Sink
	queue   chan *capture
	written chan struct{} // closed when all was

	recorded, cut, notSampled, failed atomic.Uint64
	once                              sync.Once
	err                               error // of writing, the first
}

// NewRecorder starts a recorder, which works until it is closed; the context only
// limits starting. The sink is called from one goroutine, and is not closed.
func NewRecorder(ctx context.Context, sink Sink, o RecorderOptions) (*Recorder, error) {
	r := &Recorder{options: o, sink: sink, queue: make(chan *capture, cmp.Or(o.Queue, recorderQueue)), written: make(chan struct{})}
	r.proxy.prepare(o.MaxBody, o.Buffer, r.wanted, r.enqueue)
	if err := startProxy(ctx, &r.proxy, o.Listen, o.Upstream, o.TLS); err != nil {
		return nil, err
	}
	go r.write()
	return r, nil
}

// URL is what clients on this machine call.
func (r *Recorder) URL() string { return r.proxy.server.url() }

// Counts are those so far.
func (r *Recorder) Counts() Recorded {
	f := &r.proxy.fates
	return Recorded{
		Recorded: r.recorded.Load(), Cut: r.cut.Load(), NotSampled: r.notSampled.Load(), Streams: f.streams.Load(),
		Unanswered: f.unanswered.Load(), Dropped: f.dropped.Load(), Failed: r.failed.Load(), Seen: f.seen.Load(),
	}
}

// Close stops listening, lets requests under way come to their end until the context
// ends, and writes what waits. The error is the first of writing.
func (r *Recorder) Close(ctx context.Context) error {
	r.once.Do(func() {
		r.proxy.close(ctx)
		close(r.queue)
	})
	<-r.written
	return r.err
}

func (r *Recorder) wanted(q *http.Request) bool {
	if r.options.Sample.has(q) {
		return true
	}
	r.notSampled.Add(1)
	return false
}

// enqueue never waits.
func (r *Recorder) enqueue(c *capture) {
	select {
	case r.queue <- c:
	default:
		c.release()
		r.proxy.fates.dropped.Add(1)
	}
}

// write writes what waits. After an error it goes on trying: a disk that was full
// may have room again.
func (r *Recorder) write() {
	defer close(r.written)
	for c := range r.queue {
		var x Exchange
		var err error
		broken := keepGoing(func() {
			x = r.options.Redact(c.exchange(r.options.Route))
			err = r.sink.Write(x)
		})
		if err = errors.Join(broken, err); err != nil {
			r.fail(err)
		} else {
			r.recorded.Add(1)
			if x.Request.Body.Cut || x.Response.Body.Cut {
				r.cut.Add(1)
			}
		}
		c.handOver()
	}
}

func (r *Recorder) fail(err error) {
	r.failed.Add(1)
	if r.err != nil {
		return
	}
	r.err = err
	if r.options.Failed != nil {
		r.options.Failed(err)
	}
}

// exchange is what was kept, decoded. Its bodies are those of the capture: they must
// not outlive it, unless they were handed over.
func (c *capture) exchange(route func(method, target string) string) Exchange {
	x := Exchange{
		At: c.at.UTC(), Took: c.took, Session: c.session,
		Request:  Request{Method: c.method, Host: c.host, Target: c.target, Header: c.header, Body: c.asked.body(c.header)},
		Response: Response{Status: c.status, Header: c.answerHeader, Body: c.answered.body(c.answerHeader)},
	}
	if route != nil {
		x.Route = route(c.method, c.target)
	}
	return x
}

// SessionSample chooses users, always the same: all requests of a session are in it, or
// none.
type SessionSample struct {
	Share float64                    // of the sessions, above 0 and at most 1; 0 is all of them
	Key   func(*http.Request) string // what tells sessions apart; nil is SessionKey
}

// has tells whether a request belongs to the sample. Those of which the session is
// not known are chosen by their address.
func (s SessionSample) has(r *http.Request) bool {
	if s.Share == 0 || s.Share >= 1 {
		return true
	}
	key := s.Key
	if key == nil {
		key = SessionKey
	}
	return inShare(key(r), s.Share)
}

// inShare tells whether a key is within a share of all keys. The hash is FNV-1a,
// whose upper bits are mixed once more (the finalizer of MurmurHash3), as keys that
// differ in their last byte only would else lie close to each other.
func inShare(key string, share float64) bool {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return float64(h) < share*math.MaxUint64
}

// SessionKey is what tells who asks: a cookie whose name tells of a session, else the
// Authorization, else the address that a proxy before us tells, else the connection.
// It may be a secret.
func SessionKey(r *http.Request) string {
	return cmp.Or(cookieOf(r.Header, isSessionName), r.Header.Get("Authorization"), proxyClient(r), r.RemoteAddr)
}

// proxyClient is the user's address as a proxy before us tells, "" where none does:
// the address of a connection may be that of a load balancer, and so of everybody.
func proxyClient(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	return strings.TrimSpace(first)
}

// SessionKeyOf reads where the key of a session is: header:NAME or cookie:NAME. A request
// without it has the key of [SessionKey].
func SessionKeyOf(place string) (func(*http.Request) string, error) {
	kind, name, ok := strings.Cut(place, ":")
	if !ok || name == "" || kind != "header" && kind != "cookie" {
		return nil, fmt.Errorf("%q: write header:NAME or cookie:NAME", place)
	}
	return func(r *http.Request) string {
		value := r.Header.Get(name)
		if kind == "cookie" {
			value = ""
			if c, err := r.Cookie(name); !errors.Is(err, http.ErrNoCookie) {
				value = c.Value
			}
		}
		return cmp.Or(value, SessionKey(r))
	}, nil
}

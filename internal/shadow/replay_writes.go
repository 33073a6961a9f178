package shadow

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode"

	"resilience/internal/plan"
)

// rung is how far up the ladder of write safety a request stands. Each rung must
// be asked for in the plan.
type rung int

const (
	rungSafe   rung = iota // its method changes nothing (RFC 9110, section 9.2.1)
	rungNamed              // its route is said to change nothing that matters
	rungTenant             // a canary tenant writes in place of the user, and it is undone
)

// undoMost is how many writes may wait for being undone, on all lanes together.
const undoMost = 50_000

// ladder decides which requests are sent, and remembers what has to be undone.
type ladder struct {
	writes plan.Writes
	tenant *plan.Identity

	mu     sync.Mutex
	held   map[withheldKey]uint64
	made   []made
	first  map[string]string // of a session that goes on another, the one that began it
	failed int               // writes that can not be undone because nobody knows what they made
}

type withheldKey struct{ route, reason string }

// withheldCount is how many requests of a route were not sent, and why.
type withheldCount struct {
	withheldKey
	count uint64
}

// made is what a write made on one lane.
type made struct {
	lane    int
	session string // that made it, or that it goes on; "" where nobody knows
	route   string // that made it
	undo    string // method and path
}

// maxWithheld bounds how many routes are told of.
const maxWithheld = 100

func newLadder(w *plan.Writes, tenants []plan.Identity) (*ladder, error) {
	l := &ladder{held: map[withheldKey]uint64{}}
	if w == nil {
		return l, nil
	}
	l.writes = *w
	if w.Tenant == "" {
		return l, nil
	}
	if len(tenants) != 1 {
		return nil, fmt.Errorf("writes: there is no tenant %q", w.Tenant)
	}
	l.tenant = &tenants[0]
	return l, nil
}

// allows reports whether an exchange may be replayed. What may not is counted.
func (l *ladder) allows(e Exchange) (rung, bool) {
	whole := !e.Request.Body.Cut && e.Request.Body.Damage == ""
	safe := safeMethod(e.Request.Method)
	switch {
	case !strings.HasPrefix(e.Request.Target, "/"):
		return l.withhold(e.Route, "its target is no path")
	case isStream(e):
		return l.withhold(e.Route, "it is a stream, or changes protocols")
	case !safe && !l.named(e):
		return l.withhold(e.Route, "it may change data, and writes: does not name its route")
	case !whole:
		return l.withhold(e.Route, "its body was not recorded whole")
	case overridden(e.Request):
		return l.withhold(e.Route, "it asks for another method by a header or field (X-HTTP-Method-Override, _method)")
	case (safe || l.tenant == nil) && mutates(e.Request):
		return l.withhold(e.Route, "it is a mutation of GraphQL, which is sent only by a tenant that writes:")
	case safe:
		return rungSafe, true
	case l.tenant == nil:
		return rungNamed, true
	case l.identityOf(e.Request.Header) != "":
		return l.withhold(e.Route, "its "+l.identityOf(e.Request.Header)+" says who the user is: give the tenant that header")
	case l.full():
		return l.withhold(e.Route, "as many writes as can be undone were sent")
	}
	return rungTenant, true
}

// named reports whether writes: names the route of an exchange, and that is its route,
// whatever the recording says.
func (l *ladder) named(e Exchange) bool {
	if !slices.Contains(l.writes.Routes, e.Route) {
		return false
	}
	route := e.Route
	if start, long := strings.CutSuffix(route, "/..."); long {
		route = start + "/{rest...}"
	}
	t, err := readTemplate(route)
	return err == nil && t.fits(e.Request.Method, segmentsOf(pathOf(e.Request.Target)))
}

// isStream reports whether an exchange has no end to wait for: a WebSocket, an event
// stream, a call of gRPC.
func isStream(e Exchange) bool {
	asked, answered := e.Request.Header, e.Response.Header
	return e.Response.Status == http.StatusSwitchingProtocols || asked.Get("Upgrade") != "" || asked.Get("Sec-Websocket-Key") != "" ||
		strings.HasPrefix(asked.Get("Accept"), eventStream) || strings.HasPrefix(answered.Get("Content-Type"), eventStream) ||
		isGRPC(asked)
}

// isGRPC reports whether a request is a call of gRPC, in which both sides may go on for
// ever. One of gRPC-Web is a request like any other: it is whole before it is answered,
// and its answer is taken once it ended
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md).
func isGRPC(h http.Header) bool {
	kind := strings.ToLower(h.Get("Content-Type"))
	return strings.HasPrefix(kind, "application/grpc") && !strings.HasPrefix(kind, "application/grpc-web")
}

func (l *ladder) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.made) >= undoMost
}

func (l *ladder) withhold(route, reason string) (rung, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := withheldKey{route, reason}
	if _, known := l.held[key]; !known && len(l.held) >= maxWithheld {
		key.route = "(other routes)"
	}
	l.held[key]++
	return rungSafe, false
}

// withheld tells what was not sent, the most frequent first.
func (l *ladder) withheld() []withheldCount {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []withheldCount
	for key, n := range l.held {
		all = append(all, withheldCount{key, n})
	}
	slices.SortFunc(all, func(a, b withheldCount) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.route, b.route), cmp.Compare(a.reason, b.reason))
	})
	return all
}

func (l *ladder) total() (n uint64) {
	for _, w := range l.withheld() {
		n += w.count
	}
	return n
}

// mark makes a write one of its lane: with a key of its own, so that it happens
// on each target, and as the tenant. What a session asks after its first write is
// asked as the tenant, too.
func (l *ladder) mark(j *job, lane int, req *http.Request) {
	if j.rung != rungSafe && l.writes.Idempotency != "" {
		if key := req.Header.Get(l.writes.Idempotency); key != "" {
			req.Header.Set(l.writes.Idempotency, laneKey(j.replaying.stream.Run, lane, key))
		}
	}
	if l.tenant == nil || j.rung != rungTenant && !j.replaying.sessions.wrote(j.session) {
		return
	}
	l.sign(req)
}

// sign makes a request one of the tenant.
func (l *ladder) sign(req *http.Request) {
	if l.tenant == nil {
		return
	}
	for name, value := range l.tenant.Marks {
		if name == "Baggage" {
			value += ",synthetic.shadow=true"
		}
		req.Header.Set(name, value)
	}
	for name, value := range l.tenant.Headers {
		req.Header.Set(name, value)
	}
}

// keep remembers what a write made, to be undone.
func (l *ladder) keep(j *job) {
	if j.rung != rungTenant {
		return
	}
	undo := l.writes.Compensate[j.Route]
	if undo == plan.NoUndo || undo == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	session := l.begins(j)
	for lane := range j.answers {
		a := &j.answers[lane]
		switch request, ok := undoOf(undo, a.Response); {
		case ok:
			l.made = append(l.made, made{lane, session, j.Route, request})
		case a.err != "" || a.Status < 400: // something may have been made
			l.failed++
		}
	}
}

// begins gives the session that began what the session of a job goes on, which a login
// changes; the lock is held.
func (l *ladder) begins(j *job) string {
	if j.origin == "" {
		return cmp.Or(l.first[j.Session], j.Session)
	}
	if l.first == nil {
		l.first = map[string]string{}
	}
	first := cmp.Or(l.first[j.origin], j.origin)
	l.first[j.Session] = first
	return first
}

// undoOf fills in the request that undoes what an answer tells of: {NAME} is the
// field of that name or, for {id}, the end of the Location.
func undoOf(template string, a Response) (string, bool) {
	if a.Status == 0 || a.Status >= 400 {
		return "", false
	}
	body, _ := jsonOf(a.Body)
	out := template
	for {
		before, rest, open := strings.Cut(out, "{")
		if !open {
			return out, true
		}
		name, after, closed := strings.Cut(rest, "}")
		value, ok := scalarAt(body, name)
		if !ok && name == "id" {
			value = lastSegment(a.Header.Get("Location"))
			ok = value != ""
		}
		if !closed || !ok || !isPathPart(value) || strings.ContainsAny(value, "/\\?#;{}% ") || strings.ContainsFunc(value, unicode.IsControl) {
			return "", false
		}
		out = before + value + after
	}
}

package disrupt

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
)

// Limits of what a control takes and how long it waits.
const (
	maxOrder     = 1 << 20 // bytes of a request's body
	maxWait      = 20 * time.Second
	headerWithin = 10 * time.Second
	readWithin   = 30 * time.Second // more than maxWait: it ends what waits, too
)

// Control lets somebody else give orders to proxies, over HTTP and JSON:
// docs/proxy.md describes it. Every fault that it injects is a lease.
type Control struct {
	// Served is what it tells about the proxies, by their names, and where
	// what they measure is fetched. It is set before the first request.
	Served map[string]Served

	// Instance is random and changes when the process does: a fault that was
	// injected in another one is gone.
	Instance string

	started time.Time
	leases  *Leases
	proxies map[string]Dependency
	token   [sha256.Size]byte
	open    bool // no token is wanted
	mux     *http.ServeMux

	ctx     context.Context // ends when it is closed
	cancel  context.CancelFunc
	mu      sync.Mutex
	servers []*http.Server
}

// Served is what a control tells about a proxy.
type Served struct {
	Protocol string
	Listen   string   // where it was told to listen; "" for a loopback port
	Backlog  *Backlog // what it measures; nil where somebody else takes that
}

// NewControl makes a control of proxies by their names. Orders must carry the
// token; without one ("") anybody may give them who can reach it, except for
// scripts of web pages. TTL is the longest time that a fault lives without
// being renewed; zero stands for [DefaultTTL].
func NewControl(proxies map[string]Dependency, token string, ttl time.Duration) *Control {
	c := &Control{
		Instance: rand.Text(), started: time.Now(), leases: NewLeases(proxies, ttl), proxies: proxies,
		token: sha256.Sum256([]byte(token)), open: token == "", mux: http.NewServeMux(),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	for pattern, handle := range map[string]handler{
		"GET /v1/status":                 c.status,
		"POST /v1/check":                 c.check,
		"PUT /v1/faults/{id}":            c.inject,
		"POST /v1/faults/{id}/renew":     c.renew,
		"DELETE /v1/faults/{id}":         c.lift,
		"GET /v1/proxies/{name}/windows": c.windows,
	} {
		c.mux.HandleFunc(pattern, c.guarded(handle))
	}
	return c
}

// Leases are the faults that it injected.
func (c *Control) Leases() *Leases { return c.leases }

// ServeHTTP implements [http.Handler].
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// Serve answers on a listener until the control is closed.
func (c *Control) Serve(l net.Listener) error {
	server := &http.Server{
		Handler: c, ReadHeaderTimeout: headerWithin, ReadTimeout: readWithin, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return c.ctx },
		ErrorLog:    log.New(io.Discard, "", 0),
	}
	c.mu.Lock()
	c.servers = append(c.servers, server)
	c.mu.Unlock()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the control: %w", err)
	}
	return nil
}

// Close lifts everything first, and then stops serving. An error names the
// faults that may still be in effect.
func (c *Control) Close(ctx context.Context) error {
	err := c.leases.Close(ctx)
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		if s.Shutdown(ctx) != nil {
			_ = s.Close() // only its listener's error, of no use to anybody
		}
	}
	return err
}

// handler answers a request with what is written as JSON, or an error.
type handler func(w http.ResponseWriter, r *http.Request) (any, error)

// refusal is an error with its status of HTTP.
type refusal struct {
	status int
	error
}

func refuse(status int, format string, args ...any) error {
	return refusal{status, fmt.Errorf(format, args...)}
}

// answer is what orders are answered with.
type answer struct {
	Instance string `json:"instance"`
	Uptime   int64  `json:"uptime_ms"` // of the instance
	Error    string `json:"error,omitempty"`
	Lease    *Lease `json:"fault,omitempty"`
}

func (c *Control) answer(lease Lease, err error) answer {
	a := answer{Instance: c.Instance, Uptime: time.Since(c.started).Milliseconds()}
	if lease.State != "" {
		a.Lease = &lease
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

func (c *Control) guarded(handle handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxOrder)
		got, err := any(nil), c.admit(r)
		if err == nil {
			got, err = handle(w, r)
		}
		status := http.StatusOK
		if err != nil {
			status = statusOf(err)
		}
		if lease, is := got.(Lease); is || err != nil {
			got = c.answer(lease, err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(got) // whoever asked is gone, and asks again
	}
}

func statusOf(err error) int {
	var r refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &r):
		return r.status
	case errors.Is(err, ErrGone):
		return http.StatusGone
	}
	return http.StatusConflict
}

// admit wants the token. Digests are compared, so that the time it takes tells
// nothing, not even the length. Without a token, what a web page sends is
// refused: browsers mark it by its origin.
func (c *Control) admit(r *http.Request) error {
	if c.open {
		if r.Header.Get("Origin") != "" {
			return refuse(http.StatusForbidden, "a control without a token takes no orders from web pages")
		}
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(got[:], c.token[:]) != 1 || !strings.EqualFold(scheme, "Bearer") {
		return refuse(http.StatusUnauthorized, "the token is wrong or missing: send Authorization: Bearer TOKEN")
	}
	return nil
}

// ControlStatus is what a control tells about itself.
type ControlStatus struct {
	Instance string       `json:"instance"`
	Now      int64        `json:"now"`     // Unix nanoseconds, by the clock that the windows are stamped with
	MaxTTL   string       `json:"max_ttl"` // such as 15s
	Proxies  []ProxyState `json:"proxies"` // sorted by name
	Faults   []Lease      `json:"faults"`  // in effect and the latest that are over
}

// ProxyState is what a control tells about one proxy.
type ProxyState struct {
	Name     string `json:"name"`
	URL      string `json:"url"` // for callers on the proxy's own machine
	Port     int    `json:"port"`
	Protocol string `json:"protocol,omitempty"`
	Listen   string `json:"listen,omitempty"` // where it was told to listen
	CA       string `json:"ca,omitempty"`     // of the authority that vouches for a proxy that serves TLS, in PEM
	Cursor   uint64 `json:"cursor"`           // of the latest window
}

func (c *Control) status(http.ResponseWriter, *http.Request) (any, error) {
	s := ControlStatus{
		Instance: c.Instance, Now: time.Now().UnixNano(), MaxTTL: c.leases.limit.String(),
		Proxies: []ProxyState{}, Faults: c.leases.Status(),
	}
	for _, name := range slices.Sorted(maps.Keys(c.proxies)) {
		p, served := c.proxies[name], c.Served[name]
		state := ProxyState{Name: name, URL: p.URL(), Port: p.Port(), Protocol: served.Protocol, Listen: served.Listen}
		if secure, ok := p.(interface{ authorityPEM() []byte }); ok {
			state.CA = string(secure.authorityPEM())
		}
		if served.Backlog != nil {
			state.Cursor = served.Backlog.Cursor()
		}
		s.Proxies = append(s.Proxies, state)
	}
	return s, nil
}

// order reads an order for a proxy that is here.
func (c *Control) order(r *http.Request) (o Order, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return o, refusal{http.StatusBadRequest, err}
	}
	if id := r.PathValue("id"); o.ID == "" {
		o.ID = id
	} else if o.ID != id {
		return o, refuse(http.StatusBadRequest, "the id is %.80q in the body, but %.80q in the path", o.ID, id)
	}
	if _, ok := c.proxies[o.Proxy]; !ok {
		return o, c.noProxy(o.Proxy)
	}
	return o, nil
}

func (c *Control) check(_ http.ResponseWriter, r *http.Request) (any, error) {
	o, err := c.order(r)
	if err == nil {
		err = c.leases.Check(r.Context(), o)
	}
	return c.answer(Lease{}, err), err
}

func (c *Control) inject(_ http.ResponseWriter, r *http.Request) (any, error) {
	o, err := c.order(r)
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, refusal{http.StatusBadRequest, err}
	}
	return c.leases.Inject(r.Context(), o)
}

func (c *Control) renew(_ http.ResponseWriter, r *http.Request) (any, error) {
	return c.leases.Renew(r.PathValue("id"))
}

// lift does not end with the request: who asked may be on the way out.
func (c *Control) lift(_ http.ResponseWriter, r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), liftPatience)
	defer cancel()
	lease, err := c.leases.Lift(ctx, r.PathValue("id"))
	if err != nil {
		return lease, refusal{http.StatusInternalServerError, err}
	}
	return lease, nil
}

// measured is what a proxy measured after a cursor.
type measured struct {
	Instance string           `json:"instance"`
	Cursor   uint64           `json:"cursor"` // to ask with the next time
	Missed   uint64           `json:"missed"` // windows and events that are gone
	Windows  []measure.Window `json:"windows"`
	Events   []measure.Event  `json:"events,omitempty"`
}

// windows waits until there is something to tell. A cursor of another instance
// stands for the beginning of this one.
func (c *Control) windows(_ http.ResponseWriter, r *http.Request) (any, error) {
	served, ok := c.Served[r.PathValue("name")]
	if !ok {
		return nil, c.noProxy(r.PathValue("name"))
	}
	if served.Backlog == nil {
		return nil, refuse(http.StatusNotFound, "what this proxy measures is not handed out here")
	}
	query := r.URL.Query()
	var cursor uint64
	if after := query.Get("after"); after != "" {
		var err error
		if cursor, err = strconv.ParseUint(after, 10, 63); err != nil {
			return nil, refuse(http.StatusBadRequest, "after wants a cursor; got %.80q", after)
		}
	}
	if query.Get("instance") != c.Instance && query.Has("instance") {
		cursor = 0
	}
	wait, err := time.ParseDuration(query.Get("wait"))
	if query.Has("wait") && (err != nil || wait < 0) {
		return nil, refuse(http.StatusBadRequest, "wait wants a duration such as 5s; got %.80q", query.Get("wait"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(wait, maxWait))
	defer cancel()
	p := served.Backlog.after(ctx, cursor)
	return measured{c.Instance, p.Cursor, p.Missed, p.Batch.Windows, p.Batch.Events}, nil
}

func (c *Control) noProxy(name string) error {
	return refuse(http.StatusNotFound, "there is no proxy %.80q here: there is %s", name, strings.Join(slices.Sorted(maps.Keys(c.proxies)), ", "))
}

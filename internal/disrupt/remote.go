package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Waits of whoever fetches what a proxy elsewhere measured.
const (
	fetchWait  = 10 * time.Second        // for something to come
	fetchPause = 500 * time.Millisecond  // after a call that failed
	lastWait   = 1500 * time.Millisecond // for the last second to be handed out
)

// remote is a proxy that `resilience proxy` runs elsewhere. What it measures is
// fetched as it comes and handed on as if it had been measured here.
type remote struct {
	name  string // of the dependency
	proxy string // its name there
	phase string
	plan  plan.Remote // without its token
	by    *Controller
	url   string
	port  int
	ca    authorityFile
	emit  func(measure.Batch) error

	events atomic.Uint64
	since  time.Time
	shift  time.Duration // from its clock to this one, in whole seconds

	mu   sync.Mutex
	held []*leasehold

	stop context.CancelFunc
	done chan struct{}
	shut func() error
	err  error // the first of emit
}

// newRemote connects to a proxy elsewhere. It is an error if its control can
// not be reached, does not take the token, or has no such proxy.
func newRemote(ctx context.Context, name string, d plan.Dependency, phase, dir string, emit func(measure.Batch) error) (Dependency, error) {
	fail := func(err error) (Dependency, error) {
		return nil, fmt.Errorf("dependency %q: proxy at %s: %w", name, d.Proxy.URL, err)
	}
	config, err := d.Proxy.TLS.Config(dir)
	if err != nil {
		return fail(err)
	}
	by, err := NewController(d.Proxy.URL, d.Proxy.Token, config)
	if err != nil {
		return fail(err)
	}
	r := &remote{name: name, proxy: d.Proxy.Name, phase: phase, plan: *d.Proxy, by: by, emit: emit, since: time.Now(), done: make(chan struct{})}
	r.plan.Token = ""
	if r.proxy == "" {
		r.proxy = name
	}
	by.Warn = r.warn
	asked := time.Now()
	status, err := by.Status(ctx)
	if err != nil {
		by.Close()
		return fail(err)
	}
	state, err := status.proxy(r.proxy)
	if err == nil {
		r.url, r.port, err = address(d, state)
	}
	if err == nil && state.CA != "" {
		r.ca, err = putAuthority("", []byte(state.CA))
	}
	if err != nil {
		by.Close()
		return fail(err)
	}
	r.compareClocks(asked, time.Now(), status.Now)
	r.shut = sync.OnceValue(r.shutDown)
	fetching, stop := context.WithCancel(context.Background())
	r.stop = stop
	go r.fetch(fetching, status.Instance, state.Cursor)
	return r, nil
}

// proxy finds a proxy by its name.
func (s ControlStatus) proxy(name string) (ProxyState, error) {
	var names []string
	for _, p := range s.Proxies {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return ProxyState{}, fmt.Errorf("there is no proxy %q: there is %s; set name: to the one that is meant", name, strings.Join(names, ", "))
}

// address is where callers reach the proxy: as the plan says in listen; else
// as the control says; at the control's host where it listens on all addresses
// of its machine.
func address(d plan.Dependency, state ProxyState) (string, int, error) {
	u, err := url.Parse(state.URL)
	if err != nil || u.Host == "" || state.Port < 1 || state.Port > math.MaxUint16 {
		return "", 0, fmt.Errorf("its control says that it listens at %.80q, port %d", state.URL, state.Port)
	}
	if d.Listen != "" {
		_, text, err := net.SplitHostPort(d.Listen)
		port, wrong := strconv.Atoi(text)
		if err != nil || wrong != nil {
			return "", 0, fmt.Errorf("listen wants host:port; got %q", d.Listen)
		}
		u.Host = d.Listen
		return u.String(), port, nil
	}
	host, _, _ := net.SplitHostPort(state.Listen)
	if ip := net.ParseIP(host); state.Listen != "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		control, err := url.Parse(d.Proxy.URL)
		if err != nil {
			return "", 0, err
		}
		u.Host = net.JoinHostPort(control.Hostname(), strconv.Itoa(state.Port))
	}
	return u.String(), state.Port, nil
}

// compareClocks finds out how far its clock is from this one. Windows are of
// whole seconds, so anything below half a second makes no difference. A clock
// that showed a time between the question and the answer may be right, however
// long that took.
func (r *remote) compareClocks(asked, answered time.Time, theirs int64) {
	if at := time.Unix(0, theirs); !at.Before(asked) && !at.After(answered) {
		return
	}
	middle := asked.Add(answered.Sub(asked) / 2)
	r.shift = middle.Sub(time.Unix(0, theirs)).Round(time.Second)
	if r.shift != 0 {
		r.warn("", fmt.Sprintf("the clock of the machine of the proxy is %s off: what it measured is moved by that", -r.shift))
	}
}

// URL is where callers reach the proxy.
func (r *remote) URL() string { return r.url }

// Port is where callers reach the proxy.
func (r *remote) Port() int { return r.port }

// CA is a file of the authority that vouches for the proxy, "" without TLS.
func (r *remote) CA() string { return r.ca.path }

// warn notes what a reader of the verdict should know.
func (r *remote) warn(disruption, detail string) {
	name := disruption
	if name == "" {
		name = r.name
	}
	_ = r.emit(measure.Batch{Events: []measure.Event{{
		Source: "proxy " + r.name, Seq: r.events.Add(1), At: time.Now().UnixNano(), Kind: measure.EventWarning, Phase: r.phase, Name: name,
		Attrs: map[string]string{"detail": fmt.Sprintf("dependency %s, proxy at %s: %s", r.name, r.plan.URL, detail)},
	}}}) // a record that can not be written stops the traffic, too
}

// fetch hands on what is measured until the context ends, and then what was
// measured until that moment.
func (r *remote) fetch(ctx context.Context, instance string, cursor uint64) {
	defer close(r.done)
	failing := false
	for ctx.Err() == nil {
		m, err := r.by.windows(ctx, r.proxy, instance, cursor, fetchWait)
		switch {
		case err == nil:
			failing = false
			instance, cursor = r.take(m, instance)
			continue
		case ctx.Err() != nil:
			continue
		case !failing:
			failing = true
			r.warn("", fmt.Sprintf("what it measured can not be fetched; that is tried again: %v", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(fetchPause):
		}
	}
	r.fetchLast(instance, cursor)
}

// fetchLast fetches what the proxy hands out until a second after the end. Who
// only came to lift something has no use for that.
func (r *remote) fetchLast(instance string, cursor uint64) {
	if time.Since(r.since) < fetchPause {
		return
	}
	for end := time.Now().Add(lastWait); ; {
		wait := max(0, time.Until(end))
		m, err := r.by.windows(context.Background(), r.proxy, instance, cursor, wait)
		if err != nil {
			r.warn("", fmt.Sprintf("what it measured at the end could not be fetched: %v", err))
			return
		}
		instance, cursor = r.take(m, instance)
		if wait == 0 && len(m.Windows) == 0 {
			return
		}
	}
}

// take hands on an answer, and gives what to ask with the next time.
func (r *remote) take(m measured, instance string) (string, uint64) {
	if m.Instance != instance {
		r.warn("", "the proxy was restarted: faults on it are gone, and what it had measured and not yet handed out is lost")
	}
	if m.Missed > 0 {
		r.warn("", fmt.Sprintf("%d windows of what it measured were dropped before they could be fetched", m.Missed))
	}
	var batch measure.Batch
	for _, w := range m.Windows {
		if w.Series.Metric != measure.MetricDependency { // nothing else is its to measure
			continue
		}
		w.Source += "@" + m.Instance // whose parts are counted anew in each
		w.Series = measure.Series{Metric: w.Series.Metric, Phase: r.phase, Step: r.name, Tenant: w.Series.Tenant, Status: w.Series.Status}
		w.Start += int64(r.shift)
		batch.Windows = append(batch.Windows, w)
	}
	for _, e := range m.Events {
		if e.Kind == measure.EventOverflow || e.Kind == measure.EventWarning {
			e.Source, e.Phase, e.At = e.Source+"@"+m.Instance, r.phase, e.At+int64(r.shift)
			batch.Events = append(batch.Events, e)
		}
	}
	if len(batch.Windows)+len(batch.Events) > 0 {
		if err := r.emit(batch); err != nil && r.err == nil {
			r.err = err
		}
	}
	return m.Instance, m.Cursor
}

// Close lifts what is still in effect and fetches what was measured last. The
// proxy goes on: it is not ours.
func (r *remote) Close() error { return r.shut() }

func (r *remote) shutDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), liftPatience)
	defer cancel()
	r.mu.Lock()
	held := slices.Clone(r.held)
	r.mu.Unlock()
	var errs []error
	for _, h := range held {
		_, err := h.lift(ctx)
		errs = append(errs, err)
	}
	r.stop()
	<-r.done
	r.by.Close()
	errs = append(errs, r.ca.remove())
	if r.err != nil {
		errs = append(errs, fmt.Errorf("dependency %q: could not hand on what was measured: %w", r.name, r.err))
	}
	return errors.Join(errs...)
}

// Disruption makes a fault on the proxy elsewhere ready to be injected.
func (r *remote) Disruption(d plan.Disruption, seed int64) (Disruption, error) {
	if d.Dependency != r.name {
		return nil, fmt.Errorf("disruption %q: is for dependency %q, not for %q", d.Name, d.Dependency, r.name)
	}
	if _, err := plan.SpellDisruption(d); err != nil {
		return nil, err
	}
	return &remoteFault{on: r, plan: d, seed: seed}, nil
}

// remoteFault is one fault on a proxy elsewhere.
type remoteFault struct {
	on   *remote
	plan plan.Disruption
	seed int64
}

// keptRemote is what is needed to lift a fault on a proxy elsewhere after its
// process died. The token is not in it.
type keptRemote struct {
	Kind       string `json:"kind"` // remote
	URL        string `json:"url"`
	Proxy      string `json:"proxy"`
	Dependency string `json:"dependency"`
	ID         string `json:"id"`
	TTL        string `json:"ttl"`
}

// keptKindRemote tells what was kept for a fault here from that of others.
const keptKindRemote = "remote"

// Prepare finds out whether the proxy is still there and could do it: only
// there it is known what it speaks, and whether it shows a certificate.
func (f *remoteFault) Prepare(ctx context.Context) (measure.Reach, error) {
	if err := f.on.by.check(ctx, Order{Proxy: f.on.proxy, Disruption: f.plan, Seed: f.seed}); err != nil {
		return measure.Reach{}, fmt.Errorf("disruption %q: proxy at %s: %w", f.plan.Name, f.on.plan.URL, err)
	}
	return measure.Reach{}, nil
}

// Inject implements [Disruption].
func (f *remoteFault) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	o := Order{ID: newID(), Proxy: f.on.proxy, Disruption: f.plan, Seed: f.seed, TTL: DefaultTTL}
	undo, err := json.Marshal(keptRemote{
		Kind: keptKindRemote, URL: f.on.plan.URL, Proxy: o.Proxy, Dependency: f.on.name, ID: o.ID, TTL: o.TTL.String(),
	})
	if err == nil {
		err = keep(undo)
	}
	if err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", f.plan.Name, err)
	}
	h, err := f.on.by.order(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", f.plan.Name, err)
	}
	f.on.hold(h)
	return h.lift, nil
}

// endsUnrenewed implements forgotten: the control elsewhere sees to that.
func (f *remoteFault) endsUnrenewed() {}

// hold remembers a fault until the proxy is closed.
func (r *remote) hold(h *leasehold) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, h)
}

// undoRemote lifts what another process injected on a proxy elsewhere. The
// token comes from the plan's secrets anew, with the dependency.
func undoRemote(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
	var kept keptRemote
	if err := json.Unmarshal(undo, &kept); err != nil {
		return fmt.Errorf("disruption %q: what was kept of it can not be read: %w", d.Name, err)
	}
	on, ok := s.Dependencies[kept.Dependency].(*remote)
	if !ok {
		return fmt.Errorf("disruption %q: the control of its proxy at %s can not be called without its token: make the secret that dependencies.%s.proxy.token names available, or wait: the proxy lifts it by itself within %s of the death of the run",
			d.Name, kept.URL, kept.Dependency, kept.TTL)
	}
	if err := on.by.liftUntil(ctx, kept.ID); err != nil {
		return fmt.Errorf("disruption %q could not be lifted: proxy at %s: %w; it lifts it by itself within %s of the death of the run", d.Name, kept.URL, err, kept.TTL)
	}
	return nil
}

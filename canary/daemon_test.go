package canary

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// memory is a State in memory, which may be told to fail.
type memory struct {
	mu        sync.Mutex
	attempts  []measure.Attempt
	documents map[string][]byte
	broken    error
}

func newMemory() *memory { return &memory{documents: map[string][]byte{}} }

func (k *memory) Documents(prefix string) (map[string][]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := maps.Clone(k.documents)
	maps.DeleteFunc(out, func(name string, _ []byte) bool { return !strings.HasPrefix(name, prefix) })
	return out, nil
}

func (k *memory) Commit(attempts []measure.Attempt, documents map[string][]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken != nil {
		return k.broken
	}
	k.attempts = append(k.attempts, attempts...)
	for name, text := range documents {
		if text == nil {
			delete(k.documents, name)
		} else {
			k.documents[name] = text
		}
	}
	return nil
}

func (k *memory) Attempts(from, to int64) ([]measure.Attempt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []measure.Attempt
	for _, a := range k.attempts {
		if a.At >= from && a.At < to {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b measure.Attempt) int { return int(a.At - b.At) })
	return out, nil
}

func (k *memory) History(int64, int64, time.Duration) ([]measure.Window, error) { return nil, nil }

// world is a system that tenants try, of which somebody else knows how it is.
type world struct {
	vus   int
	tries func(p measure.Probe, tenant plan.Identity, at time.Time) (measure.Finding, time.Duration)
	by    map[string]plan.Identity
	dies  func(at time.Time) bool // its process ends now, with what is under way
}

func (w *world) Run(ctx context.Context, due <-chan measure.Probe, done func(measure.Probed)) error {
	var all sync.WaitGroup
	for range w.vus {
		all.Go(func() {
			for {
				select {
				case p := <-due:
					done(w.probe(p))
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
	return nil
}

func (w *world) probe(p measure.Probe) measure.Probed {
	at := time.Now()
	if w.dies != nil && w.dies(at) {
		return measure.Probed{Seq: p.Seq, Lost: "killed"}
	}
	found, took := w.tries(p, w.by[p.Tenant], at)
	time.Sleep(took)
	a := measure.Attempt{
		Series: measure.Series{Transaction: p.Transaction, Tenant: p.Tenant}, At: at.UnixNano(),
		Took: float64(took) / float64(time.Millisecond), Found: found,
	}
	if !a.Good() {
		a.Message = "status 503"
	}
	return measure.Probed{Seq: p.Seq, Attempt: a}
}

// outage is a stretch of the truth, in minutes.
type outage struct {
	name     string
	from, to int
	hits     func(tenant plan.Identity, at time.Time, n int) (measure.Finding, time.Duration, bool)
}

// fine is what an attempt is without an outage.
const fine = measure.Accepted | measure.Completed

var outages = []outage{
	{"hard down", 10, 15, func(plan.Identity, time.Time, int) (measure.Finding, time.Duration, bool) {
		return 0, 10 * time.Millisecond, true
	}},
	{"one in a hundred answers is wrong", 30, 50, func(_ plan.Identity, _ time.Time, n int) (measure.Finding, time.Duration, bool) {
		return measure.Accepted | measure.Wrong, 30 * time.Millisecond, n%100 == 0
	}},
	{"a slow tail", 60, 70, func(_ plan.Identity, _ time.Time, n int) (measure.Finding, time.Duration, bool) {
		return fine, 3 * time.Second, n%10 == 0
	}},
	{"up and down", 80, 90, func(_ plan.Identity, at time.Time, _ int) (measure.Finding, time.Duration, bool) {
		return 0, time.Millisecond, at.Unix()/30%2 == 0
	}},
	{"one cell", 100, 110, func(t plan.Identity, _ time.Time, _ int) (measure.Finding, time.Duration, bool) {
		return measure.Accepted | measure.Wrong, time.Millisecond, t.Cell == "c3"
	}},
	{"everything hangs", 120, 125, func(plan.Identity, time.Time, int) (measure.Finding, time.Duration, bool) {
		return measure.CutOff, 20 * time.Second, true
	}},
}

// Two hundred tenants try two transactions each minute for over two hours. There
// is some noise, the process that tries dies now and then, and the daemon as well.
// Every outage is one incident, with the times of the truth, and told once.
func TestDaemonFindsEveryOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		who := tenants(200)
		tasks := []Task{task("order", time.Minute, who), task("browse", time.Minute, who)}
		for i := range tasks {
			tasks[i].Plan.Slow = plan.Duration(2 * time.Second)
		}
		random := rand.New(rand.NewPCG(1, 2))
		began := time.Now()
		var mu sync.Mutex
		n := 0
		w := &world{vus: 200, by: map[string]plan.Identity{}}
		for _, id := range who {
			w.by[id.Name] = id
		}
		w.tries = func(_ measure.Probe, id plan.Identity, at time.Time) (measure.Finding, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			n++
			for _, o := range outages {
				if from := began.Add(time.Duration(o.from) * time.Minute); at.Before(from) || !at.Before(began.Add(time.Duration(o.to)*time.Minute)) {
					continue
				}
				if found, took, hit := o.hits(id, at, n); hit {
					return found, took
				}
			}
			if random.IntN(5000) == 0 {
				return 0, time.Millisecond // noise
			}
			return fine, time.Duration(20+random.IntN(100)) * time.Millisecond
		}
		w.dies = func(time.Time) bool { mu.Lock(); defer mu.Unlock(); return random.IntN(500) == 0 }

		rule := aRule()
		rule.By, rule.Open, rule.Close, rule.Quiet = "transaction", []plan.Trigger{{Row: 3}, {Some: 3, Of: 300}}, plan.Trigger{Row: 3}, plan.Duration(2*time.Minute)
		state := newMemory()
		var events []measure.Event
		o := Options{
			Plan: "shop", Tasks: tasks, Prober: w, State: state, Wake: func() {}, Warn: func(string) {},
			Event:  func(e measure.Event) { events = append(events, e) },
			Canary: plan.Canary{Alerts: map[string]plan.CanaryRule{"shop": rule}, Keep: plan.CanaryKeep{Attempts: plan.Retention(6 * time.Hour)}},
		}
		for end := began.Add(135 * time.Minute); time.Now().Before(end); { // it is stopped and started all the time
			d, err := New(o)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), min(time.Duration(1+random.IntN(20))*time.Minute, time.Until(end)))
			require.NoError(t, d.Run(ctx))
			cancel()
		}

		incidents, err := Incidents(state)
		require.NoError(t, err)
		notices, _ := state.Documents(noticePrefix)
		require.Len(t, incidents, len(outages))
		require.Len(t, notices, 2*2*len(outages), "opened and closed, to two receivers")
		for i, o := range outages {
			found := incidents[i]
			minute := func(at int64) float64 { return time.Unix(0, at).Sub(began).Minutes() }
			require.InDelta(t, o.from, minute(found.Start), 1, o.name)
			require.InDelta(t, o.to, minute(found.End), 1, o.name)
			require.InDelta(t, o.from, minute(found.Detected), 2, o.name)
			if o.name == "one cell" {
				require.Equal(t, map[string]string{"cell": "c3"}, found.Common())
			} else {
				require.Empty(t, found.Common(), o.name)
			}
		}
		require.InDelta(t, 135*400, len(state.attempts), 135*400*.01, "no beat is lost")
		require.GreaterOrEqual(t, len(events), 2*len(outages))
	})
}

// While the state can not be written nothing is forgotten, and an operator is
// told once.
func TestDaemonWhoseStateIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := newMemory()
		warned := 0
		w := &world{vus: 1, tries: func(measure.Probe, plan.Identity, time.Time) (measure.Finding, time.Duration) {
			return 0, time.Millisecond
		}}
		d, err := New(Options{
			Plan: "shop", Tasks: []Task{task("order", time.Second, tenants(1))}, Prober: w, State: state,
			Wake: func() {}, Warn: func(string) { warned++ }, Event: func(measure.Event) {},
			Canary: plan.Canary{Alerts: map[string]plan.CanaryRule{"orders": aRule()}},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		state.mu.Lock()
		state.broken = errors.New("disk full")
		state.mu.Unlock()
		time.Sleep(10 * time.Second)
		s, err := d.Status()
		require.ErrorContains(t, err, "disk full")
		require.Len(t, s.Open, 1)
		require.Empty(t, state.attempts)
		require.Equal(t, 1, warned)
		state.mu.Lock()
		state.broken = nil
		state.mu.Unlock()
		time.Sleep(2 * time.Second)
		_, err = d.Status()
		require.NoError(t, err)
		require.NoError(t, d.Ack(s.Open[0].ID, "me"))
		require.ErrorContains(t, d.Ack(s.Open[0].ID, "you"), "me has acknowledged")
		cancel()
		require.NoError(t, <-ended)
		require.ErrorContains(t, d.Ack("x", "me"), "stopped")
		require.Len(t, state.attempts, 12)
		require.Len(t, slices.Collect(maps.Keys(state.documents)), 1+1+2+2) // since when, the incident, and two notices to each of two receivers
	})
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := aRule()
		rule.Open, rule.Close, rule.Quiet = []plan.Trigger{{Row: 1}}, plan.Trigger{Row: 1}, 0
		state := newMemory()
		d, err := New(Options{
			Plan: "shop", Prober: &world{vus: 1}, State: state, Wake: func() {}, Warn: func(string) {}, Event: func(measure.Event) {},
			Health: func(context.Context) error { return errors.New("status 500") },
			Canary: plan.Canary{
				Alerts:     map[string]plan.CanaryRule{"jobs": rule},
				Heartbeats: map[string]plan.Heartbeat{"backup": {Every: plan.Duration(time.Hour), Grace: plan.Duration(time.Minute)}},
				Health:     &plan.CanaryHealth{Path: "/healthz", Every: plan.Duration(10 * time.Minute)},
			},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		open := func() int {
			s, err := d.Status()
			require.NoError(t, err)
			return len(s.Open)
		}
		time.Sleep(59 * time.Minute)
		require.NoError(t, d.Beat("backup"))
		require.ErrorContains(t, d.Beat("another"), `no heartbeat "another"`)
		time.Sleep(60 * time.Minute)
		require.Zero(t, open())
		time.Sleep(2 * time.Minute)
		require.Equal(t, 1, open())
		require.NoError(t, d.Beat("backup"))
		time.Sleep(2 * time.Second)
		require.Zero(t, open())
		cancel()
		require.NoError(t, <-ended)
		health := 0
		for _, a := range state.attempts {
			if a.Series.Transaction == healthName {
				health++
				require.Equal(t, "status 500", a.Message)
			}
		}
		require.Equal(t, 13, health)
	})
}

// A daemon that starts again reads as far back as its rules look, and no further.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := aRule()
		rule.Open = []plan.Trigger{{Row: 3}, {Some: 5, Of: 100}}
		state := newMemory()
		o := Options{
			Plan: "shop", Tasks: []Task{task("order", time.Minute, tenants(200))}, State: state,
			Canary: plan.Canary{
				Alerts: map[string]plan.CanaryRule{"orders": rule}, Keep: plan.CanaryKeep{Attempts: plan.Retention(6 * time.Hour)},
				Transactions: map[string]plan.CanaryTask{"order": {Every: plan.Duration(time.Minute)}},
			},
		}
		began := time.Now()
		for n := range 3 * 60 {
			at := began.Add(time.Duration(n) * time.Minute).UnixNano()
			require.NoError(t, state.Commit([]measure.Attempt{{Series: measure.Series{Transaction: "order", Tenant: "t000", Cell: "c0"}, At: at}}, nil))
		}
		time.Sleep(5 * time.Hour) // for two of them no daemon ran
		d, err := New(o)
		require.NoError(t, err)
		require.Equal(t, 3*time.Minute+30*time.Second, d.reach(), "a cell has 40 tenants: (100 + 40) minutes / 40")
		require.Equal(t, 4, d.watch.rules[0].units[Unit{"order", "cell", "c0"}].ring.length)
		o.Tasks[0].Tenants = tenants(1)
		d, err = New(o)
		require.NoError(t, err)
		require.Equal(t, 101*time.Minute, d.reach())
		require.Equal(t, 100, d.watch.rules[0].units[Unit{"order", "cell", "c0"}].ring.length)
		wait, _ := d.schedule.Wait(time.Now().UnixNano())
		require.LessOrEqual(t, wait, time.Minute)
	})
}

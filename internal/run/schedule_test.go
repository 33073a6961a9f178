package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// journalOf remembers when each of several disruptions was in effect.
type journalOf struct {
	mu    sync.Mutex
	began time.Time
	lines []string
	now   map[string]bool // in effect
}

func (j *journalOf) say(what, name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%s %s %s", time.Since(j.began).Round(time.Millisecond), what, name))
}

// timed is a fault that writes into a journal.
type timed struct {
	name    string
	in      *journalOf
	lifting time.Duration // how long lifting takes
	err     error         // of injection
	reach   measure.Reach
}

func (f *timed) Prepare(context.Context) (measure.Reach, error) { return f.reach, nil }

func (f *timed) Inject(context.Context, func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	if f.err != nil {
		return nil, f.err
	}
	f.in.mu.Lock()
	if f.in.now[f.name] {
		f.in.mu.Unlock()
		return nil, errors.New("already in effect")
	}
	f.in.now[f.name] = true
	f.in.mu.Unlock()
	f.in.say("inject", f.name)
	return func(context.Context) (measure.Touch, error) {
		_ = wait(context.Background(), f.lifting)
		f.in.mu.Lock()
		f.in.now[f.name] = false
		f.in.mu.Unlock()
		f.in.say("lift", f.name)
		return measure.Touch{Matched: 1, Touched: 1}, nil
	}, nil
}

// scheduledRun runs disruptions for so many seconds and gives the journal and
// the record; change may alter the faults.
func scheduledRun(t *testing.T, seconds int, disruptions []plan.Disruption, change func(*stage, *timed)) ([]string, *memory) {
	t.Helper()
	s := newStage(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, time.Duration(seconds)*time.Second)}})
	settle := plan.Duration(2 * time.Second)
	for i := range disruptions {
		if disruptions[i].Settle == nil {
			disruptions[i].Settle = &settle
		}
	}
	s.Plan.Phases[0].Disruptions = disruptions
	s.Plan.Dependencies = map[string]plan.Dependency{"payments": {Upstream: "http://127.0.0.1:2"}, "orders": {Upstream: "http://127.0.0.1:3"}}
	in := &journalOf{began: time.Now(), now: map[string]bool{}}
	s.Adapters.Disruption = func(d plan.Disruption, _ Site) (Disruption, error) {
		f := &timed{name: d.Name, in: in}
		if d.Kubernetes != nil {
			f.reach = podsOf(d)
		}
		if change != nil {
			change(s, f)
		}
		return f, nil
	}
	if change != nil { // the traffic is made before any fault
		change(s, &timed{})
	}
	require.NoError(t, s.Run(t.Context(), "beta"))
	return in.lines, s.record
}

// podsOf is what a driver finds for a disruption of pods.
func podsOf(d plan.Disruption) measure.Reach {
	r := measure.Reach{Unit: "pods", Of: []string{"shop-a", "shop-b"}}
	r.Selected = r.Of
	if len(d.Kubernetes.Pods) > 0 {
		r.Selected = d.Kubernetes.Pods
	}
	return r
}

func after(other, name string, at, length time.Duration) plan.Disruption {
	d := disruption(name, at, length)
	d.After = other
	return d
}

func TestSchedules(t *testing.T) {
	repeated := disruption("again", time.Second, 2*time.Second)
	repeated.Repeat = &plan.Repeat{Times: 3, Every: plan.Duration(5 * time.Second)}
	sweep := disruption("slow", 2*time.Second, 3*time.Second)
	sweep.Sweep, sweep.Dependency = true, "*"
	pods := disruption("kill", 0, time.Second)
	pods.Sweep, pods.Kubernetes = true, &plan.Kubernetes{Select: map[string]string{"app": "shop"}}
	for name, tc := range map[string]struct {
		disruptions []plan.Disruption
		want        []string
	}{
		"a sequence of sequences": {
			[]plan.Disruption{after("b", "c", 0, time.Second), after("a", "b", 2*time.Second, 3*time.Second), disruption("a", 5*time.Second, 5*time.Second)},
			[]string{"5s inject a", "10s lift a", "12s inject b", "15s lift b", "15s inject c", "16s lift c"},
		},
		"overlapping ones": {
			[]plan.Disruption{disruption("a", 0, 5*time.Second), disruption("b", 2*time.Second, time.Second)},
			[]string{"0s inject a", "2s inject b", "3s lift b", "5s lift a"},
		},
		"repeated, and one after the last": {
			[]plan.Disruption{repeated, after("again", "b", time.Second, time.Second)},
			[]string{"1s inject again", "3s lift again", "6s inject again", "8s lift again", "11s inject again", "13s lift again", "14s inject b", "15s lift b"},
		},
		"a sweep, each part when the one before has settled": {
			[]plan.Disruption{sweep, after("slow", "b", 0, time.Second)},
			[]string{"2s inject slow.orders", "5s lift slow.orders", "7s inject slow.payments", "10s lift slow.payments", "10s inject b", "11s lift b"},
		},
		"a sweep over what the run finds": {
			[]plan.Disruption{pods},
			[]string{"0s inject kill.shop-a", "1s lift kill.shop-a", "3s inject kill.shop-b", "4s lift kill.shop-b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lines, _ := scheduledRun(t, 30, tc.disruptions, nil)
				require.Equal(t, tc.want, lines)
			})
		})
	}
}

func TestPartsOfASweepSayWhatTheyBelongTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sweep := disruption("slow", 0, time.Second)
		sweep.Sweep, sweep.Dependency = true, "*"
		_, record := scheduledRun(t, 20, []plan.Disruption{sweep}, func(_ *stage, f *timed) {
			if f.name == "slow.payments" {
				f.err = errors.New("no rights")
			}
		})
		require.Equal(t, "slow", record.find(t, measure.EventDisruption, "slow.orders").Attrs["sweep"])
		require.Equal(t, map[string]string{"reason": "could not be injected: no rights", "sweep": "slow"}, record.find(t, measure.EventSkipped, "slow.payments").Attrs)
	})
}

func TestDrawnMomentsFollowTheSeed(t *testing.T) {
	drawn := func(seed int64) (lines []string) {
		synctest.Test(t, func(t *testing.T) {
			d := disruption("a", time.Second, time.Second)
			d.Spread = plan.Duration(20 * time.Second)
			lines, _ = scheduledRun(t, 30, []plan.Disruption{d}, func(s *stage, _ *timed) { s.Seed = seed })
		})
		return lines
	}
	require.Equal(t, drawn(1), drawn(1))
	require.NotEqual(t, drawn(1), drawn(2))
}

func TestWhatCanNotBeInTimeIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines, record := scheduledRun(t, 20, []plan.Disruption{disruption("a", 0, 5*time.Second), after("a", "b", 0, 10*time.Second), after("b", "c", 0, time.Second)},
			func(_ *stage, f *timed) { f.lifting = 7 * time.Second })
		require.Equal(t, []string{"0s inject a", "12s lift a"}, lines)
		require.Equal(t, "it would not be over before the tests are, but 2s later", record.find(t, measure.EventSkipped, "b").Attrs["reason"])
		require.Equal(t, "b, which it comes after, never took effect", record.find(t, measure.EventSkipped, "c").Attrs["reason"])
	})
}

func TestWhatWasAbortedIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disruption("a", 15*time.Second, 8*time.Second)
		d.Repeat = &plan.Repeat{Times: 3, Every: plan.Duration(10 * time.Second)}
		d.AbortIf = []string{"errors > 20%"}
		began := time.Now()
		lines, record := scheduledRun(t, 60, []plan.Disruption{d}, func(s *stage, _ *timed) {
			s.load.faulty = func(at time.Time) bool { return at.Sub(began) >= 15*time.Second && at.Sub(began) < 23*time.Second }
		})
		require.Len(t, lines, 2, "%v", lines)
		require.Equal(t, "it was aborted before", record.find(t, measure.EventSkipped, "a").Attrs["reason"])
	})
}

func TestASweepThatWouldTakeMoreThanOneIsRefused(t *testing.T) {
	pods := disruption("kill", 0, time.Second)
	pods.Sweep, pods.Kubernetes = true, &plan.Kubernetes{}
	for name, tc := range map[string]struct {
		reach func(d plan.Disruption) measure.Reach
		want  string
	}{
		"a driver that does not narrow": {
			func(plan.Disruption) measure.Reach {
				return measure.Reach{Unit: "pods", Of: []string{"a", "b"}, Selected: []string{"a", "b"}}
			}, "would act on [a b] instead of a alone",
		},
		"the only one": {
			func(plan.Disruption) measure.Reach {
				return measure.Reach{Unit: "pods", Of: []string{"a"}, Selected: []string{"a"}}
			}, "would act on the only one of the pods (a): say at_most: all if that is meant",
		},
		"nothing": {func(plan.Disruption) measure.Reach { return measure.Reach{Unit: "pods"} }, "there is nothing to go through"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, 10*time.Second)}})
				s.Plan.Phases[0].Disruptions = slices.Clone([]plan.Disruption{pods})
				s.Adapters.Disruption = func(d plan.Disruption, _ Site) (Disruption, error) {
					return &timed{name: d.Name, in: &journalOf{now: map[string]bool{}}, reach: tc.reach(d)}, nil
				}
				require.ErrorContains(t, s.Run(t.Context(), "beta"), tc.want)
				require.NotContains(t, s.record.told(), "test", "no traffic was sent")
			})
		})
	}
}

package distribute

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// stage is a cluster and an InfluxDB for a job with two runners and a test of a
// minute.
type stage struct {
	t       *testing.T
	runners *Runners
	job     Job
	written chan measure.Batch // by runners

	mu      sync.Mutex
	sight   sight
	made    []string
	owned   []string
	removed []string
	got     measure.Batch // by the run

	creating, removing, looking, following, keeping error
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, job: aJob(t), written: make(chan measure.Batch)}
	profileOf(&s.job.Settings.Stream).Parallel = 2
	s.runners = &Runners{
		stream: s.job.Settings.Stream, on: s.job.On, api: s,
		make: func(context.Context) (Job, error) { return s.job, nil }, follow: s.follow,
	}
	return s
}

func (s *stage) follow(ctx context.Context, run, prefix string, emit func(measure.Batch) error) error {
	require.Equal(s.t, "20260102T150405Z-ab12", run)
	require.Equal(s.t, "k6/beta/Checkout_1/candidate/", prefix)
	for {
		select {
		case <-ctx.Done():
			return nil
		case batch := <-s.written:
			if s.following != nil {
				return s.following
			}
			if err := emit(batch); err != nil {
				return err
			}
		}
	}
}

func (s *stage) create(_ context.Context, m Manifest) (string, error) {
	s.made = append(s.made, m.Kind)
	if m.Kind == "TestRun" {
		return "uid", s.creating
	}
	return "", nil
}

func (s *stage) own(_ context.Context, m, by Manifest, uid string) error {
	s.owned = append(s.owned, m.Kind+" by "+by.Kind+" "+uid)
	return nil
}

func (s *stage) look(context.Context, string) (sight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sight, s.looking
}

func (s *stage) remove(_ context.Context, m Manifest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = append(s.removed, m.Kind)
	return s.removing
}

func (s *stage) emit(b measure.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got.Windows = append(s.got.Windows, b.Windows...)
	s.got.Events = append(s.got.Events, b.Events...)
	return s.keeping
}

func (s *stage) pods(pods ...pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sight.pods = pods
}

func running(n int) pod { return pod{name: fmt.Sprint("pod-", n), runner: n} }

func (s *stage) event(n int, kind string, attrs map[string]string) {
	s.written <- measure.Batch{Events: []measure.Event{{Source: s.source(n), At: time.Now().UnixNano(), Kind: kind, Test: "Checkout_1", Arm: "candidate", Attrs: attrs}}}
}

func (s *stage) source(n int) string { return "k6/beta/Checkout_1/candidate/" + strconv.Itoa(n) }

// begins has runners begin, and their test after 5 s.
func (s *stage) begins(numbers ...int) {
	for _, n := range numbers {
		s.event(n, measure.EventRunner, nil)
	}
	time.Sleep(5 * time.Second)
	for _, n := range numbers {
		s.event(n, measure.EventTest, nil)
	}
}

// sends has a runner write windows.
func (s *stage) sends(n, windows int) {
	for range windows {
		s.written <- measure.Batch{Windows: []measure.Window{{Source: s.source(n), Count: 1}}}
	}
}

// ends has a runner tell its end, of so many windows and two events.
func (s *stage) ends(n, windows int, attrs map[string]string) {
	all := map[string]string{"complete": "true", "lost": "0", "windows": strconv.Itoa(windows), "events": "2"}
	for key, value := range attrs {
		all[key] = value
	}
	s.event(n, measure.EventRunnerEnd, all)
}

// run runs the engine while the runners do what play says, and gives how long it
// took.
func (s *stage) run(ctx context.Context, play func()) (took time.Duration, err error) {
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		play()
	}()
	err = s.runners.Run(ctx, s.emit)
	took = time.Since(began)
	<-done
	return took, err
}

// told are the reasons of the ends of the tests, and the evidence against the
// generator.
func (s *stage) told() (ends, blames []string) {
	for _, e := range s.got.Events {
		switch e.Kind {
		case measure.EventTestEnd:
			ends = append(ends, e.Attrs["complete"]+" "+e.Attrs["reason"])
		case measure.EventGenerator:
			blames = append(blames, e.Name+" "+e.Attrs["detail"])
		}
	}
	return ends, blames
}

func (s *stage) tidied() {
	s.t.Helper()
	for _, kind := range []string{"TestRun", "ConfigMap", "Secret"} {
		require.Contains(s.t, s.removed, kind)
	}
}

func TestRunnersToTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.pods(running(1), running(2))
		took, err := s.run(t.Context(), func() {
			s.begins(1, 2)
			s.sends(1, 3)
			time.Sleep(time.Minute)
			s.ends(1, 3, nil)
			s.ends(2, 2, nil) // of which the last window comes in later
			s.sends(2, 1)
			time.Sleep(4 * time.Second)
			s.sends(2, 1)
		})
		require.NoError(t, err)
		require.Equal(t, []string{"Secret", "Secret", "ConfigMap", "TestRun"}, s.made)
		require.Equal(t, []string{"Secret by TestRun uid", "Secret by TestRun uid", "ConfigMap by TestRun uid"}, s.owned)
		require.InDelta(t, 70, took.Seconds(), 2)
		ends, blames := s.told()
		require.Equal(t, []string{"true ", "true "}, ends)
		require.Empty(t, blames)
		require.Len(t, s.got.Windows, 5, "each is handed on once")
		s.tidied()
		var began int64
		for _, e := range s.got.Events {
			if e.Kind == measure.EventTest {
				began = e.At
			}
			if e.Kind == measure.EventTestEnd {
				require.Equal(t, time.Minute.Nanoseconds(), e.At-began, "it stopped to send when the plan says")
				require.Equal(t, "Checkout_1", e.Test)
			}
		}
	})
}

// What becomes of runners is told with their names.
func TestRunnersThatFallShort(t *testing.T) {
	rest := func(s *stage, n int) { // of a runner that does what it should
		time.Sleep(time.Minute)
		s.ends(n, 0, nil)
	}
	for name, c := range map[string]struct {
		play func(s *stage)
		want []string // ends
		took time.Duration
	}{
		"out of memory": {
			play: func(s *stage) {
				s.begins(1, 2)
				s.pods(running(1), pod{name: "pod-2", runner: 2, ended: true, reason: "OOMKilled", code: 137})
				rest(s, 1)
			},
			want: []string{"true ", "false runner 2 of 2 (pod pod-2): OOMKilled"}, took: 66 * time.Second,
		},
		"exit code": {
			play: func(s *stage) {
				s.begins(1, 2)
				s.pods(pod{name: "pod-1", runner: 1, ended: true, reason: "Error", code: 107, message: "TypeError"}, running(2))
				rest(s, 2)
			},
			want: []string{"false runner 1 of 2 (pod pod-1): it ended with exit code 107: TypeError", "true "}, took: 66 * time.Second,
		},
		"deleted": {
			play: func(s *stage) {
				s.begins(1, 2)
				time.Sleep(2 * time.Second)
				s.pods(running(2))
				rest(s, 2)
			},
			want: []string{"false runner 1 of 2 (pod pod-1): its pod was deleted", "true "}, took: 68 * time.Second,
		},
		"says so itself": {
			play: func(s *stage) {
				s.begins(1, 2)
				s.ends(1, 0, map[string]string{"complete": "false", "reason": "test.abort: enough"})
				rest(s, 2)
			},
			want: []string{"false runner 1 of 2 (pod pod-1): test.abort: enough", "true "}, took: 66 * time.Second,
		},
		"says nothing": {
			play: func(s *stage) {
				s.begins(1, 2)
				s.pods(running(1), pod{name: "pod-2", runner: 2, ended: true, succeeded: true, reason: "Completed"})
				rest(s, 1)
			},
			want: []string{"true ", "false runner 2 of 2 (pod pod-2): it ended without a report"}, took: 66 * time.Second,
		},
		"does not end": {
			play: func(s *stage) {
				s.begins(1, 2)
				rest(s, 1)
			},
			want: []string{"true ", "false runner 2 of 2 (pod pod-2): it did not report its end in time; the last of it arrived 2m16s ago"}, took: 141 * time.Second,
		},
		"refused by InfluxDB": {
			play: func(s *stage) {
				s.begins(1, 2)
				time.Sleep(time.Minute)
				s.ends(1, 0, map[string]string{"lost": "3"})
				s.ends(2, 0, map[string]string{"events": "some"})
			},
			want: []string{
				"false runner 1 of 2 (pod pod-1): InfluxDB did not take 3 of its windows and events",
				`false runner 2 of 2 (pod pod-2): the end of k6/beta/Checkout_1/candidate/2: events is "some", not a number`,
			}, took: 65 * time.Second,
		},
		"begins again": {
			play: func(s *stage) {
				s.begins(1, 2)
				s.event(2, measure.EventRunner, map[string]string{"host": "pod-3"})
				rest(s, 1)
			},
			want: []string{"true ", "false runner 2 of 2 (pod pod-2): another one began in its place, on pod-3: what it sent is not all"}, took: 66 * time.Second,
		},
		"windows lost": {
			play: func(s *stage) {
				s.begins(1, 2)
				time.Sleep(time.Minute)
				s.ends(1, 0, nil)
				s.ends(2, 7, nil)
			},
			want: []string{"true ", "false runner 2 of 2 (pod pod-2): of its 7 windows and 2 events only 0 and 2 arrived"}, took: 86 * time.Second,
		},
		"never begin": {
			play: func(s *stage) {
				s.pods(running(1), pod{name: "pod-2", runner: 2, waits: "Unschedulable: 0/3 nodes"})
				s.event(1, measure.EventRunner, nil)
			},
			want: []string{
				"false runner 1 of 2 (pod pod-1): the test did not begin within 1m0s: it waits for k6-operator to start it",
				"false runner 2 of 2 (pod pod-2): the test did not begin within 1m0s: Unschedulable: 0/3 nodes",
			}, took: 61 * time.Second,
		},
		"no operator": {
			play: func(s *stage) { s.pods() },
			want: []string{
				"false runner 1 of 2: the test did not begin within 1m0s: k6-operator made no pod for it; is it installed, and does it look after this namespace?",
				"false runner 2 of 2: the test did not begin within 1m0s: k6-operator made no pod for it; is it installed, and does it look after this namespace?",
			}, took: 61 * time.Second,
		},
		"initializer waits": {
			play: func(s *stage) { s.pods(pod{name: "init", waits: "ErrImagePull: no such image"}) },
			want: []string{
				"false runner 1 of 2: the test did not begin within 1m0s: the pod init of k6-operator is not running: ErrImagePull: no such image",
				"false runner 2 of 2: the test did not begin within 1m0s: the pod init of k6-operator is not running: ErrImagePull: no such image",
			}, took: 61 * time.Second,
		},
		"initializer fails": {
			play: func(s *stage) {
				s.pods(pod{name: "init", ended: true, reason: "Error", code: 1, message: "level=error no script"})
			},
			want: []string{
				"false runner 1 of 2: the pod init of k6-operator failed: it ended with exit code 1: level=error no script",
				"false runner 2 of 2: the pod init of k6-operator failed: it ended with exit code 1: level=error no script",
			}, took: 2 * time.Second,
		},
		"one dies before the test": {
			play: func(s *stage) {
				s.pods(running(1), pod{name: "pod-2", runner: 2, ended: true, reason: "Evicted", message: "no disk", code: 137})
				s.event(1, measure.EventRunner, nil)
			},
			want: []string{
				"false runner 1 of 2 (pod pod-1): the test did not begin, because of runner 2",
				"false runner 2 of 2 (pod pod-2): Evicted: no disk",
			}, took: 22 * time.Second,
		},
		"given up": {
			play: func(s *stage) { s.mu.Lock(); s.sight.stage = "error"; s.mu.Unlock() },
			want: []string{
				"false runner 1 of 2 (pod pod-1): k6-operator gave up the TestRun (stage error): see its log",
				"false runner 2 of 2 (pod pod-2): k6-operator gave up the TestRun (stage error): see its log",
			}, took: 2 * time.Second,
		},
		"unreadable": {
			play: func(s *stage) { s.following = errors.New("401"); s.event(1, measure.EventRunner, nil) },
			want: []string{
				"false runner 1 of 2: what it measured can not be read: 401", "false runner 2 of 2: what it measured can not be read: 401",
			}, took: time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.pods(running(1), running(2))
				took, err := s.run(t.Context(), func() { c.play(s) })
				require.NoError(t, err)
				ends, blames := s.told()
				require.Equal(t, c.want, ends)
				require.NotEmpty(t, blames)
				require.Contains(t, blames[0], "runner runner ")
				require.InDelta(t, c.took.Seconds(), took.Seconds(), 2)
				s.tidied()
			})
		})
	}
}

func TestRunnersThatAreStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.pods(running(1), running(2))
		ctx, stop := context.WithCancel(t.Context())
		took, err := s.run(ctx, func() {
			s.begins(1, 2)
			stop()
			time.Sleep(time.Second)
			s.sends(1, 1)
			s.ends(1, 1, map[string]string{"complete": "false"})
			s.ends(2, 0, map[string]string{"complete": "false"})
		})
		require.NoError(t, err)
		require.InDelta(t, 6, took.Seconds(), 1)
		require.Len(t, s.got.Windows, 1, "what they still wrote counts")
		ends, blames := s.told()
		require.Equal(t, []string{"false interrupted", "false interrupted"}, ends)
		require.Empty(t, blames, "nobody is to blame")
		s.tidied()
	})
}

func TestRunnersThatAreNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.creating = errors.New("make TestRun: forbidden")
		_, err := s.run(t.Context(), func() {})
		require.EqualError(t, err, "make TestRun: forbidden")
		s.tidied()
	})
}

func TestRunnersThatStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.removing = errors.New("no answer")
		s.looking = errors.New("no answer")
		_, err := s.run(t.Context(), func() {
			s.begins(1, 2)
			s.ends(1, 0, nil)
			s.ends(2, 0, nil)
		})
		require.NoError(t, err)
		ends, blames := s.told()
		require.Equal(t, []string{"true ", "true "}, ends, "those who send need no eyes on them")
		require.Empty(t, blames)
		last := s.got.Events[len(s.got.Events)-1]
		require.Equal(t, measure.EventWarning, last.Kind)
		require.Contains(t, last.Attrs["detail"], "remove it with: kubectl delete testruns,secrets,configmaps -n load -l resilience/run=20260102T150405Z-ab12")
	})
}

func TestWhatCanNotBeKeptEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.keeping = errors.New("disk full")
		_, err := s.run(t.Context(), func() { s.event(1, measure.EventRunner, nil) })
		require.ErrorContains(t, err, "disk full")
		s.tidied()
	})
}

func TestDelay(t *testing.T) {
	r := &Runners{on: plan.Distribute{Begin: plan.Duration(time.Minute)}}
	require.Greater(t, r.Delay(), time.Minute+endGrace)
}

package run

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// lasting is a fault that would outlive its process.
type lasting struct {
	fault
	during func() // while it is in effect
	kept   error
}

func (l *lasting) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	if l.kept = keep(json.RawMessage(`{"token":"s3cret"}`)); l.kept != nil {
		return nil, l.kept
	}
	if l.during != nil {
		l.during()
	}
	return l.fault.Inject(ctx, keep)
}

// guarded gives a stage a journal and a watchdog that only waits.
func (s *stage) guard(t *testing.T, watchdog ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.journal")
	s.Guard = &Guard{Path: path, Watchdog: watchdog, Logs: s.Logs, Plan: s.Plan, ID: "run", Seed: 1, Getenv: s.Getenv}
	return path
}

// waits is a watchdog that does nothing but to end in time.
var waits = []string{"/bin/sh", "-c", "cat >/dev/null"}

func quickStage(t *testing.T, fault Disruption) *stage {
	t.Helper()
	s := newStage(t, plan.Phase{
		Tests:       []plan.Test{test("checkout", 0, time.Minute)},
		Disruptions: []plan.Disruption{disruption("slow", 0, 100*time.Millisecond)},
	})
	s.Adapters.Disruption = func(plan.Disruption, Site) (Disruption, error) { return fault, nil }
	s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) { return untilOver{load{stream: st}, s.record}, nil }
	return s
}

// untilOver is traffic that goes on until the disruption is over, however long a
// busy machine takes for that.
type untilOver struct {
	load
	record *memory
}

func (u untilOver) Run(ctx context.Context, emit func(measure.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		for wait(ctx, 10*time.Millisecond) == nil {
			told := u.record.told()
			if slices.Contains(told, measure.EventLifted+" slow") || slices.Contains(told, measure.EventSkipped+" slow") {
				return
			}
		}
	}()
	return u.load.Run(ctx, emit)
}

func TestAFaultIsJournalledBeforeItIsInEffect(t *testing.T) {
	l := &lasting{}
	s := quickStage(t, l)
	s.Plan.Secrets = map[string]plan.Secret{"token": {Env: "TOKEN"}}
	s.Getenv = func(string) (string, bool) { return "s3cret", true }
	path := s.guard(t, waits...)
	var seen left
	l.during = func() {
		var err error
		seen, err = readLeft(path)
		require.NoError(t, err)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(text), "s3cret")
		_, err = openJournal(path, false)
		require.ErrorIs(t, err, ErrAlive)
	}
	require.NoError(t, errors.Join(s.Run(t.Context(), "beta"), s.Guard.Close()))
	require.Len(t, seen.faults, 1)
	require.Contains(t, string(seen.faults[0].Disruption), `"Dependency":"payments"`)
	require.Equal(t, "beta", seen.faults[0].Phase)
	require.NoFileExists(t, path, "nothing is left")
}

func TestWithoutAWatchdogNothingLastingIsInjected(t *testing.T) {
	for name, tc := range map[string]struct {
		watchdog []string
		want     string
	}{
		"it does not start": {[]string{"/no/such/program"}, "the watchdog did not start"},
		"nobody":            {nil, "no journal is kept"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lasting{}
			s := quickStage(t, l)
			if tc.watchdog != nil {
				s.guard(t, tc.watchdog...)
			}
			require.NoError(t, errors.Join(s.Run(t.Context(), "beta"), s.Guard.Close()))
			require.Contains(t, s.record.find(t, measure.EventSkipped, "slow").Attrs["reason"], tc.want)
			require.True(t, l.injected.IsZero())
		})
	}
}

func TestAWatchdogThatDiedIsNoticed(t *testing.T) {
	l := &lasting{}
	s := quickStage(t, l)
	s.guard(t, "true")
	_, err := s.Guard.begin()
	require.NoError(t, err)
	<-s.Guard.exited
	require.NoError(t, errors.Join(s.Run(t.Context(), "beta"), s.Guard.Close()))
	require.ErrorContains(t, l.kept, "its watchdog has died")
}

func TestWhatCouldNotBeLiftedStaysInTheJournal(t *testing.T) {
	l := &lasting{}
	l.liftErr = errors.New("no answer")
	s := quickStage(t, l)
	s.ID = "20260102T150405Z-abcd"
	path := s.guard(t, waits...)
	err := errors.Join(s.Run(t.Context(), "beta"), s.Guard.Close())
	require.ErrorIs(t, err, ErrFaultLeft)
	require.ErrorContains(t, err, "resilience lift 20260102T150405Z-abcd")
	left, err := readLeft(path)
	require.NoError(t, err)
	require.Len(t, left.faults, 1)
	require.Equal(t, "no answer", left.failed[0].Error)
}

func TestPrepareIsAskedBeforeAnyLoad(t *testing.T) {
	s := quickStage(t, &fault{prepareErr: plan.Misfitf("no pods are selected")})
	err := s.Run(t.Context(), "beta")
	var misfit *plan.Misfit
	require.ErrorAs(t, err, &misfit)
	require.ErrorContains(t, err, "disruption slow: no pods are selected")
	require.NotContains(t, s.record.told(), "test")
}

// reaching is a fault that knows on what it acts.
type reaching struct{ fault }

func (r *reaching) Prepare(context.Context) (measure.Reach, error) {
	return measure.Reach{Unit: "pods", Of: []string{"a", "b"}, Selected: []string{"b"}}, nil
}

func TestWhatWillBeTouchedIsRecorded(t *testing.T) {
	r := &reaching{}
	r.touch = measure.Touch{Matched: 1, Touched: 1, Unit: "pods", Names: []string{"b"}}
	s := quickStage(t, r)
	require.NoError(t, s.Run(t.Context(), "beta"))
	require.Equal(t, map[string]string{"unit": "pods", "of": "a, b", "names": "b"}, s.record.find(t, measure.EventReach, "slow").Attrs)
	require.Equal(t, "b", s.record.find(t, measure.EventDisruption, "slow").Attrs["names"])
	require.Equal(t, "b", s.record.find(t, measure.EventLifted, "slow").Attrs["names"])
}

// wild panics where it is told to.
type wild struct {
	fault
	prepare, inject, lift bool
}

func (w *wild) Prepare(ctx context.Context) (measure.Reach, error) {
	if w.prepare {
		panic("prepare")
	}
	return w.fault.Prepare(ctx)
}

func (w *wild) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	if w.inject {
		panic("inject")
	}
	lift, err := w.fault.Inject(ctx, keep)
	if w.lift {
		lift = func(context.Context) (measure.Touch, error) { panic("lift") }
	}
	return lift, err
}

func TestAPanicLiftsAndIsReported(t *testing.T) {
	for name, tc := range map[string]struct {
		wild *wild
		left bool
	}{
		"prepare": {&wild{prepare: true}, false}, "inject": {&wild{inject: true}, true}, "lift": {&wild{lift: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := quickStage(t, tc.wild)
			err := s.Run(t.Context(), "beta")
			require.Error(t, err)
			require.Equal(t, tc.left, errors.Is(err, ErrFaultLeft), err)
			require.Contains(t, s.record.told(), "phase-end beta")
			require.True(t, s.proxy.closed)
		})
	}
	t.Run("traffic", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, plan.Phase{
				Tests:       []plan.Test{test("checkout", 0, time.Minute)},
				Disruptions: []plan.Disruption{disruption("slow", 0, 50*time.Second)},
			})
			s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) { return panics{load{stream: st}}, nil }
			began := time.Now()
			require.ErrorContains(t, s.Run(t.Context(), "beta"), "test checkout: panic: out of ideas")
			require.False(t, s.fault.injected.IsZero())
			require.Equal(t, 5*time.Second, s.fault.lifted.Sub(began))
			require.Empty(t, s.record.find(t, measure.EventLifted, "slow").Attrs["error"])
		})
	})
}

// panics is traffic that does so after five seconds.
type panics struct{ load }

func (p panics) Run(ctx context.Context, emit func(measure.Batch) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = p.load.Run(ctx, emit)
	panic("out of ideas")
}

func TestFaultsAreLiftedBeforeAnythingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, time.Minute)},
			Disruptions: []plan.Disruption{disruption("a", 0, 50*time.Second), disruption("b", 0, 50*time.Second)},
			After:       "echo cleaned",
		})
		s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) { return lingering{load{stream: st}}, nil }
		slow := &slowLift{takes: 3 * time.Second}
		s.Adapters.Disruption = func(plan.Disruption, Site) (Disruption, error) { return slow, nil }
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.Error(t, s.Run(ctx, "beta"))
		e := s.record.find(t, measure.EventInterrupt, "")
		require.Equal(t, "3s", e.Attrs["lifting"], "side by side")
		require.Equal(t, int64(3e9), s.record.find(t, measure.EventLifted, "a").At-e.At)
	})
}

// slowLift takes its time to lift.
type slowLift struct {
	fault
	takes time.Duration
}

func (s *slowLift) Inject(context.Context, func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	return func(ctx context.Context) (measure.Touch, error) { return measure.Touch{}, wait(ctx, s.takes) }, nil
}

func TestLiftingIsBoundedOnceTheRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, 5*time.Minute)},
			Disruptions: []plan.Disruption{disruption("slow", 0, 2*time.Second)},
		})
		s.Adapters.Disruption = func(plan.Disruption, Site) (Disruption, error) { return &slowLift{takes: time.Hour}, nil }
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, s.Run(ctx, "beta"), ErrFaultLeft)
		require.Equal(t, "5s", s.record.find(t, measure.EventInterrupt, "").Attrs["lifting"])
	})
}

func TestAnInjectionThatHangsDoesNotHoldTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, time.Minute)},
			Disruptions: []plan.Disruption{disruption("slow", 0, 2*time.Second)},
		})
		hangs := &hanging{until: make(chan struct{})}
		s.Adapters.Disruption = func(plan.Disruption, Site) (Disruption, error) { return hangs, nil }
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, s.Run(ctx, "beta"), ErrFaultLeft)
		require.Equal(t, 10*time.Second+liftTimeout, time.Since(began))
		close(hangs.until)
		synctest.Wait()
		require.False(t, hangs.lifted.IsZero(), "what it injects after all is lifted")
	})
}

type hanging struct {
	fault
	until chan struct{}
}

func (h *hanging) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	<-h.until
	return h.fault.Inject(ctx, keep)
}

func TestAbortIf(t *testing.T) {
	run := func(t *testing.T, change func(*plan.Phase)) (*stage, time.Time) {
		phase := plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, time.Minute)},
			Disruptions: []plan.Disruption{disruption("slow", 15*time.Second, 20*time.Second), disruption("other", 14*time.Second, 30*time.Second)},
		}
		change(&phase)
		s := newStage(t, phase)
		began := time.Now()
		s.load.faulty = func(at time.Time) bool { return at.Sub(began) >= 15*time.Second }
		require.NoError(t, s.Run(t.Context(), "beta"))
		return s, began
	}
	t.Run("of a phase", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, began := run(t, func(p *plan.Phase) { p.AbortIf = []string{"errors > 20%"} })
			abort := s.record.find(t, measure.EventAbort, "")
			require.Equal(t, "errors > 20%", abort.Attrs["condition"])
			require.Regexp(t, `^\d.* % over the last 10 s: [34]0 of 1[01]0 failed$`, abort.Attrs["detail"])
			soon := time.Unix(0, abort.At).Sub(began)
			require.InDelta(t, 18.5, soon.Seconds(), 0.5)
			require.Contains(t, s.record.told(), "lifted slow")
			require.Contains(t, s.record.told(), "lifted other")
			require.Equal(t, soon, time.Since(began))
			v := gates.Judge(nil, gates.Record{Phase: "beta", Events: s.record.events})
			require.Equal(t, gates.ExitSystem, v.ExitCode(), v.Reason)
		})
	})
	t.Run("of a disruption", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, began := run(t, func(p *plan.Phase) { p.Disruptions[0].AbortIf = []string{"errors > 20%"} })
			require.Equal(t, "errors > 20%", s.record.find(t, measure.EventAbort, "slow").Attrs["condition"])
			require.InDelta(t, 18.5, time.Unix(0, s.record.find(t, measure.EventLifted, "slow").At).Sub(began).Seconds(), 0.5)
			require.Equal(t, 44*time.Second, time.Unix(0, s.record.find(t, measure.EventLifted, "other").At).Sub(began), "the other goes on")
		})
	})
}

// A watch ends the phase, and lifts what is injected, once a gate is certain
// not to hold; what fails during a fault is not its business.
func TestWatchEndsThePhase(t *testing.T) {
	gate, err := gates.Parse("availability >= 99%")
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		fails func(time.Duration) bool
		ends  bool
	}{
		"while steady":   {func(at time.Duration) bool { return at >= 30*time.Second }, true},
		"during a fault": {func(at time.Duration) bool { return at >= 16*time.Second && at < 35*time.Second }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				phase := plan.Phase{
					Watch: &plan.Watch{FalseAlarms: 0.01}, Gates: []plan.Gate{{Gate: gate}},
					Tests:       []plan.Test{test("checkout", 0, 10*time.Minute)},
					Disruptions: []plan.Disruption{disruption("slow", 15*time.Second, 20*time.Second), disruption("late", 5*time.Minute, 20*time.Second)},
				}
				s := newStage(t, phase)
				began := time.Now()
				s.load.faulty = func(at time.Time) bool { return tc.fails(at.Sub(began)) }
				require.NoError(t, s.Run(t.Context(), "beta"))
				if !tc.ends {
					require.Equal(t, 10*time.Minute, time.Since(began))
					require.NotContains(t, s.record.told(), "abort")
					return
				}
				require.Less(t, time.Since(began), 5*time.Minute)
				abort := s.record.find(t, measure.EventAbort, "")
				require.Equal(t, "availability >= 99%", abort.Attrs["condition"])
				require.Equal(t, "0.01", abort.Attrs["watch"])
				require.Regexp(t, `^[\d,]+ of [\d,]+ failed; e-value`, abort.Attrs["detail"])
				v := gates.Judge([]gates.Gate{gate}, gates.Record{Phase: "beta", Events: s.record.events})
				require.Equal(t, gates.ExitSystem, v.ExitCode(), v.Reason)
			})
		})
	}
}

func TestASickSystemIsNotDisrupted(t *testing.T) {
	for name, tc := range map[string]struct {
		gate string
		skip string
	}{
		"a steady gate does not hold": {"availability >= 95%", `the system was sick already: "availability >= 95%" did not hold over the last 10 s: 80 % \((22 of 110|20 of 100) failed\)`},
		"no gate asks":                {"availability >= 70%", ""},
		"another period":              {"availability >= 95% during slow", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, err := gates.Parse(tc.gate)
				require.NoError(t, err)
				s := newStage(t, plan.Phase{
					Tests:       []plan.Test{test("checkout", 0, 40*time.Second)},
					Disruptions: []plan.Disruption{disruption("slow", 20*time.Second, time.Second)},
					Gates:       []plan.Gate{{Gate: g}},
				})
				s.load.failed = 2
				require.NoError(t, s.Run(t.Context(), "beta"))
				if tc.skip == "" {
					require.Contains(t, s.record.told(), "lifted slow")
					return
				}
				require.Regexp(t, tc.skip, s.record.find(t, measure.EventSkipped, "slow").Attrs["reason"])
			})
		})
	}
}

func TestADeadServiceIsASickness(t *testing.T) {
	h := newHealth(plan.Phase{})
	state := func(name, state string) {
		h.heard(measure.Batch{Events: []measure.Event{{Kind: measure.EventService, Name: name, Attrs: map[string]string{"state": state, "detail": "exit status 3"}}}})
	}
	state("web", "ready")
	state("db", "died")
	require.Equal(t, "the system was sick already: the service db died (exit status 3)", h.sick(time.Now()))
	state("db", "ready")
	require.Empty(t, h.sick(time.Now()))
}

func TestWhatAHookLeftIsLeftAloneAtAGoodEnd(t *testing.T) {
	s := newStage(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, time.Second)}, Before: "sleep 600 >/dev/null 2>&1 & echo $! > left", After: "kill $(cat left)"})
	path := s.guard(t, waits...)
	var left left
	s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) {
		return trafficFunc(func(context.Context) (err error) {
			left, err = readLeft(path)
			return err
		}), nil
	}
	require.NoError(t, s.Run(t.Context(), "beta"))
	require.Len(t, left.groups, 1, "a kill would have ended it")
	require.Equal(t, "beta-before", left.groups[0].Name)
	require.NoError(t, s.Guard.Close())
	require.NoFileExists(t, path)
}

func TestWhatIsWaivedIsNotWatched(t *testing.T) {
	watched := func(until time.Duration, others ...string) (*gates.Watch, error) {
		phase := plan.Phase{Watch: &plan.Watch{FalseAlarms: 0.01}}
		for _, text := range append(others, "availability >= 99%") {
			g, err := gates.Parse(text)
			require.NoError(t, err)
			phase.Gates = append(phase.Gates, plan.Gate{Gate: g})
		}
		phase.Gates[len(others)].Waiver = &gates.Waiver{Owner: "jane", Reason: "a migration", Expires: time.Now().Add(until)}
		return newWatch(phase)
	}
	w, err := watched(time.Hour)
	require.NoError(t, err)
	require.Nil(t, w, "nothing is left to watch")
	w, err = watched(time.Hour, "throughput >= 5/s")
	require.NoError(t, err)
	require.Nil(t, w, "nothing that can be")
	w, err = watched(time.Hour, "latency p95 <= 1s")
	require.NoError(t, err)
	require.NotNil(t, w)
	w, err = watched(-time.Hour)
	require.NoError(t, err)
	require.NotNil(t, w, "the waiver has expired")
}

func TestWhatIsNotCalibratedIsNotWatched(t *testing.T) {
	phase := plan.Phase{Watch: &plan.Watch{FalseAlarms: 0.01}}
	for _, text := range []string{"availability >= 99%", "errors <= 1%"} {
		g, err := gates.Parse(text)
		require.NoError(t, err)
		phase.Gates = append(phase.Gates, plan.Gate{Gate: g})
	}
	phase.Gates[0].Advisory = "no run has judged it"
	w, err := newWatch(phase)
	require.NoError(t, err)
	require.NotNil(t, w)
	require.Len(t, newHealth(phase).steady, 1, "nor does it keep disruptions from being injected")
	phase.Gates[1].Advisory = "nor that one"
	w, err = newWatch(phase)
	require.NoError(t, err)
	require.Nil(t, w, "nothing is left to watch")
}

func TestWhatIsWaivedTellsNoSickness(t *testing.T) {
	phase := plan.Phase{}
	g, err := gates.Parse("latency p95 <= 1ms")
	require.NoError(t, err)
	g.Waiver = &gates.Waiver{Owner: "jane", Reason: "a migration", Expires: time.Now().Add(time.Hour)}
	phase.Gates = []plan.Gate{{Gate: g}}
	require.Empty(t, newHealth(phase).steady, "it would keep every disruption from being injected")
	phase.Gates[0].Waiver.Expires = time.Now().Add(-time.Hour)
	require.Len(t, newHealth(phase).steady, 1)
}

// overheard is a recorder that is looked at before it keeps an event.
type overheard struct {
	*memory
	heard func(measure.Event)
}

func (l overheard) Append(batch measure.Batch) error {
	for _, e := range batch.Events {
		l.heard(e)
	}
	return l.memory.Append(batch)
}

// TestTheEndOfAFaultIsToldBeforeTheJournalForgetsIt: a process that dies between
// the two must leave a fault that is lifted twice, not one without an end.
func TestTheEndOfAFaultIsToldBeforeTheJournalForgetsIt(t *testing.T) {
	s := quickStage(t, &lasting{})
	path := s.guard(t, waits...)
	told := 0
	s.Recorder = overheard{s.record, func(e measure.Event) {
		if e.Kind != measure.EventLifted {
			return
		}
		told++
		seen, err := readLeft(path)
		require.NoError(t, err)
		require.Len(t, seen.faults, 1)
	}}
	require.NoError(t, errors.Join(s.Run(t.Context(), "beta"), s.Guard.Close()))
	require.Equal(t, 1, told)
}

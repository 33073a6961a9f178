package run

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// partial is a fault that fails half-way, and does not clean up.
type partial struct{ fault }

func (p *partial) Inject(_ context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	return nil, errors.Join(keep(json.RawMessage(`{"node":"a"}`)), errors.New("the node stays cordoned"))
}

func TestAnInjectionThatFailedIsUndone(t *testing.T) {
	for name, tc := range map[string]struct {
		undo error
		left bool
	}{"undone": {nil, false}, "it can not be": {errors.New("no answer"), true}} {
		t.Run(name, func(t *testing.T) {
			s := quickStage(t, &partial{})
			path := s.guard(t, waits...)
			undone := ""
			s.Adapters.Undo = func(_ context.Context, d plan.Disruption, undo json.RawMessage, site Site) error {
				undone = d.Name + " " + string(undo) + " " + site.Phase
				return tc.undo
			}
			err := errors.Join(s.Run(t.Context(), "beta"), s.Guard.Close())
			require.Equal(t, `slow {"node":"a"} beta`, undone)
			require.Equal(t, tc.left, errors.Is(err, ErrFaultLeft), err)
			if !tc.left {
				require.Equal(t, "could not be injected: the node stays cordoned", s.record.find(t, measure.EventSkipped, "slow").Attrs["reason"])
				require.NoFileExists(t, path)
				return
			}
			require.Contains(t, s.record.find(t, measure.EventLifted, "slow").Attrs["error"], "the node stays cordoned")
			left, err := readLeft(path)
			require.NoError(t, err)
			require.Len(t, left.faults, 1, "resilience lift finds it")
			require.Contains(t, left.failed[0].Error, "no answer")
		})
	}
}

// patient injects for as long as it may.
type patient struct {
	fault
	began, gaveUp time.Time
}

func (p *patient) Inject(ctx context.Context, _ func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	p.began = time.Now()
	<-ctx.Done()
	p.gaveUp = time.Now()
	return nil, ctx.Err()
}

func TestInjectingIsBounded(t *testing.T) {
	for name, tc := range map[string]struct{ lasts, want time.Duration }{"short": {time.Second, injecting}, "long": {3 * time.Minute, 3 * time.Minute}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, plan.Phase{
					Tests:       []plan.Test{test("checkout", 0, 20*time.Minute)},
					Disruptions: []plan.Disruption{disruption("slow", 0, tc.lasts)},
				})
				p := &patient{}
				s.Adapters.Disruption = func(plan.Disruption, Site) (Disruption, error) { return p, nil }
				require.NoError(t, s.Run(t.Context(), "beta"))
				require.Equal(t, tc.want, p.gaveUp.Sub(p.began))
				require.Contains(t, s.record.find(t, measure.EventSkipped, "slow").Attrs["reason"], "it was not in effect within "+tc.want.String())
			})
		})
	}
}

func TestAfterALiftingThatFailedNothingIsInjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := disruption("slow", 0, 2*time.Second)
		again.Repeat = &plan.Repeat{Times: 3, Every: plan.Duration(10 * time.Second)}
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, time.Minute)},
			Disruptions: []plan.Disruption{again, disruption("other", 20*time.Second, 2*time.Second), after("slow", "next", 0, time.Second)},
		})
		s.fault.liftErr = errors.New("no answer")
		began := time.Now()
		sick := ""
		s.load.faulty = func(at time.Time) bool {
			if at.Sub(began) == 55*time.Second {
				sick = s.health.Load().sick(at)
			}
			return true
		}
		require.ErrorIs(t, s.Run(t.Context(), "beta"), ErrFaultLeft)
		require.Equal(t, began, s.fault.injected, "just once")
		for _, name := range []string{"slow", "other", "next"} {
			require.Equal(t, "slow could not be lifted: nothing else is injected", s.record.find(t, measure.EventSkipped, name).Attrs["reason"])
		}
		require.Empty(t, sick, "what fails now is the fault's doing")
	})
}

func TestAPanicAfterAnInjectionLiftsIt(t *testing.T) {
	s := quickStage(t, &fault{})
	f := &fault{}
	s.Adapters.Disruption = func(plan.Disruption, Site) (Disruption, error) { return f, nil }
	s.Plan.Phases[0].Disruptions[0].Settle = nil // the plan's checks see to it
	err := s.Run(t.Context(), "beta")
	require.ErrorContains(t, err, "disruption slow: panic")
	require.NotErrorIs(t, err, ErrFaultLeft)
	require.False(t, f.lifted.IsZero())
	require.Contains(t, s.record.told(), "lifted slow")
}

func TestAPanicOfAScheduleEndsTheTests(t *testing.T) {
	s := newStage(t, plan.Phase{Disruptions: []plan.Disruption{disruption("slow", 0, time.Second)}})
	b, err := s.bind(s.Plan.Phases[0])
	require.NoError(t, err)
	ctx, stop := context.WithCancelCause(t.Context())
	b.stop = stop
	s.schedule(ctx, b, nil, nil, newHealth(b.phase)) // without a clock
	require.ErrorContains(t, context.Cause(ctx), "schedule of slow: panic")
}

// watchful looks at the journal while it is lifted.
type watchful struct {
	lasting
	path string
	seen left
}

func (w *watchful) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	lift, err := w.lasting.Inject(ctx, keep)
	return func(ctx context.Context) (touch measure.Touch, err error) {
		if w.seen, err = readLeft(w.path); err != nil {
			return touch, err
		}
		return lift(ctx)
	}, err
}

func TestTheWatchdogWaitsForALifting(t *testing.T) {
	w := &watchful{}
	s := quickStage(t, w)
	w.path = s.guard(t, waits...)
	require.NoError(t, errors.Join(s.Run(t.Context(), "beta"), s.Guard.Close()))
	require.Greater(t, time.Until(w.seen.faults[0].Deadline), liftPatience-20*time.Second)
}

func TestLiftingMayTakeLongerThanTheTests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{
			Tests:       []plan.Test{test("checkout", 0, 10*time.Second)},
			Disruptions: []plan.Disruption{disruption("slow", 8*time.Second, 2*time.Second)},
		})
		s.Adapters.Disruption = func(plan.Disruption, Site) (Disruption, error) { return &slowLift{takes: 20 * time.Second}, nil }
		require.NoError(t, s.Run(t.Context(), "beta"), "nobody waits for a pipeline")
	})
}

// secured is a proxy with an authority of its own.
type secured struct{ proxy }

func (s *secured) CA() string { return "/logs/ca.pem" }

func TestWhatUndoesSeesWhatInjectsSaw(t *testing.T) {
	l := &lasting{}
	s := quickStage(t, l)
	s.Plan.Alerts = &plan.Alerts{}
	s.Plan.Env = map[string]string{"TARGET_URL": "http://wrong", "KEY": "k"}
	s.Adapters.Dependency = func(context.Context, string, plan.Dependency, string, func(measure.Batch) error) (Dependency, error) {
		return &secured{}, nil
	}
	path := s.guard(t, waits...)
	var saw []string
	var seen left
	s.Adapters.Disruption = func(_ plan.Disruption, site Site) (Disruption, error) { saw = site.Env; return l, nil }
	l.during = func() { seen, _ = readLeft(path) }
	require.NoError(t, errors.Join(s.Run(t.Context(), "beta"), s.Guard.Close()))
	env := seen.faults[0].Env
	require.Equal(t, "http://127.0.0.1:1", env["TARGET_URL"])
	require.Equal(t, "/logs/ca.pem", env[plan.AuthorityVariable("payments")])
	require.Contains(t, env[alertsVariable], "/alerts")
	require.Subset(t, saw, listed(env))
	require.NotContains(t, saw, "TARGET_URL=http://wrong")
}

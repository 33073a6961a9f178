package telemetry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// followed is what a follower asked for, in seconds since it began.
type followed struct {
	from, to, at float64
}

// follow runs a follower for some time. The source does not answer while out
// says so.
func follow(t *testing.T, q plan.Query, after bool, length time.Duration, out func(since time.Duration) bool) (asked []followed, failures int, lost float64, took time.Duration) {
	t.Helper()
	begun := time.Now()
	since := func(ns int64) float64 { return time.Unix(0, ns).Sub(begun).Seconds() }
	f := newFollower(q, after)
	lost = -1
	f.warn = func(string) { failures++ }
	f.done = func(until int64, why error) {
		require.Equal(t, f.next, until)
		if why != nil {
			lost = since(until)
		}
	}
	f.ask = func(_ context.Context, s stretch) error {
		require.Equal(t, f.step, s.step)
		require.Zero(t, s.from%s.step)
		require.Zero(t, s.to%s.step)
		if out != nil && out(time.Since(begun)) {
			return errors.New("out of order")
		}
		asked = append(asked, followed{since(s.from), since(s.to), time.Since(begun).Seconds()})
		return nil
	}
	over := make(chan struct{})
	time.AfterFunc(length, func() { close(over) })
	f.run(t.Context(), over)
	return asked, failures, lost, time.Since(begun)
}

func everyFive(kind string) plan.Query {
	return plan.Query{Type: kind, Every: plan.Duration(5 * time.Second), Stale: plan.Duration(30 * time.Second), Delay: plan.Duration(2 * time.Second)}
}

// requireWhole wants every step once, in order, none before it has arrived.
func requireWhole(t *testing.T, asked []followed, after bool, delay float64) {
	t.Helper()
	require.NotEmpty(t, asked)
	for i, a := range asked {
		if i > 0 {
			require.Equal(t, asked[i-1].to, a.from)
		}
		newest := a.to - 5 // the moment of the last point
		if after {
			newest = a.to // the end of the last step
		}
		require.GreaterOrEqual(t, a.at, newest+delay, "%v", a)
	}
}

func TestEveryStepIsAskedForOnceItHasArrived(t *testing.T) {
	for _, after := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			asked, failures, lost, took := follow(t, everyFive(plan.Gauge), after, 32*time.Second, nil)
			requireWhole(t, asked, after, 2)
			require.Zero(t, failures)
			require.Equal(t, -1.0, lost)
			require.Equal(t, 34*time.Second, took, "the delay is waited for")
			last := asked[len(asked)-1].to
			require.Equal(t, map[bool]float64{false: 35, true: 30}[after], last, "what was there at second 32")
			require.Zero(t, asked[0].from)
			require.Greater(t, len(asked), 5, "as it goes on, not at the end")
		})
	}
}

func TestACounterIsAskedForWhatWasBeforeAndAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, _, _, took := follow(t, everyFive(plan.Counter), false, 12*time.Second, nil)
		require.Equal(t, -5.0, asked[0].from)
		require.Equal(t, 20.0, asked[len(asked)-1].to, "the value at second 15 tells of second 12")
		require.LessOrEqual(t, took, 19*time.Second)
		requireWhole(t, asked, false, 2)
	})
}

func TestAnOutageOfTheSourceLeavesNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		asked, failures, lost, _ := follow(t, everyFive(plan.Gauge), false, 300*time.Second, func(at time.Duration) bool {
			down := at > 20*time.Second && at < 200*time.Second
			if down {
				attempts++
			}
			return down
		})
		requireWhole(t, asked, false, 2)
		require.Equal(t, attempts, failures)
		require.Less(t, attempts, 15, "less and less often")
		require.Equal(t, 305.0, asked[len(asked)-1].to)
		require.Equal(t, -1.0, lost)
	})
}

func TestAfterALongOutageAnswersStayBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, _, _, _ := follow(t, everyFive(plan.Gauge), false, 4*time.Hour, func(at time.Duration) bool { return at < 3*time.Hour })
		requireWhole(t, asked, false, 2)
		for _, a := range asked {
			require.LessOrEqual(t, a.to-a.from, 5.0*maxSteps)
		}
	})
}

func TestASourceThatIsOutAtTheEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, _, lost, took := follow(t, everyFive(plan.Gauge), false, 60*time.Second, func(at time.Duration) bool { return at > 30*time.Second })
		require.Equal(t, asked[len(asked)-1].to, lost)
		require.Less(t, took, 73*time.Second)
	})
	synctest.Test(t, func(t *testing.T) {
		asked, _, lost, _ := follow(t, everyFive(plan.Gauge), false, 60*time.Second, func(at time.Duration) bool {
			return at > 30*time.Second && at < 66*time.Second
		})
		require.Equal(t, 65.0, asked[len(asked)-1].to, "it is waited for some seconds")
		require.Equal(t, -1.0, lost)
	})
}

func TestAQuestionThatNeverGotAnAnswerIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, lost, took := follow(t, everyFive(plan.Gauge), false, 60*time.Second, func(time.Duration) bool { return true })
		require.Zero(t, lost)
		require.Equal(t, 62*time.Second, took)
	})
}

func TestAnInterruptWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 11*time.Second)
		defer stop()
		f := newFollower(everyFive(plan.Gauge), false)
		f.ask = func(ctx context.Context, _ stretch) error { return ctx.Err() }
		begun := time.Now()
		f.run(ctx, make(chan struct{}))
		require.Equal(t, 11*time.Second, time.Since(begun))
	})
}

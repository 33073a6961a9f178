package run

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// extendable is a stage whose phase may be extended by up to half a minute: of
// what was recorded of it, gates decide.
func extendable(t *testing.T, phase plan.Phase, sentences ...string) *stage {
	t.Helper()
	phase.Extend = plan.Duration(30 * time.Second)
	s := newStage(t, phase)
	s.Extension = func(name string, most time.Duration) (time.Duration, string, error) {
		more, why := gates.Extension(parsed(t, sentences), s.record.of(name), most)
		return more, why, nil
	}
	return s
}

func parsed(t *testing.T, sentences []string) (list []gates.Gate) {
	t.Helper()
	for _, text := range sentences {
		g, err := gates.Parse(text)
		require.NoError(t, err)
		list = append(list, g)
	}
	return list
}

// of is the record of a phase, as the store has it.
func (m *memory) of(phase string) gates.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := gates.Record{Phase: phase, Events: append([]measure.Event(nil), m.events...)}
	var windows []measure.Window
	for _, b := range m.batches {
		windows = append(windows, b.Windows...)
	}
	r.Windows = func(yield func(measure.Window, error) bool) {
		for _, w := range windows {
			if !yield(w, nil) {
				return
			}
		}
	}
	return r
}

// part is traffic that says when it has ended, as engines do.
type part struct {
	load
	sent *[]plan.Stream // what was sent, in order
	fail error          // of a part that goes on
}

func (e part) Run(ctx context.Context, emit func(measure.Batch) error) error {
	*e.sent = append(*e.sent, e.stream)
	if e.fail != nil && e.stream.First > 0 {
		return e.fail
	}
	err := e.load.Run(ctx, emit)
	attrs := map[string]string{"complete": "true"}
	if ctx.Err() != nil {
		attrs = map[string]string{"complete": "false", "reason": "interrupted"}
	}
	return errors.Join(err, emit(measure.Batch{Events: []measure.Event{{
		Source: "load", At: time.Now().UnixNano(), Kind: measure.EventTestEnd, Test: e.stream.Test.Name, Arm: e.stream.Arm, Attrs: attrs,
	}}}))
}

// TestAPhaseIsExtendedOnce: ten requests a second for twenty seconds cannot
// confirm 99 %, for a little longer they can.
func TestAPhaseIsExtendedOnce(t *testing.T) {
	slow := []plan.Disruption{disruption("slow", 5*time.Second, 3*time.Second)}
	for name, c := range map[string]struct {
		gate        string
		failed      uint64
		disruptions []plan.Disruption
		lasts       time.Duration
		first       uint64
	}{
		"too few":               {"availability >= 99%", 0, nil, 20*time.Second + 13*time.Second + 4*time.Second, 221},
		"enough":                {"availability >= 95%", 0, nil, 22 * time.Second, 0},
		"far too few":           {"availability >= 99.9%", 0, nil, 22 * time.Second, 0},
		"a failure":             {"availability >= 99%", 5, nil, 22 * time.Second, 0},
		"without a disruption":  {"availability >= 98.9%", 0, slow, 20*time.Second + 15*time.Second + 4*time.Second, 221},
		"that of a disruption ": {"availability >= 99% during slow", 0, slow, 22 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := extendable(t, plan.Phase{Tests: []plan.Test{test("checkout", 2*time.Second, 20*time.Second)}, Disruptions: c.disruptions}, c.gate)
				s.load.failed, s.fault.touch = c.failed, measure.Touch{Matched: 10, Touched: 10}
				var sent []plan.Stream
				s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) {
					l := s.load
					l.stream = st
					return part{load: l, sent: &sent}, nil
				}
				began := time.Now()
				require.NoError(t, s.Run(t.Context(), "beta"))
				require.Equal(t, c.lasts, time.Since(began))
				require.Equal(t, c.first, sent[len(sent)-1].First)
				require.Equal(t, "2", s.record.find(t, measure.EventPhase, "beta").Attrs["looks"])
				if c.first == 0 {
					require.Len(t, sent, 1)
					require.NotContains(t, s.record.told(), measure.EventExtended)
					return
				}
				require.Len(t, sent, 2)
				require.Contains(t, s.record.find(t, measure.EventExtended, "").Attrs["reason"], "samples cannot confirm")
				verdict := gates.Judge(parsed(t, []string{c.gate}), s.record.of("beta"))
				require.Equal(t, gates.Pass, verdict.Outcome, verdict.Reason)
			})
		})
	}
}

// TestWhatEndsAnExtension: an interrupt, a condition of abort_if, and an engine
// that breaks end it as they end the tests before.
func TestWhatEndsAnExtension(t *testing.T) {
	broken := errors.New("the engine broke")
	for name, c := range map[string]struct {
		phase plan.Phase
		after time.Duration // until somebody interrupts; 0 for never
		fail  error
		lasts time.Duration
		want  error
	}{
		"an interrupt": {after: 25 * time.Second, lasts: 25 * time.Second, want: context.DeadlineExceeded},
		"an error":     {fail: broken, lasts: 20 * time.Second, want: broken},
		"an abort":     {phase: plan.Phase{AbortIf: []string{"errors > 50%"}}, lasts: 32 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.phase.Tests = []plan.Test{test("checkout", 0, 20*time.Second)}
				s := extendable(t, c.phase, "availability >= 99%")
				s.Conductor.Plan.Phases[0].Extend = plan.Duration(time.Minute)
				var sent []plan.Stream
				began := time.Now()
				s.load.faulty = func(at time.Time) bool { return c.phase.AbortIf != nil && at.Sub(began) >= 22*time.Second }
				s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) {
					l := s.load
					l.stream = st
					return part{load: l, sent: &sent, fail: c.fail}, nil
				}
				ctx := t.Context()
				if c.after > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.after)
					defer cancel()
				}
				err := s.Run(ctx, "beta")
				require.ErrorIs(t, err, c.want)
				require.LessOrEqual(t, time.Since(began), c.lasts)
				require.Len(t, sent, 2)
				verdict := gates.Judge(parsed(t, []string{"availability >= 99%"}), s.record.of("beta"))
				require.NotEqual(t, gates.Pass, verdict.Outcome)
			})
		})
	}
}

// TestNoPlanNoExtension: only a phase that says so is extended, and what decides
// may break.
func TestNoPlanNoExtension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, 20*time.Second)}})
		s.Extension = func(string, time.Duration) (time.Duration, string, error) { return time.Hour, "why not", nil }
		began := time.Now()
		require.NoError(t, s.Run(t.Context(), "beta"))
		require.Equal(t, 20*time.Second, time.Since(began))
		require.Empty(t, s.record.find(t, measure.EventPhase, "beta").Attrs["looks"])

		s = extendable(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, 20*time.Second)}})
		s.Extension = func(string, time.Duration) (time.Duration, string, error) { return time.Hour, "why not", nil }
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, s.Run(ctx, "beta"), context.DeadlineExceeded)
		require.NotContains(t, s.record.told(), measure.EventExtended, "an interrupted phase does not go on")

		s = extendable(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, 20*time.Second)}})
		s.Extension = func(string, time.Duration) (time.Duration, string, error) { return 0, "", errors.New("disk gone") }
		require.ErrorContains(t, s.Run(t.Context(), "beta"), "whether to extend the phase: disk gone")
	})
}

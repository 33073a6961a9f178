package gates

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// rollout plays the seconds of a phase to a watch.
type rollout struct {
	t      *testing.T
	w      *Watch
	random *rand.Rand
	at     int64
	alarms []Alarm
	raised int // the second in which the first alarm was
}

// arm is what one arm answers: how often it fails, and how long it takes.
type arm struct {
	fails float64
	ms    float64
}

func newRollout(t *testing.T, gates []string, baseline bool) *rollout {
	t.Helper()
	list := make([]Gate, len(gates))
	for i, text := range gates {
		var err error
		list[i], err = Parse(text)
		require.NoError(t, err)
	}
	w, err := NewWatch(list, "p", baseline, FalseAlarms)
	require.NoError(t, err)
	r := &rollout{t: t, w: w, random: rand.New(rand.NewPCG(1, 2)), at: epoch}
	r.event(measure.EventTest, "", map[string]string{"kind": "load", "warmup": "5s"}, measure.Candidate)
	r.event(measure.EventTest, "", map[string]string{"kind": "load", "warmup": "5s"}, measure.Baseline)
	return r
}

func (r *rollout) event(kind, name string, attrs map[string]string, arm string) {
	e := measure.Event{Source: "s", Seq: uint64(r.random.Uint32()), At: r.at, Kind: kind, Phase: "p", Name: name, Attrs: attrs}
	if kind == measure.EventTest {
		e.Test, e.Arm = "a", arm
	}
	r.w.Heard(measure.Batch{Events: []measure.Event{e}})
}

const perSecond = 20

// seconds sends twenty requests a second to each arm, until an alarm.
func (r *rollout) seconds(n int, candidate, baseline arm) {
	for i := range n {
		if r.alarms != nil {
			return
		}
		r.w.Heard(measure.Batch{Windows: []measure.Window{r.window(measure.Candidate, candidate), r.window(measure.Baseline, baseline)}})
		r.at += second
		if r.alarms = r.w.Second(); r.alarms != nil {
			r.raised = i + 1
		}
	}
}

func (r *rollout) window(name string, a arm) measure.Window {
	w := measure.Window{
		Source: "s", Series: measure.Series{Metric: measure.MetricRequest, Phase: "p", Test: "a", Arm: name, Step: "GET /", Status: "200"},
		Start: r.at, Width: second, Count: perSecond, Sketch: measure.NewSketch(),
	}
	for range perSecond {
		if r.random.Float64() < a.fails {
			w.Failed++
		}
		ms := a.ms * (0.5 + r.random.ExpFloat64())
		w.Sketch.Add(ms)
		w.Sum, w.Max = w.Sum+ms, max(w.Max, ms)
	}
	return w
}

func TestWatchFindsRegressions(t *testing.T) {
	well := arm{fails: 0.002, ms: 50}
	for name, test := range map[string]struct {
		gate   string
		worse  arm
		within int // seconds
		detail string
	}{
		"errors against the baseline":  {"errors <= baseline * 1.5", arm{0.05, 50}, 180, `of the candidate \d+ of [\d,]+ failed, of the baseline \d+ of [\d,]+, .* times as many; e-value`},
		"availability as the baseline": {"availability >= baseline", arm{0.05, 50}, 180, `of the candidate \d+ of [\d,]+ failed`},
		"errors against an objective":  {"errors <= 1%", arm{0.05, 50}, 180, `^\d+ of [\d,]+ failed; e-value \d+`},
		"availability":                 {"availability >= 99%", arm{0.05, 50}, 180, `^\d+ of [\d,]+ failed; e-value`},
		"latency of an objective":      {"latency p95 <= 200ms", arm{0.002, 80}, 200, `over 200 ms; e-value`},
		"latency of the baseline":      {"latency p95 <= baseline + 10%", arm{0.002, 80}, 200, `of the candidate \d+ of [\d,]+ over .*, the p(50|90|99) of before, of the baseline`},
		"the lesser of both":           {"latency p95 <= min(200ms, baseline + 10%)", arm{0.002, 80}, 200, `over 200 ms`},
		"the greater of both":          {"latency p95 <= max(200ms, baseline + 10%)", arm{0.002, 80}, 200, `over 200 ms`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRollout(t, []string{test.gate}, true)
			r.seconds(300, well, well)
			require.Empty(t, r.alarms, "both are well")
			r.seconds(600, test.worse, well)
			require.Len(t, r.alarms, 1)
			require.Equal(t, test.gate, r.alarms[0].Gate.Text)
			require.Regexp(t, test.detail, r.alarms[0].Detail)

			r = newRollout(t, []string{test.gate}, true)
			r.seconds(600, test.worse, well)
			require.Len(t, r.alarms, 1)
			require.LessOrEqual(t, r.raised, test.within, "worse from the beginning")
		})
	}
}

// What both arms suffer is no regression, but breaks an objective; of the
// greater of two objectives both must be missed.
func TestWatchOfWhatBothSuffer(t *testing.T) {
	bad := arm{0.05, 200}
	r := newRollout(t, []string{"errors <= baseline * 1.5", "latency p95 <= baseline + 10%", "latency p95 <= max(200ms, baseline + 10%)"}, true)
	r.seconds(600, bad, bad)
	require.Empty(t, r.alarms)
	r = newRollout(t, []string{"errors <= 1%"}, true)
	r.seconds(600, bad, bad)
	require.NotEmpty(t, r.alarms)
}

// Only what is steady is looked at: no warm-up, no disruption, no time to settle.
func TestWatchLooksAtWhatIsSteady(t *testing.T) {
	well, down := arm{0, 50}, arm{1, 50}
	r := newRollout(t, []string{"availability >= 99%"}, false)
	r.seconds(5, down, well)
	r.seconds(30, well, well)
	r.event(measure.EventDisruption, "d", map[string]string{"settle": "5s"}, "")
	r.seconds(20, down, well)
	r.event(measure.EventLifted, "d", map[string]string{"matched": "1", "touched": "1"}, "")
	r.seconds(5, down, well)
	require.Empty(t, r.alarms)
	r.seconds(60, well, well)
	require.Empty(t, r.alarms)
	r.seconds(300, down, well)
	require.NotEmpty(t, r.alarms)
}

// Once it is known that a test has transactions, its requests are no attempts,
// whatever comes in in a second.
func TestWatchRemembersWhatAttemptsAre(t *testing.T) {
	r := newRollout(t, []string{"availability >= 99%"}, false)
	transaction := measure.Window{
		Source: "s", Series: measure.Series{Metric: measure.MetricTransaction, Phase: "p", Test: "a", Arm: measure.Candidate, Transaction: "t"},
		Start: r.at + 6*second, Width: second, Count: 1, Sketch: measure.NewSketch(),
	}
	r.w.Heard(measure.Batch{Windows: []measure.Window{transaction}})
	r.at += 10 * second
	r.seconds(30, arm{1, 50}, arm{})
	require.Empty(t, r.alarms)
	r.event(measure.EventDisruption, "d", map[string]string{"settle": "0s"}, "")
	r.event(measure.EventLifted, "d", map[string]string{"matched": "1", "touched": "1"}, "")
	r.seconds(30, arm{1, 50}, arm{})
	require.Empty(t, r.alarms, "also after something happened")
}

func TestWhatCanNotBeWatched(t *testing.T) {
	for text, want := range map[string]string{
		"availability >= 99%":                   "",
		"availability >= 99% during d":          "only what is steady is watched",
		"availability >= 99% overall":           "only what is steady is watched",
		"availability >= 99% for each tenant":   "for each tenant is not watched",
		"throughput >= 10/s":                    "throughput is neither a share nor a latency",
		"latency mean <= 100ms":                 "of latencies only quantiles are watched",
		"latency p95 >= baseline":               "that something is slow enough is not watched",
		"errors == 0":                           "== is not watched",
		"availability >= 100%":                  "it allows none or all: abort_if can end the phase at the first",
		"availability >= baseline - 0.1pp":      "differences to the baseline are not watched, multiples are: errors <= baseline * 2, latency p95 <= baseline + 10%",
		"latency p95 <= max(1s, baseline + 1s)": "differences to the baseline are not watched, multiples are: errors <= baseline * 2, latency p95 <= baseline + 10%",
	} {
		g, err := Parse(text)
		require.NoError(t, err)
		_, reason := sequentialOf(g, true)
		require.Equal(t, want, reason, text)
	}
	g, err := Parse("errors <= baseline * 2")
	require.NoError(t, err)
	_, err = NewWatch([]Gate{g}, "p", false, FalseAlarms)
	require.EqualError(t, err, `none of the gates can be watched: "errors <= baseline * 2": the phase sends to no baseline: a record is compared with at the end`)
}

// What a watch found is a failed check whenever the record is judged.
func TestAWatchThatEndedThePhase(t *testing.T) {
	s := &sheet{}
	require.NoError(t, s.load("test a 0s 60s"))
	s.event(measure.EventAbort, "", "", epoch+40*second, map[string]string{"condition": "availability >= 99%", "detail": "70 of 200 failed; e-value 1e+09", "watch": "0.01"})
	g, err := Parse("availability >= 99%")
	require.NoError(t, err)
	v := Judge([]Gate{g}, s.record())
	require.Equal(t, Fail, v.Outcome)
	check := v.Checks[len(v.Checks)-1]
	require.Equal(t, "watch availability >= 99%", check.Text)
	require.Equal(t, "availability", check.SLI)
	require.Equal(t, ">= 99%", check.Objective)
	require.Contains(t, check.Reason, "certain not to hold")
}

// A healthy candidate is aborted as rarely as was promised, though each second
// is looked at, and tests begin anew.
func TestWatchRaisesFewFalseAlarms(t *testing.T) {
	const rollouts, seconds, allowed = 100, 400, 0.2
	list := []string{"errors <= baseline", "availability >= 98%", "latency p95 <= baseline"}
	gates := make([]Gate, len(list))
	for i, text := range list {
		gates[i], _ = Parse(text)
	}
	raised := 0
	for i := range rollouts {
		w, err := NewWatch(gates, "p", true, allowed)
		require.NoError(t, err)
		r := &rollout{t: t, w: w, random: rand.New(rand.NewPCG(uint64(i), 7)), at: epoch}
		r.event(measure.EventTest, "", map[string]string{"kind": "load"}, measure.Candidate)
		r.event(measure.EventTest, "", map[string]string{"kind": "load"}, measure.Baseline)
		r.seconds(seconds, arm{0.02, 50}, arm{0.02, 50}) // just as good as it may be
		if r.alarms != nil {
			raised++
		}
	}
	require.LessOrEqual(t, raised, int(allowed*rollouts))
	t.Logf("%d of %d", raised, rollouts)
}

package evidence

import (
	"math"
	"sync"

	"gonum.org/v1/gonum/stat/distuv"

	"resilience/internal/measure"
)

// levels are the nominal rates of false alarms that are simulated.
var levels = [...]float64{0.05, 0.01}

// alarms tells, for each level, whether a judge raises an alarm now.
type alarms [len(levels)]bool

func alarmsAt(p float64) (a alarms) {
	for i, level := range levels {
		a[i] = p <= level
	}
	return a
}

// judge watches a rollout: it sees every second, and is asked after each. The
// latencies of an episode come together with its last second: sketches add up,
// so that makes no difference but to the time it takes.
type judge interface {
	see(t int, s *second, sums [2]*measure.Sketch) alarms
}

// watchJudge is ours, while the phase runs, with the tests that begin later.
type watchJudge struct {
	shares    *Restarts[certainShares]
	latencies *Restarts[certainLatencies]
}

type (
	certainShares    struct{ *ShareWatch }
	certainLatencies struct {
		*LatencyWatch[*measure.Sketch]
	}
)

func (w certainShares) Certain(alpha float64) bool    { return w.Finding().Certain(alpha) }
func (w certainLatencies) Certain(alpha float64) bool { return w.Finding().Certain(alpha) }

func newWatchJudge() judge {
	return &watchJudge{
		shares:    NewRestarts(func() certainShares { return certainShares{NewShareWatch(1)} }),
		latencies: NewRestarts(func() certainLatencies { return certainLatencies{NewLatencyWatch(newSketch, 1)} }),
	}
}

func (w *watchJudge) see(t int, s *second, sums [2]*measure.Sketch) (a alarms) {
	if s.values[0] == nil {
		w.shares.Second(func(t certainShares) { t.Add(s.block()) })
	} else {
		w.latencies.Second(func(t certainLatencies) { t.Add(sums[0], sums[1]) })
	}
	if t%Episode != 0 {
		return a
	}
	for i, level := range levels {
		if s.values[0] == nil {
			_, a[i] = w.shares.Certain(level)
		} else {
			_, a[i] = w.latencies.Certain(level)
		}
	}
	return a
}

// bakeJudge is ours, at five looks that end with the bake.
type bakeJudge struct {
	seconds   int
	looks     int
	shares    *ShareBake
	latencies *LatencyBake[*measure.Sketch]
	promoted  [len(levels)]bool // it was non-inferior at a look
}

func newBakeJudge(seconds int) *bakeJudge {
	return &bakeJudge{
		seconds: seconds,
		shares:  NewShareBake(Margin{Ratio: 2}), latencies: NewLatencyBake(newSketch, Margin{Ratio: 1.1}),
	}
}

// bounds are those of five looks, for each level.
var bounds = sync.OnceValue(func() (all [len(levels)][]float64) {
	for i, level := range levels {
		all[i], _ = Boundary(level, equalLooks(5))
	}
	return all
})

func (b *bakeJudge) see(t int, s *second, sums [2]*measure.Sketch) (a alarms) {
	if s.values[0] == nil {
		b.shares.Add(s.block())
	} else {
		b.latencies.Add(sums[0], sums[1])
	}
	if t%(b.seconds/5) != 0 {
		return a
	}
	for i := range levels {
		bound := bounds()[i][b.looks]
		var d Decision
		if s.values[0] == nil {
			d = b.shares.Decide(bound)
		} else {
			d = b.latencies.Decide(bound)
		}
		a[i] = d.Worse
		b.promoted[i] = b.promoted[i] || d.Outcome == NonInferior
	}
	b.looks++
	return a
}

// minutely is what the rivals have in common: they look once a minute.
type minutely struct {
	minute, total Block
	recent, all   [2]*measure.Sketch
	ranked        [2]histogram
}

func (m *minutely) see(t int, s *second, sums [2]*measure.Sketch) (over bool) {
	if t%60 == 1 || m.recent[0] == nil {
		m.minute, m.recent = Block{}, [2]*measure.Sketch{newSketch(), newSketch()}
	}
	m.minute = m.minute.plus(s.block())
	m.total = m.total.plus(s.block())
	for arm, sum := range sums {
		m.recent[arm].Merge(sum)
	}
	return t%60 == 0
}

// fixedJudge knows one threshold: more than 1 % failed in the last minute, or
// the p99 of the last minute is more than 1.5 times the baseline's.
type fixedJudge struct{ minutely }

func (f *fixedJudge) see(t int, s *second, sums [2]*measure.Sketch) (a alarms) {
	if !f.minutely.see(t, s, sums) {
		return a
	}
	over := f.minute.Candidate.Share() > 0.01
	if s.values[0] != nil {
		c, _ := f.recent[0].Quantile(0.99)
		b, _ := f.recent[1].Quantile(0.99)
		over = c > 1.5*b
	}
	for i := range a {
		a[i] = over
	}
	return a
}

// binomialJudge tests each minute, on all that was seen, the share of failures,
// or of latencies over the baseline's p95.
type binomialJudge struct{ minutely }

func (j *binomialJudge) see(t int, s *second, sums [2]*measure.Sketch) (a alarms) {
	if !j.minutely.see(t, s, sums) {
		return a
	}
	total := j.total
	if s.values[0] != nil {
		for arm := range 2 {
			if j.all[arm] == nil {
				j.all[arm] = newSketch()
			}
			j.all[arm].Merge(j.recent[arm])
		}
		limit, _ := j.all[1].Quantile(0.95)
		total = over(j.all[0], j.all[1], limit, 1)
	}
	k, m := total.Candidate.Failed, total.Candidate.Failed+total.Baseline.Failed
	if m == 0 {
		return a
	}
	return alarmsAt(atLeast(k, m, float64(total.Candidate.N)/float64(total.Candidate.N+total.Baseline.N)))
}

// rankJudge is the test of Mann and Whitney each minute, on all requests seen.
type rankJudge struct{ minutely }

func (j *rankJudge) see(t int, s *second, sums [2]*measure.Sketch) (a alarms) {
	for arm, values := range s.values {
		for _, v := range values {
			j.ranked[arm].add(v)
		}
	}
	if !j.minutely.see(t, s, sums) {
		return a
	}
	if s.values[0] == nil {
		for arm, c := range []Counts{j.total.Candidate, j.total.Baseline} {
			j.ranked[arm] = histogram{n: float64(c.N)}
			j.ranked[arm].bins[0], j.ranked[arm].bins[1] = float64(c.N-c.Failed), float64(c.Failed)
		}
	}
	return alarmsAt(mannWhitney(&j.ranked[0], &j.ranked[1]))
}

// histogram counts logarithms of latencies, 2 % apart.
type histogram struct {
	bins [1024]float64
	n    float64
}

func (h *histogram) add(v float64) {
	h.bins[min(1023, max(0, int(v*50)))]++
	h.n++
}

// mannWhitney gives the one-sided p-value that x is greater than y, by the
// normal approximation with the correction for ties.
func mannWhitney(x, y *histogram) float64 {
	if x.n == 0 || y.n == 0 {
		return 1
	}
	below, u, ties := 0.0, 0.0, 0.0
	for i := range x.bins {
		u += x.bins[i] * (below + y.bins[i]/2)
		below += y.bins[i]
		both := x.bins[i] + y.bins[i]
		ties += both*both*both - both
	}
	n := x.n + y.n
	variance := x.n * y.n / 12 * (n + 1 - ties/(n*(n-1)))
	if !(variance > 0) {
		return 1
	}
	return distuv.UnitNormal.Survival((u - x.n*y.n/2 - 0.5) / math.Sqrt(variance))
}

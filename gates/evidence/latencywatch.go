package evidence

import (
	"fmt"
	"math"
)

// Values are latencies summed up in a mergeable sketch, such as the one of
// package measure; S is the sketch itself. Nil is an empty one.
type Values[S any] interface {
	Merge(S)
	Count() uint64
	CountAbove(limit float64) uint64
	Quantile(q float64) (value float64, ok bool)
}

// watched are the quantiles whose exceedance is watched: the middle, for all
// that got slower; the tail, for the few that got much slower.
var watched = [...]float64{0.5, 0.9, 0.99}

// LatencyWatch tests, as time goes by, whether the candidate is slower than the
// baseline, in the middle or at the tail. It may be asked after each second, and
// stopped at any.
//
// The limits that latencies are held against are quantiles of what both arms
// showed before, so an arm can not move the limit by which it is judged. How
// often each limit is exceeded is tested as in [ShareWatch], and the evidence is
// the average: whatever shape the latencies have, no more is assumed of them.
type LatencyWatch[S Values[S]] struct {
	fresh               func() S
	allowed             float64
	history             S // of both arms, before the current episode
	candidate, baseline S // of the current episode
	blocks              int
	parts               [len(watched)]exceedance
}

// exceedance is what is known about the limit at one quantile.
type exceedance struct {
	limit   float64
	total   Block
	expect  expectation
	null    float64 // the candidate's part to be expected of what is over the limit
	mixture mixture
}

// NewLatencyWatch watches for latencies that are more than allowed times those
// of the baseline. 1, and what is less or no number, stands for no slower at
// all. fresh makes an empty sketch.
func NewLatencyWatch[S Values[S]](fresh func() S, allowed float64) *LatencyWatch[S] {
	return &LatencyWatch[S]{
		fresh: fresh, allowed: atLeastOne(allowed),
		history: fresh(), candidate: fresh(), baseline: fresh(),
	}
}

// Add adds the latencies of the next second.
func (w *LatencyWatch[S]) Add(candidate, baseline S) {
	w.candidate.Merge(candidate)
	w.baseline.Merge(baseline)
	if w.blocks++; w.blocks < Episode {
		return
	}
	w.compare()
	w.history.Merge(w.candidate)
	w.history.Merge(w.baseline)
	w.candidate, w.baseline, w.blocks = w.fresh(), w.fresh(), 0
}

func (w *LatencyWatch[S]) compare() {
	for i, q := range watched {
		limit, ok := w.history.Quantile(q)
		if !ok || !(math.Abs(limit) < math.MaxFloat64) {
			continue
		}
		w.parts[i].add(limit, over(w.candidate, w.baseline, limit, roundedUp(w.allowed)))
	}
}

// roundedUp gives the factor that is at least as great as the one allowed after
// the limits of both arms were rounded, as a sketch does, by up to 1 %. Without
// it, the lower of two buckets would make 8.2 % of "10 % is allowed", and with
// much traffic 9 % would be found. No factor at all is exact: both limits are the
// same then.
func roundedUp(allowed float64) float64 {
	if allowed > 1 {
		return allowed * 1.01 / 0.99
	}
	return allowed
}

// over counts what takes longer than a limit; the candidate may take allowed
// times as long.
func over[S Values[S]](candidate, baseline S, limit, allowed float64) Block {
	return Block{
		Candidate: Counts{N: candidate.Count(), Failed: candidate.CountAbove(limit * allowed)},
		Baseline:  Counts{N: baseline.Count(), Failed: baseline.CountAbove(limit)},
	}.sane()
}

func (e *exceedance) add(limit float64, b Block) {
	e.limit = limit
	e.total = e.total.plus(b)
	e.expect.add(b)
	score := b.score(1)
	e.null += float64(b.Candidate.Failed) - score.score
	e.mixture.unit = unitOf(e.total.Candidate.Failed, e.total.failed(), e.null)
	e.mixture.add(b.ratios(1), score)
}

// LatencyFinding is what a [LatencyWatch] has found up to now.
type LatencyFinding struct {
	// Log is the natural logarithm of the e-value of all quantiles together.
	Log float64
	// Exceeded are the findings about each quantile.
	Exceeded [len(watched)]Exceeded
}

// Exceeded is a finding about one quantile: of Seen, Failed took longer than
// the limit, which may have moved while it was watched.
type Exceeded struct {
	Quantile float64 // from 0 to 1
	Limit    float64 // the last one, in the unit of the latencies; 0 before there is one
	Finding
}

// Finding gives what was found up to now.
func (w *LatencyWatch[S]) Finding() LatencyFinding {
	var f LatencyFinding
	var terms [len(watched)]float64
	for i := range w.parts {
		p := &w.parts[i]
		log, inflation := p.mixture.log()
		terms[i] = log
		f.Exceeded[i] = Exceeded{
			Quantile: watched[i], Limit: p.limit,
			Finding: Finding{Log: log, Seen: p.total, Ratio: p.expect.ratio(), Inflation: inflation},
		}
	}
	f.Log = logSum(terms[:]) - math.Log(float64(len(watched)))
	return f
}

// Value is the e-value, see [Finding.Value].
func (f LatencyFinding) Value() float64 { return math.Exp(f.Log) }

// Certain reports whether the candidate is slower, see [Finding.Certain].
func (f LatencyFinding) Certain(alpha float64) bool { return Finding{Log: f.Log}.Certain(alpha) }

// Strongest is the finding that speaks loudest against the candidate.
func (f LatencyFinding) Strongest() Exceeded {
	most := f.Exceeded[0]
	for _, e := range f.Exceeded[1:] {
		if e.Log > most.Log {
			most = e
		}
	}
	return most
}

// String tells the strongest finding in numbers.
func (f LatencyFinding) String() string {
	e := f.Strongest()
	return fmt.Sprintf("over the p%v of before, %.4g: %v; all quantiles together %.3g",
		math.Round(e.Quantile*1e6)/1e4, e.Limit, e.Finding, f.Value())
}

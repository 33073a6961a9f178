package gates

import (
	"cmp"
	"fmt"
	"math"

	"resilience/gates/evidence"
)

// estimate is an SLI's value in one period with what it rests on.
type estimate struct {
	row     SLI
	stat    Stat
	reading reading
	n, hits uint64  // samples; for a share, those in its numerator
	value   float64 // NaN when there is none, +Inf when it falls among the dropped
	batches evidence.Batches
	none    string  // why there is no value
	sure    float64 // confidence with which a pass is shown, where it has to be
}

// newEstimate computes an SLI from what was read.
func newEstimate(row SLI, stat Stat, r reading) estimate {
	e := estimate{row: row, stat: stat, reading: r, n: r.count, value: math.NaN()}
	if r.count == 0 && r.below.count == 0 {
		return e
	}
	switch row.kind {
	case shareKind:
		if e.hits = row.bad(r.counts); row.Better == ">=" {
			e.hits = r.count - e.hits
		}
		e.value = float64(e.hits) / float64(e.n)
	case quantileKind, gaugeKind:
		e.distribution()
	case rateKind:
		e.rate()
	case ratioKind:
		e.n = r.below.count
		if e.n > 0 && r.matched {
			e.value = float64(r.count) / float64(e.n)
		}
	case countKind:
		if e.value = r.sum; row.counted() {
			e.value = float64(row.bad(r.counts))
		}
	}
	return e
}

func (e *estimate) distribution() {
	r := e.reading
	switch e.stat.Kind {
	case "quantile":
		e.value = e.quantile(e.rank(e.stat.Quantile))
	case "max":
		if e.value = r.max; r.dropped > 0 {
			e.value = math.Inf(1)
		} else if !r.seen {
			e.value = math.NaN()
		}
	default: // mean
		if r.valued == 0 {
			return
		}
		e.value = r.sum / float64(r.valued)
		for _, at := range sortedTicks(r.seconds) {
			if t := r.seconds[at]; t.valued > 0 {
				e.batches.Add(t.sum / float64(t.valued))
			}
		}
	}
}

// known tells how many samples have a value or, dropped, one beyond any limit.
func (e *estimate) known() uint64 { return e.reading.valued + e.reading.dropped }

// rank is the nearest rank of a quantile among the known samples.
func (e *estimate) rank(q float64) uint64 {
	n := e.known()
	return min(n, max(1, uint64(math.Ceil(q*float64(n)-1e-9))))
}

// quantile gives the value at a rank: infinite among the dropped.
func (e *estimate) quantile(rank uint64) float64 {
	switch {
	case e.known() == 0:
		return math.NaN()
	case rank == 0:
		return math.Inf(-1)
	case rank > e.reading.valued:
		return math.Inf(1)
	}
	v, _ := e.reading.sketch.Quantile((float64(rank) - 0.5) / float64(e.reading.valued))
	if most := e.reading.max; v > most && v <= most*(1+sketchError) {
		return most // the sketch rounds, the maximum does not
	}
	return v
}

// hidden tells how many samples may be greater than what is known of them:
// the unfinished waited at least so long, and some have no value at all.
func (e *estimate) hidden() uint64 {
	r := e.reading
	lost := r.count - min(r.count, e.known())
	return r.unfinished + lost
}

// rate computes what happened per second while the tests ran.
func (e *estimate) rate() {
	e.reading.doubt = cmp.Or(e.reading.doubt, e.reading.silent)
	seconds, sum := e.reading.perSecond(e.row.amount, e.batches.Add)
	if seconds == 0 {
		e.none = "no whole second of the period in which a test ran"
		return
	}
	e.batches.AddZeros(seconds - min(seconds, e.batches.Count()))
	e.value = sum / float64(seconds)
}

// interval gives the two-sided interval of the value.
func (e *estimate) interval(confidence float64) evidence.Interval {
	switch {
	case math.IsNaN(e.value):
		return evidence.Interval{Low: math.Inf(-1), High: math.Inf(1)}
	case e.row.kind == shareKind:
		return evidence.Share(e.hits, e.n, confidence)
	case e.row.kind == ratioKind:
		return evidence.Ratio(e.reading.count, e.reading.below.count, confidence)
	case e.stat.Kind == "quantile":
		low, high := evidence.QuantileRanks(e.known(), e.stat.Quantile, confidence)
		return evidence.Interval{Low: e.quantile(low), High: e.quantile(high)}
	case e.row.kind == rateKind, e.isMean():
		i := e.batches.Interval(e.value, (1+confidence)/2)
		if e.row.Better != "" {
			i.Low = max(i.Low, 0)
		}
		return i
	}
	return evidence.Interval{Low: e.value, High: e.value}
}

func (e *estimate) isMean() bool {
	return (e.row.kind == quantileKind || e.row.kind == gaugeKind) && (e.stat.Kind == "mean" || e.stat.Kind == "")
}

// breaks counts the samples on the wrong side of the limit, and gives the
// share of them that the objective allows. Only shares and quantiles have it.
func (e *estimate) breaks(op Op, limit float64) (k, n uint64, allowed float64) {
	allowed = allowedShare(e.row.kind, e.stat, op, limit)
	r := e.reading
	over := above(r.sketch, r.max, edge(op, limit))
	switch {
	case e.row.kind == shareKind && atMost(op):
		return e.hits, e.n, allowed
	case e.row.kind == shareKind:
		return e.n - e.hits, e.n, allowed
	case atMost(op):
		return over + r.dropped, e.known(), allowed
	}
	return r.valued - min(over, r.valued), e.known(), allowed
}

func atMost(op Op) bool { return op == "<=" || op == "<" }

// edge is the greatest value on the lower side of a limit.
func edge(op Op, limit float64) float64 {
	if op == "<" || op == ">=" {
		return math.Nextafter(limit, math.Inf(-1))
	}
	return limit
}

// allowedShare is how many of all samples may be on the wrong side of a share
// or a quantile.
func allowedShare(k kind, stat Stat, op Op, limit float64) float64 {
	switch {
	case k == shareKind && atMost(op):
		return limit
	case k == shareKind:
		return 1 - limit
	case atMost(op):
		return 1 - stat.Quantile
	}
	return stat.Quantile
}

// sides are the comparisons that a gate consists of, and the confidence that
// each takes: equality can fail on two sides, but at the end of a scale on one.
func (e *estimate) sides(op Op, limit, split float64) ([]Op, float64) {
	scale := e.row.kind == shareKind || e.row.counted()
	switch {
	case op != "==":
		return []Op{op}, split
	case scale && limit == 0:
		return []Op{"<="}, split
	case e.row.kind == shareKind && limit == 1:
		return []Op{">="}, split
	}
	return []Op{">=", "<="}, (1 + split) / 2
}

func (e *estimate) binomial() bool { return e.row.kind == shareKind || e.stat.Kind == "quantile" }

// excludes reports whether the interval leaves no room for the objective.
func (e *estimate) excludes(op Op, limit, confidence float64) bool {
	if e.binomial() {
		k, n, allowed := e.breaks(op, limit)
		return evidence.Excludes(k, n, allowed, confidence)
	}
	i := e.interval(2*confidence - 1)
	if atMost(op) {
		return i.Low > limit || op == "<" && i.Low == limit && i.High == limit
	}
	return i.High < limit || op == ">" && i.Low == limit && i.High == limit
}

// assures reports whether the whole interval meets the objective.
func (e *estimate) assures(op Op, limit, confidence float64) bool {
	if e.binomial() {
		k, n, allowed := e.breaks(op, limit)
		return n > 0 && evidence.ShareHigh(k, n, confidence) <= allowed
	}
	i := e.interval(2*confidence - 1)
	return meets(i.Low, op, limit) && meets(i.High, op, limit)
}

// mayBreak reports whether what is not known of samples could break an
// objective that the estimate meets.
func (e *estimate) mayBreak(op Op, limit float64) bool {
	if e.row.kind != quantileKind || !atMost(op) || e.hidden() == 0 {
		return false
	}
	if e.stat.Kind != "quantile" {
		return true
	}
	k, n, allowed := e.breaks(op, limit)
	r := e.reading
	n = max(n, r.count)
	below := r.waiting.Count() - above(r.waiting, r.max, edge(op, limit)) // those above are in k already
	hidden := e.hidden() - r.unfinished + min(r.unfinished, below)
	return float64(min(n, k+hidden)) > allowed*float64(n)+1e-9
}

const (
	// enoughForMean is how many samples a mean or a ratio wants before its
	// interval means much.
	enoughForMean = 30
	// enoughSeconds is how many whole seconds a rate wants.
	enoughSeconds = 5
	// enoughLooks is how many answers of a query its mean wants: what matters
	// more is that none is missing for long, see blind.
	enoughLooks = 5
	// enoughForAll is the share that a promise about every single sample has to
	// show: no number of samples shows 100 %.
	enoughForAll = 0.99
)

// wanted is the number of samples that could show the objective, or what the
// gate says instead.
func (e *estimate) wanted(g Gate, limit float64) uint64 {
	if g.MinSamples > 0 {
		return g.MinSamples
	}
	return neededFor(e.row, e.stat, g.Op, limit, g.confidence())
}

// tooFew says how many samples there are and how many it takes, "" when there
// are enough.
func (e *estimate) tooFew(wanted uint64) (have, want string) {
	if seconds := e.batches.Count(); e.row.kind == rateKind && seconds < enoughSeconds {
		return countText(seconds) + " whole seconds", countText(enoughSeconds)
	}
	if e.n < max(wanted, 1) {
		return samplesText(e.n), countText(wanted)
	}
	return "", ""
}

// lacks gives how many seconds it takes, as it went up to now, until there are
// as many samples as are wanted; 0 when nobody knows.
func (e *estimate) lacks(wanted uint64) float64 {
	var ran float64
	for _, s := range e.reading.running {
		ran += float64(s.to-s.from) / 1e9
	}
	if e.row.kind == rateKind {
		return float64(enoughSeconds - min(enoughSeconds, e.batches.Count()))
	}
	if e.n == 0 || !(ran > 0) || wanted <= e.n {
		return 0
	}
	return float64(wanted-e.n) * ran / float64(e.n)
}

func neededFor(row SLI, stat Stat, op Op, limit, confidence float64) uint64 {
	if op == "==" {
		return max(neededFor(row, stat, "<=", limit, confidence), neededFor(row, stat, ">=", limit, confidence))
	}
	share := 1.0
	switch {
	case row.kind == shareKind, stat.Kind == "quantile":
		share = 1 - allowedShare(row.kind, stat, op, limit)
	case row.counted(), row.kind == quantileKind && stat.Kind == "max":
	case row.kind == countKind, row.stale > 0 && (stat.Kind == "max" || row.kind == rateKind):
		return 1
	case row.stale > 0:
		return enoughLooks
	default:
		return enoughForMean
	}
	n, ok := evidence.SamplesFor(share, confidence)
	if !ok {
		n, _ = evidence.SamplesFor(enoughForAll, confidence)
	}
	return n
}

func meets(value float64, op Op, limit float64) bool {
	switch op {
	case "<=":
		return value <= limit
	case ">=":
		return value >= limit
	case "<":
		return value < limit
	case ">":
		return value > limit
	}
	return value == limit
}

// describe writes the evidence: counts, interval, and what would have failed.
// The limit is the one that a failure has to be beyond.
func (e *estimate) describe(op Op, limit, confidence, split float64) string {
	i := e.interval(confidence)
	unit := e.row.Unit
	within := fmt.Sprintf("%s interval %s", confidenceText(confidence), rangeText(i.Low, i.High, unit))
	switch {
	case e.binomial():
		return e.describeCounts(op, limit, within, split)
	case e.row.kind == ratioKind:
		return fmt.Sprintf("%s seen for %s made; %s", countText(e.reading.count), countText(e.n), within)
	case e.row.kind == rateKind:
		return fmt.Sprintf("%s whole seconds; %s", countText(e.batches.Count()), within)
	case e.isMean():
		return fmt.Sprintf("%s samples in %s seconds; %s", countText(e.n), countText(e.batches.Count()), within)
	}
	return fmt.Sprintf("%s samples", countText(e.n))
}

func (e *estimate) describeCounts(op Op, limit float64, within string, split float64) string {
	k, n, allowed := e.breaks(op, limit)
	noun := e.row.noun
	if e.row.kind != shareKind {
		if noun = "over "; !atMost(op) {
			noun = "under "
		}
		noun += unitText(limit, e.row.Unit)
	} else if noun == "" || e.row.Better[0] != op[0] {
		noun = "were against it"
	}
	text := fmt.Sprintf("%s of %s %s; %s", countText(k), countText(n), noun, within)
	if at, ok := evidence.FailsAt(n, allowed, split); ok {
		return fmt.Sprintf("%s; fails at %s", text, countText(at))
	}
	return text + "; so few can not fail it"
}

package gates

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"resilience/gates/evidence"
	"resilience/internal/measure"
)

// Where both arms of a phase ran at the same time, what is steady is compared
// ten seconds by ten seconds: what slowed or broke both in the same ten seconds
// is no difference between them. A gate with a margin ("latency p95 <= baseline
// + 10%") passes only when it is shown that the candidate is not worse by more
// (non-inferiority: see [evidence.ShareBake]). All gates of a phase must pass, so
// each may err with the whole allowed error (an intersection-union test: Berger,
// Technometrics 24, 1982). It fails when the intervals of both arms exclude it, as
// with any other gate, and the comparison does too: intervals take requests to be
// independent, and bursts that hit one of two equal arms by chance would fail one
// phase in three. Between the two it is inconclusive.

// comparesArms reports whether a job is one of a share or of a quantile of
// latencies over what is steady, beside a baseline arm.
func (j *judge) comparesArms(c *job) bool {
	g, row := c.gate, c.row
	steady := steadyKind(g) || g.Period.Kind == Overall
	known := row.kind == shareKind || row.kind == quantileKind && g.Stat.Kind == "quantile"
	return steady && known && usesBaseline(g.Value) && g.Op[0] == row.Better[0] && j.now.timeline.runsArm(measure.Baseline)
}

// armsJob is one job in both arms.
type armsJob struct {
	job                 *job
	candidate, baseline *estimate
	episodes            []both // by time
	confidence          float64
}

// both is what both arms showed in the same ten seconds.
type both struct {
	counts              evidence.Block
	candidate, baseline *measure.Sketch
}

// episodeOf is the beginning of the ten seconds that a time is in.
func episodeOf(at int64) int64 {
	const width = evidence.Episode * second
	return at - (at%width+width)%width
}

// compareArms looks at a gate that was judged by the values of both arms again,
// now by their difference, and takes back a pass that is not shown, and a failure
// that may be chance.
func (j *judge) compareArms(c *job, each string, e *estimate, split float64, check *Check) {
	before := newEstimate(c.row, c.gate.Stat, j.now.reading(j.now.ask(c.gate.SLI, c.gate, c.inst, measure.Baseline, c.wants()), each))
	a := &armsJob{job: c, candidate: e, baseline: &before, confidence: j.sure(c.gate)}
	a.episodes = episodesOf(c.row, e.reading, before.reading)
	before.sickness(check)
	found := j.against(a, c.gate.Value, each)
	check.Warnings = append(check.Warnings, found.warnings...)
	if found.text != "" {
		check.Evidence += "; " + found.text
	}
	if check.Outcome == Pass && !found.holds {
		check.doubt(Evidence, "%s", found.reason)
		check.lacks = math.Inf(1)
		if found.lacks > 0 {
			check.lacks = found.lacks
		}
	}
	if check.Outcome == Fail && !e.allRefused() && !j.beyond(a, c.gate.Value, each, split) {
		check.doubt(Evidence, "%s was %s, not %s, but the arms vary so much from ten seconds to the next that it may be chance",
			c.gate.Subject(), check.Observed, check.Objective)
		check.lacks = math.Inf(1)
	}
}

// fewEpisodes, a minute, are too few to tell how much the arms vary from one to the
// next: with them not even a tail fifteen times slower would be told from chance.
const fewEpisodes = 6

// beyond reports whether the candidate is worse than a value or its parts allow,
// even though requests that come together may depend on each other. What the
// comparison can not tell the intervals have decided.
func (j *judge) beyond(a *armsJob, v Value, each string, split float64) bool {
	switch v.Kind {
	case "max", "min":
		x, y := j.beyond(a, v.Args[0], each, split), j.beyond(a, v.Args[1], each, split)
		if (v.Kind == "max") == atMost(a.job.gate.Op) {
			return x && y
		}
		return x || y
	case "baseline":
	default:
		b := j.bound(v, a.job, each, fromHalf(split))
		return b.missing == "" && a.candidate.excludes(a.job.gate.Op, b.lenient(a.job.gate.Op), split)
	}
	margin, ok := a.margin(v, true)
	if len(a.episodes) <= fewEpisodes || !ok && v.Change != "" { // or it has to be better than the baseline
		return true
	}
	return a.bake(margin, oneLook(1-split)).Beyond
}

// sickness warns of a baseline that fails so often that it is no measure: a
// candidate that is broken as well is not worse.
func (e *estimate) sickness(check *Check) {
	if r := e.reading; (e.row.from == fromAttempts || e.row.from == fromRequests) && r.failed*sick > r.count {
		check.warn("of the baseline %s of %s failed themselves: not to be worse than that shows little; a gate without a baseline, such as availability >= 99%%, would", countText(r.failed), countText(r.count))
	}
}

// sick is from one failure in how many on nobody should go by what was measured.
const sick = 20

// episodesOf puts the same ten seconds of both arms together.
func episodesOf(row SLI, candidate, baseline reading) []both {
	all := map[int64]*both{}
	at := func(t int64) *both {
		if all[t] == nil {
			all[t] = &both{candidate: measure.NewSketch(), baseline: measure.NewSketch()}
		}
		return all[t]
	}
	add := func(r reading, counts func(*both) *evidence.Counts, values func(*both) *measure.Sketch) {
		for t, one := range r.seconds {
			b := at(episodeOf(t))
			if row.kind == shareKind {
				counts(b).N += one.count
				counts(b).Failed += row.bad(one.counts)
			}
			values(b).Merge(unboundedly(one.dropped))
		}
		for t, s := range r.episodes {
			values(at(t)).Merge(s)
		}
	}
	add(candidate, func(b *both) *evidence.Counts { return &b.counts.Candidate }, func(b *both) *measure.Sketch { return b.candidate })
	add(baseline, func(b *both) *evidence.Counts { return &b.counts.Baseline }, func(b *both) *measure.Sketch { return b.baseline })
	list := make([]both, 0, len(all))
	for _, t := range slices.Sorted(maps.Keys(all)) {
		list = append(list, *all[t])
	}
	return list
}

// unboundedly gives the values of so many arrivals that could not start: each
// took longer than any limit.
func unboundedly(n uint64) *measure.Sketch {
	all, power := measure.NewSketch(), measure.NewSketch(math.Inf(1))
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			all.Merge(power)
		}
		power.Merge(power.Clone())
	}
	return all
}

// compared is what a comparison with one part of an objective found.
type compared struct {
	holds    bool
	text     string // evidence, in numbers
	reason   string // why it does not hold
	warnings []string
	lacks    float64 // seconds of more traffic that could show it; 0 when nobody knows
}

// against compares with a value or its parts.
func (j *judge) against(a *armsJob, v Value, each string) compared {
	switch v.Kind {
	case "max", "min":
		x, y := j.against(a, v.Args[0], each), j.against(a, v.Args[1], each)
		return together(x, y, (v.Kind == "max") == atMost(a.job.gate.Op))
	case "baseline":
		if margin, ok := a.margin(v, false); ok {
			return a.decide(v, margin)
		}
		found := a.plain(j.bound(v, a.job, each, a.confidence))
		if found.holds {
			found.warnings = []string{"that it is not worse than the baseline can not be shown, only that it is not worse by more than something: give a margin, such as " + example(a.job.row)}
		}
		return found
	}
	return a.plain(j.bound(v, a.job, each, a.confidence))
}

// together joins the answers of two parts, of which the more lenient counts, or
// the stricter one.
func together(x, y compared, lenient bool) compared {
	if x.holds != y.holds && x.holds != lenient {
		x, y = y, x // x decides
	}
	if x.holds == y.holds {
		x.warnings = append(x.warnings, y.warnings...)
		x.reason += "; and " + y.reason
		x.lacks = max(x.lacks, y.lacks)
	}
	x.text = cmp.Or(x.text, y.text)
	return x
}

// plain answers by the values alone, for what has no margin.
func (a *armsJob) plain(b bound) compared {
	e, op := a.candidate, a.job.gate.Op
	if b.missing != "" {
		return compared{reason: b.missing}
	}
	return compared{
		holds:  meets(e.value, op, b.value),
		reason: fmt.Sprintf("%s was %s, not %s %s", a.job.gate.Subject(), unitText(e.value, e.row.Unit), op, unitText(b.value, e.row.Unit)),
	}
}

func example(row SLI) string {
	switch {
	case row.kind == quantileKind:
		return "baseline + 10%"
	case atMost(row.Better):
		return "baseline + 0.1pp or baseline * 1.5"
	}
	return "baseline - 0.1pp"
}

// margin is by how much a gate lets the candidate be worse; ok is false when by
// nothing. Where it depends on the baseline, its interval gives the strictest, or
// the most lenient.
func (a *armsJob) margin(v Value, lenient bool) (m evidence.Margin, ok bool) {
	within := a.baseline.interval(a.confidence)
	if lenient {
		within.Low, within.High = within.High, within.Low
	}
	relative := v.Number // times the baseline, more or less
	if v.Change == "*" {
		relative = math.Abs(v.Number - 1)
	}
	worse := v.Change == "+" || v.Change == "*" && v.Number > 1
	if !atMost(a.job.gate.Op) {
		worse = v.Change == "-" || v.Change == "*" && v.Number < 1
	}
	absolute := v.Change != "*" && v.Unit != "%"
	switch {
	case !worse || !(relative > 0):
		return m, false
	case a.job.row.kind == quantileKind && absolute:
		m.Ratio = 1 + v.Number/within.High
	case a.job.row.kind == shareKind && absolute:
		m.Difference = v.Number
	case a.job.row.kind == shareKind && !atMost(a.job.gate.Op):
		m.Difference = relative * within.Low
	default:
		m.Ratio = 1 + relative
	}
	return m, m.Ratio > 1 || m.Difference > 0
}

// decide shows that the candidate is not worse than the margin allows, or says
// why that is not shown.
func (a *armsJob) decide(v Value, margin evidence.Margin) compared {
	bound := oneLook(1 - a.confidence)
	d := a.bake(margin, bound)
	found := compared{holds: d.Outcome == evidence.NonInferior, text: a.atMostText(margin, bound)}
	switch {
	case found.holds:
	case a.cleanSlate(margin):
		found.holds = true
		found.warnings = []string{fmt.Sprintf(
			"of the candidate none of %s %s: that a multiple of so few is kept can not be shown; points can, such as baseline + 0.1pp", countText(a.candidate.n), a.noun())}
	default:
		found.reason = fmt.Sprintf("that %s is kept is not shown: %s", v, found.text)
		var in float64
		if found.lacks, in = a.lacks(margin, d); in > 0 {
			found.reason += fmt.Sprintf("; if both arms are alike, about %s of such traffic can show it", aboutText(in))
		}
	}
	return found
}

// oneLook is the bound of a decision that is made once, with the whole error.
func oneLook(alpha float64) float64 {
	bounds, err := evidence.Boundary(alpha, []float64{1})
	if err != nil { // a confidence of 100 %: nothing is as certain
		return math.Inf(1)
	}
	return bounds[0]
}

// cleanSlate reports whether a multiple is asked for and no attempt of the
// candidate was against it.
func (a *armsJob) cleanSlate(margin evidence.Margin) bool {
	return a.job.row.kind == shareKind && margin.Difference == 0 && a.job.row.bad(a.candidate.reading.counts) == 0
}

func (a *armsJob) noun() string { return cmp.Or(a.job.row.noun, "were against it") }

// bake decides over all that was seen.
func (a *armsJob) bake(margin evidence.Margin, bound float64) evidence.Decision {
	if a.job.row.kind == shareKind {
		b := evidence.NewShareBake(margin)
		for _, e := range a.episodes {
			b.AddEpisode(e.counts)
		}
		return b.Decide(bound)
	}
	b, err := evidence.NewQuantileBake(newSketch, margin, a.job.gate.Stat.Quantile)
	if err != nil { // p0 or p100: the comparison knows no such quantile
		return evidence.Decision{Needed: math.Inf(1), Beyond: true}
	}
	for _, e := range a.episodes {
		b.AddEpisode(e.candidate, e.baseline)
	}
	return b.Decide(bound)
}

func newSketch() *measure.Sketch { return measure.NewSketch() }

// atMostText says by how much the candidate is worse at most, which is the least
// margin that is shown to be kept.
func (a *armsJob) atMostText(margin evidence.Margin, bound float64) string {
	points := margin.Difference > 0
	of := func(x float64) evidence.Margin {
		if points {
			return evidence.Margin{Difference: x}
		}
		return evidence.Margin{Ratio: 1 + x}
	}
	most, least := 99.0, 1e-6 // a hundred times, or nearly all
	if points {
		most = 1 - 1e-6
	}
	shown := func(x float64) bool { return a.bake(of(x), bound).Outcome == evidence.NonInferior }
	if !shown(most) {
		return fmt.Sprintf("so little does not tell by how much the candidate may be worse at most; %s", a.allowed(margin))
	}
	low, high := math.Log(least), math.Log(most)
	for range 20 {
		if mid := (low + high) / 2; shown(math.Exp(mid)) {
			high = mid
		} else {
			low = mid
		}
	}
	return fmt.Sprintf("at %s confidence %s; %s", confidenceText(a.confidence), a.worseBy(math.Exp(high), points), a.allowed(margin))
}

// worseBy says by how much the candidate is worse at most: in points, or as a
// part of what the baseline has.
func (a *armsJob) worseBy(x float64, points bool) string {
	switch {
	case points:
		return fmt.Sprintf("at most %s more of the candidate %s", pointsText(x), a.noun())
	case a.job.row.kind == shareKind:
		return fmt.Sprintf("at most %s times as many of the candidate %s", plainText(1+x), a.noun())
	}
	return fmt.Sprintf("the candidate's %s is at most %s above the baseline's", a.job.gate.Stat, percentText(round(x)))
}

func (a *armsJob) allowed(m evidence.Margin) string {
	switch {
	case m.Difference > 0:
		return pointsText(m.Difference) + " is allowed"
	case a.job.row.kind == shareKind:
		return plainText(m.Ratio) + " times are allowed"
	}
	return percentText(round(m.Ratio-1)) + " is allowed"
}

// round leaves three digits, so that a bound does not look more exact than it is.
func round(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-2)
	return math.Round(x/unit) * unit
}

// pointsText writes a difference of shares in percentage points.
func pointsText(x float64) string { return plainText(round(100*x)) + " pp" }

// lacks gives how many more seconds of such traffic, and how many in all, show
// that the margin is kept, if both arms are alike: endlessly many, and 0 in all,
// where what there was should have shown it and chance was against it; 0 of both
// when nobody knows.
func (a *armsJob) lacks(margin evidence.Margin, d evidence.Decision) (more, all float64) {
	had := float64(len(a.episodes) * evidence.Episode)
	if had == 0 || a.candidate.n == 0 || a.baseline.n == 0 {
		return 0, 0
	}
	t := evidence.Traffic{Candidate: float64(a.candidate.n) / had, Baseline: float64(a.baseline.n) / had, Inflation: d.Inflation}
	takes, ok := a.shownIn(t, margin)
	switch {
	case !ok:
		return 0, 0
	case takes <= had:
		return math.Inf(1), 0
	}
	return takes - had, takes
}

func (a *armsJob) shownIn(t evidence.Traffic, margin evidence.Margin) (seconds float64, ok bool) {
	alpha := 1 - a.confidence
	if a.job.row.kind == shareKind {
		base := float64(a.job.row.bad(a.baseline.reading.counts)) / float64(a.baseline.n)
		return t.ShareShownIn(base, margin, alpha, power)
	}
	return evidence.QuantileShownIn(t, joined(nil, a.baseline.reading.sketch), a.job.gate.Stat.Quantile, margin, alpha, power)
}

// power is the probability with which what is told to be found or shown is.
const power = 0.9

// aboutText writes seconds for a reader: 50 s, 14 min, 3.5 h.
func aboutText(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d < 2*time.Minute:
		return plainText(d.Seconds()) + " s"
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", math.Ceil(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", math.Ceil(d.Hours()/24))
}

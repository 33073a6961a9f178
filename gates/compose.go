package gates

import (
	"fmt"
	"math"
	"strings"

	"resilience/gates/evidence"
	"resilience/internal/measure"
)

// A model's availability is composed from that of its parts. A part that is
// measured has an interval; what is composed is the better the better each part
// is, so that the lower ends of all intervals give the lower end of its own.
// Each interval takes its share of the error, so that all hold together.

// measuredPart is a leaf of the model and, where it is measured, what was seen
// of it.
type measuredPart struct {
	Part
	acc      *accumulator // nil for a promise
	seen     Tally
	unplaced uint64 // arrivals that could not start and may belong here
	missing  string // why nothing is known of it
}

// askModel asks for what it takes to compose the model in one period.
func (j *judge) askModel(g Gate, inst instance) (parts []*measuredPart) {
	if j.record.Model == nil {
		return nil
	}
	for _, leaf := range j.record.Model.Leaves() {
		p := &measuredPart{Part: leaf}
		switch {
		case leaf.Dependency != "":
			p.acc = j.now.ask("amplification", Gate{Of: leaf.Dependency}, inst, measure.Candidate, wants{limit: math.NaN()})
		case leaf.Transaction != "":
			p.acc = j.askAttempts(leaf.Transaction, g, inst)
		case leaf.Promised == nil:
			p.missing = fmt.Sprintf("the model does not say how available %s is", leaf.Title())
		}
		parts = append(parts, p)
	}
	return parts
}

// look reads what was measured of a part.
func (j *judge) look(p *measuredPart) {
	if p.acc == nil {
		return
	}
	r := j.now.reading(p.acc, "")
	p.seen, p.unplaced = Tally{r.count - min(r.failed, r.count), r.count}, r.unplaced
	switch {
	case r.count > 0:
	case p.Dependency != "":
		p.missing = fmt.Sprintf("the proxy of %s saw nothing in this period", p.Dependency)
	default:
		p.missing = fmt.Sprintf("nothing named %s was seen in this period%s", p.Transaction, didYouMean(p.Transaction, j.now.namesSeen(fromAttempts)))
	}
}

// composition is a model with what is known of its parts in one period.
type composition struct {
	model    Part
	parts    []*measuredPart
	measured int // parts that are
	missing  string
}

func (j *judge) compose(parts []*measuredPart) composition {
	c := composition{parts: parts}
	if j.record.Model == nil {
		c.missing = "the plan has no model of its dependencies: to compose an availability it wants model:"
		return c
	}
	c.model = *j.record.Model
	var missing []string
	for _, p := range parts {
		j.look(p)
		if p.acc != nil {
			c.measured++
		}
		if p.missing != "" {
			missing = append(missing, p.missing)
		}
	}
	c.missing = strings.Join(missing, "; ")
	return c
}

// with composes the availability that the parts have by some account of those
// that are measured.
func (c composition) with(account func(*measuredPart) float64) float64 {
	return c.model.Compose(c.leaves(account))
}

func (c composition) leaves(account func(*measuredPart) float64) []float64 {
	leaves := make([]float64, len(c.parts))
	for i, p := range c.parts {
		switch {
		case p.missing != "":
			leaves[i] = math.NaN()
		case p.acc == nil:
			leaves[i] = *p.Promised
		default:
			leaves[i] = account(p)
		}
	}
	return leaves
}

func (p *measuredPart) estimate() float64 { return 1 - p.seen.Failed() }

// worst is the estimate with all that may belong to the part against it.
func (p *measuredPart) worst() float64 {
	return 1 - Tally{p.seen.Good, p.seen.Total + p.unplaced}.Failed()
}

// low and high are the one-sided bounds, each with the confidence.
func (p *measuredPart) low(confidence float64) float64 {
	return 1 - evidence.ShareHigh(p.seen.Bad(), p.seen.Total, confidence)
}

func (p *measuredPart) high(confidence float64) float64 {
	return evidence.ShareHigh(min(p.seen.Good, p.seen.Total), p.seen.Total, confidence)
}

// bounds gives the one-sided bounds of what is composed, each with the
// confidence, for all parts together.
func (c composition) bounds(confidence float64) evidence.Interval {
	each := evidence.Split(confidence, c.measured)
	return evidence.Interval{
		Low:  c.with(func(p *measuredPart) float64 { return p.low(each) }),
		High: c.with(func(p *measuredPart) float64 { return p.high(each) }),
	}
}

// interval gives the two-sided interval of what is composed.
func (c composition) interval(confidence float64) evidence.Interval {
	return c.bounds((1 + confidence) / 2)
}

// enough reports whether the samples of the parts could show a limit: whether
// they would if none of them had failed.
func (c composition) enough(g Gate, limit float64) bool {
	if g.MinSamples > 0 {
		for _, p := range c.parts {
			if p.acc != nil && p.seen.Total < g.MinSamples {
				return false
			}
		}
		return true
	}
	return c.couldShow(limit, g.confidence(), func(p *measuredPart) uint64 { return p.seen.Total })
}

func (c composition) couldShow(limit, confidence float64, samples func(*measuredPart) uint64) bool {
	if limit >= 1 {
		limit = enoughForAll
	}
	shown := c.with(func(p *measuredPart) float64 { return 1 - evidence.ShareHigh(0, samples(p), confidence) })
	return shown >= limit*(1-1e-12)
}

// need is how many samples of each measured part could show a limit; ok is
// false when no number could.
func (c composition) need(limit, confidence float64) (n uint64, ok bool) {
	const most = 1 << 40
	n = search(most, func(n uint64) bool {
		return n > 0 && c.couldShow(limit, confidence, func(*measuredPart) uint64 { return n })
	})
	return n, n <= most
}

// search gives the least i from 0 to n for which the monotone f is true, n+1
// when there is none.
func search(n uint64, f func(uint64) bool) uint64 {
	low, high := uint64(0), n+1
	for low < high {
		if mid := low + (high-low)/2; f(mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// fewest is the measured part with the fewest samples; nil when none is
// measured.
func (c composition) fewest() (fewest *measuredPart) {
	for _, p := range c.parts {
		if p.acc != nil && (fewest == nil || p.seen.Total < fewest.seen.Total) {
			fewest = p
		}
	}
	return fewest
}

// composed judges a gate on the availability that the model composes.
func (j *judge) composed(job *job, split float64, check *Check) {
	c := j.compose(job.parts)
	limit, _ := constant(job.gate.Value)
	check.Limit = finite(limit)
	check.Objective = string(job.gate.Op) + " " + unitText(limit, UnitShare)
	if c.missing != "" {
		check.doubt(Evidence, "%s", c.missing)
		return
	}
	for _, p := range c.parts {
		check.Samples, check.Failed = check.Samples+p.seen.Total, check.Failed+p.seen.Bad()
	}
	value := c.with((*measuredPart).estimate)
	check.Value, check.Observed = finite(value), percentText(value)
	check.Evidence = c.evidence(job.gate.confidence())
	if promised := len(c.parts) - c.measured; promised > 0 {
		check.warn("%s of %s parts are promised, not measured", countText(uint64(promised)), countText(uint64(len(c.parts))))
	}
	c.judge(job.gate, limit, split, check)
}

// judge applies rule 3 to what is composed.
func (c composition) judge(g Gate, limit, split float64, check *Check) {
	confidence := g.confidence()
	switch {
	case !meets(c.bounds(split).High, g.Op, limit):
		name, _ := c.weakest()
		check.broke("composed was %s, which is not %s; the weakest link is %s", check.Observed, check.Objective, name)
	case !meets(c.with((*measuredPart).estimate), g.Op, limit):
		check.doubt(Evidence, "composed was %s, not %s, but so few samples do not exclude it", check.Observed, check.Objective)
	case !meets(c.with((*measuredPart).worst), g.Op, limit):
		check.doubt(Evidence, "with the arrivals that could not start, and may belong to a part of the model, composed may not be %s", check.Objective)
	case c.measured > 0 && !c.enough(g, limit):
		c.tooFew(g, limit, check)
	case g.Strict && !meets(c.bounds(confidence).Low, g.Op, limit):
		check.doubt(Evidence, "composed meets the objective, but its interval does not")
	default:
		check.Outcome = Pass
	}
}

func (c composition) tooFew(g Gate, limit float64, check *Check) {
	few := c.fewest()
	need, can := c.need(limit, g.confidence())
	if g.MinSamples > 0 {
		need, can = g.MinSamples, true
	}
	if !can {
		check.doubt(Evidence, "no number of samples can confirm it: the promised parts leave no room")
		return
	}
	check.doubt(Evidence, "%s samples of %s can not confirm it; %s of each measured part can", countText(few.seen.Total), few.Title(), countText(need))
}

// evidence writes what each part was, and the interval.
func (c composition) evidence(confidence float64) string {
	var parts []string
	for _, p := range c.parts {
		if p.acc == nil {
			parts = append(parts, fmt.Sprintf("%s promised %s", p.Title(), percentText(*p.Promised)))
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %s of %s failed", p.Title(), countText(p.seen.Bad()), countText(p.seen.Total)))
	}
	text := strings.Join(parts, ", ")
	if c.measured > 0 {
		i := c.interval(confidence)
		text += fmt.Sprintf("; %s interval %s", confidenceText(confidence), rangeText(i.Low, i.High, UnitShare))
	}
	if name, gain := c.weakest(); name != "" {
		text += fmt.Sprintf("; without failures of %s composed would be %s higher", name, gainText(gain))
	}
	return text
}

// weakest names the part whose perfection would help most, and how much that
// would be; "" when none would.
func (c composition) weakest() (name string, gain float64) {
	all := c.model.Importances(c.leaves((*measuredPart).estimate))
	i := Weakest(all)
	if i < 0 {
		return "", 0
	}
	return c.parts[i].Title(), all[i].Gain
}

// composedBound composes the right side of a gate, such as "availability >=
// composed - 0.1pp", and changes it as the gate says.
func (j *judge) composedBound(v Value, job *job, confidence float64) bound {
	c := j.compose(job.parts)
	if job.row.Unit != UnitShare {
		c.missing = fmt.Sprintf("%s can not be compared with composed", job.row.Name)
	}
	if c.missing != "" {
		return bound{missing: c.missing}
	}
	if few := c.fewest(); few != nil && few.seen.Total < enoughForBaseline {
		return bound{missing: fmt.Sprintf("%s samples of %s compose nothing to compare with; %s do", countText(few.seen.Total), few.Title(), countText(enoughForBaseline))}
	}
	b := bound{value: c.with((*measuredPart).estimate), low: c.interval(confidence).Low, high: c.interval(confidence).High}
	b.note = fmt.Sprintf("composed %s (%s)", percentText(b.value), c.evidence(confidence))
	b.change(v)
	b.value, b.low, b.high = clampShare(b.value), clampShare(b.low), clampShare(b.high)
	return b
}

// gainText writes a difference of two shares.
func gainText(difference float64) string {
	return strings.TrimSuffix(percentText(difference), "%") + "pp"
}

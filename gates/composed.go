package gates

import (
	"fmt"

	"resilience/gates/evidence"
)

// Composed sums up the model of the plan in the steady period.
type Composed struct {
	Availability *float64       `json:"availability,omitempty"` // composed, 0 to 1; nil when a part is not known
	Low          *float64       `json:"low,omitempty"`          // 95 % interval of it
	High         *float64       `json:"high,omitempty"`         //
	Measured     *float64       `json:"measured,omitempty"`     // availability of all attempts; nil without any
	MeasuredLow  *float64       `json:"measured_low,omitempty"` // 95 % interval of it
	MeasuredHigh *float64       `json:"measured_high,omitempty"`
	Weakest      string         `json:"weakest,omitempty"` // the part whose perfection would help most; "" when none would
	Parts        []ComposedPart `json:"parts"`             // the leaves of the model, in its order
	Reason       string         `json:"reason,omitempty"`  // why nothing is composed
	Note         string         `json:"note,omitempty"`    // what the measured availability says of the model
}

// ComposedPart is a leaf of the model.
type ComposedPart struct {
	Name         string   `json:"name"`
	Kind         string   `json:"kind"`                   // promised, dependency or transaction
	Availability *float64 `json:"availability,omitempty"` // nil when nothing was seen of it
	Low          *float64 `json:"low,omitempty"`          // 95 % interval, nil of a promise
	High         *float64 `json:"high,omitempty"`         //
	Samples      uint64   `json:"samples,omitempty"`
	Failed       uint64   `json:"failed,omitempty"`
	Birnbaum     *float64 `json:"birnbaum,omitempty"` // how much less available all is without it than with it
	Gain         *float64 `json:"gain,omitempty"`     // how much more available all would be if it never failed
}

// model sums up the model; nil when the plan has none.
func (j *judge) model() *Composed {
	if j.record.Model == nil {
		return nil
	}
	c := j.compose(j.steady)
	m := &Composed{Reason: c.missing, Parts: c.summaries()}
	r := j.now.reading(j.attempts, "")
	seen := Tally{r.count - r.failed, r.count}
	measured := evidence.Share(min(seen.Good, seen.Total), seen.Total, summaryConfidence)
	if seen.Total > 0 {
		m.Measured, m.MeasuredLow, m.MeasuredHigh = finite(1-seen.Failed()), finite(measured.Low), finite(measured.High)
	}
	if c.missing != "" {
		return m
	}
	leaves, composed := c.leaves((*measuredPart).estimate), c.interval(summaryConfidence)
	m.Availability, m.Low, m.High = finite(c.model.Compose(leaves)), finite(composed.Low), finite(composed.High)
	all := c.model.Importances(leaves)
	for i := range m.Parts {
		m.Parts[i].Birnbaum, m.Parts[i].Gain = finite(all[i].Birnbaum), finite(all[i].Gain)
	}
	if i := Weakest(all); i >= 0 {
		m.Weakest = c.parts[i].Title()
	}
	if seen.Total > 0 {
		m.Note = m.compare(measured, composed)
	}
	return m
}

// compare says what it means that the measured availability is clearly another
// one than the model's; "" when it may be the same.
func (m *Composed) compare(measured, composed evidence.Interval) string {
	switch {
	case measured.High < composed.Low:
		return fmt.Sprintf("the measured availability, %s, is below the %s that the model composes: something outside of the model fails",
			percentText(*m.Measured), percentText(*m.Availability))
	case measured.Low > composed.High:
		return fmt.Sprintf("the measured availability, %s, is above the %s that the model composes: users do not see every failure of a part (retries, caches), or not every request needs it",
			percentText(*m.Measured), percentText(*m.Availability))
	}
	return ""
}

// summaries gives what is known of each part by itself.
func (c composition) summaries() []ComposedPart {
	parts := []ComposedPart{}
	for _, p := range c.parts {
		s := ComposedPart{Name: p.Title(), Kind: "promised"}
		switch {
		case p.Dependency != "":
			s.Kind = "dependency"
		case p.Transaction != "":
			s.Kind = "transaction"
		}
		if p.acc == nil {
			s.Availability = p.Promised
		} else if p.missing == "" {
			i := evidence.Share(min(p.seen.Good, p.seen.Total), p.seen.Total, summaryConfidence)
			s.Availability, s.Low, s.High = finite(p.estimate()), finite(i.Low), finite(i.High)
			s.Samples, s.Failed = p.seen.Total, p.seen.Bad()
		}
		parts = append(parts, s)
	}
	return parts
}

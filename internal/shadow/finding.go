package shadow

import "time"

// Observed is what one exchange showed.
type Observed struct {
	At      time.Time // when it was asked now; of a replay, not when it was recorded
	Route   string
	Session string
	Request Request
	Trace   string // the id of a trace, if there is one
	// Candidate is what [Comparer.Compare] says of candidate and baseline.
	Candidate []Difference
	// Noise is what it says of the same answer of the baseline and a second one of
	// the baseline. It counts if Paired.
	Noise  []Difference
	Paired bool
}

// Example is one exchange that a finding rests on.
type Example struct {
	At                  time.Time
	Request             string // method and target, without the values of its query
	Baseline, Candidate string // what stood there, cut after 100 bytes
	Trace               string
}

// Finding is what is known of one kind of differences at one place of a route.
type Finding struct {
	Route string
	Place string
	Kind  Kind
	Class Class

	Pairs          uint64 // exchanges of the route in which candidate and baseline were compared
	Differing      uint64 // of those, the ones with this difference
	NoisePairs     uint64 // exchanges of the route in which the baseline was compared with itself
	NoiseDiffering uint64 // of those, the ones with this difference

	Examples []Example // at most 3
}

// FindingOptions say how findings are made.
type FindingOptions struct {
	// FalseAlarms is the probability that at least one regression is reported of a
	// candidate that has none, between 0 and 1; 0.01 unless given.
	FalseAlarms float64
}

// Findings collects what exchanges show. It may be used by several goroutines.
type Findings struct{}

// NewFindings makes an empty collection.
func NewFindings(rules Rules, options FindingOptions) (*Findings, error) { return &Findings{}, nil }

// Add adds what one exchange showed.
func (f *Findings) Add(o Observed) {}

// List gives the findings up to now, the gravest first.
func (f *Findings) List() []Finding { return nil }

// ClassOf says what is thought now of a kind of differences at a place.
func (f *Findings) ClassOf(route, place string, kind Kind) Class { return Undecided }

// Unused gives the expectations that nothing met.
func (f *Findings) Unused() []Expectation { return nil }

package gates

// Gate is a rule over one SLI in one period, parsed.
type Gate struct {
	Text   string   `json:"gate"` // as it was written
	SLI    string   `json:"-"`    // a name of the SLI table, a k6 metric or a query
	Stat   Stat     `json:"-"`    // p95, mean, max
	Of     string   `json:"-"`    // a transaction, step, route (with any method if it has none) or dependency; "" for all
	From   string   `json:"-"`    // a test; "" for all
	Op     Op       `json:"-"`
	Value  Value    `json:"-"`
	Where  []Filter `json:"-"` // for KEY=VALUE
	Each   string   `json:"-"` // for each KEY: one check for each value seen
	Period Period   `json:"-"`
	Options
	Advisory string  `json:"advisory,omitempty"` // why it only warns as yet, though it is critical; "" when it does not
	Waiver   *Waiver `json:"waiver,omitempty"`   // nil without one
}

// Stat is what is taken of an SLI that has a distribution.
type Stat struct {
	Kind     string  // "", "quantile", "mean" or "max"
	Quantile float64 // 0 to 1, with quantile
}

// Op compares what was observed with the objective.
type Op string

// Filter is one condition on the series of a gate.
type Filter struct {
	Key   string // tenant, class, cell, region or instance
	Value string
	Not   bool
}

// PeriodKind is the kind of a period.
type PeriodKind string

// Kinds of periods.
const (
	Steady     PeriodKind = "steady" // the default
	Overall    PeriodKind = "overall"
	During     PeriodKind = "during"
	After      PeriodKind = "after"
	DuringEach PeriodKind = "during each"
	AfterEach  PeriodKind = "after each"
)

// Period is a stretch of a run.
type Period struct {
	Kind PeriodKind
	Name string // the disruption, with during and after
}

// Value is the right side of a gate.
type Value struct {
	Kind   string  // number, sli, baseline, max or min
	Number float64 // in the SLI's base unit: shares as 0 to 1, times in ms, rates per second
	Unit   string  // as written
	SLI    string  // with sli
	Stat   Stat    // with sli
	// With baseline and composed: "" (as it is), "+", "-" or "*", and Number with Unit "%"
	// for relative, "pp" for percentage points, or a unit for absolute.
	Change string
	Args   []Value // with max and min: two
}

package gates

import "resilience/internal/measure"

// SLI is one row of the table of SLIs: what it counts, over what, and how it
// is written.
type SLI struct {
	Name        string
	Numerator   string   // what is counted or measured
	Denominator string   // what it is divided by, "" when by nothing
	Reads       []string // metrics (see package measure) that a record needs for it
	Unit        string   // of its values: UnitShare, UnitTime, ...
	Also        []string // further units that its objective may be written in
	Better      Op       // "<=" when less is better, ">=" when more is
	Stat        bool     // wants pN, mean or max
	Doc         string   // a sentence for the reference

	kind    kind                // how it is accumulated and judged
	from    source              // which windows it is computed from
	noun    string              // what the samples on the wrong side did; "" for no special word
	nothing string              // what to say when a record holds none of it; "" for no special word
	bad     func(counts) uint64 // how many samples are bad; nil where values count instead
	stale   int64               // of a query: the longest stretch without an answer, in nanoseconds; 0 where nothing is asked
	every   int64               // and the time between two answers; 0 where the record does not tell
}

// source is what an SLI reads.
type source string

const (
	fromAttempts   source = "attempts"
	fromOutcomes   source = "outcomes" // attempts and their outcomes
	fromRequests   source = "requests"
	fromChecks     source = "assertions"
	fromRetries    source = "retries"
	fromArrivals   source = "arrivals"
	fromCompared   source = "comparisons"
	fromStatuses   source = "statuses"   // of comparisons
	fromDependency source = "dependency" // calls and requests
	fromMetric     source = "metric"     // of k6
	fromQuery      source = "query"      // of the monitoring, by a query of the plan
)

// failed and dropped are what can be bad in the counts of an SLI.
func failed(c counts) uint64  { return min(c.failed, c.count) }
func dropped(c counts) uint64 { return min(c.dropped, c.count) }

// amount is what a rate adds up in a second.
func (row SLI) amount(t tick) float64 {
	if row.bad == nil {
		return t.sum
	}
	return float64(t.count - row.bad(t.counts))
}

// counted reports whether it is the bad ones that are counted, as in
// "errors == 0", and not a metric of k6.
func (row SLI) counted() bool { return row.kind == countKind && row.bad != nil }

// late reports whether it is known only when the tests are over.
func (row SLI) late() bool { return row.from == fromCompared || row.from == fromStatuses }

// kind is the arithmetic of an SLI.
type kind int

const (
	shareKind     kind = iota // good or bad of all: binomial
	quantileKind              // a distribution of values
	rateKind                  // something per second
	ratioKind                 // one count over another
	countKind                 // a total
	gaugeKind                 // a value that goes up and down
	recoveryKind              // a time found by looking at other gates
	noticeKind                // a time between events
	objectiveKind             // what is spent of an error budget
	modelKind                 // composed of the availability of parts
	scoreKind                 // of the other checks
	metricKind                // known only when the record has been seen
)

// Mismatch is the SLI of shadow tests.
const Mismatch = "mismatch"

// slis is the table: a new SLI is one row here. One that reads windows of its
// own wants a source too, chosen in select.go and put together in reading.go.
var slis = map[string]SLI{
	"availability": {
		Numerator: "attempts accepted by the front door", Denominator: "attempts",
		Reads: []string{measure.MetricTransaction, measure.MetricRequest}, Unit: UnitShare, Better: ">=",
		kind: shareKind, from: fromAttempts, bad: failed, noun: "failed",
		Doc: "The share of attempts that the front door accepted with an expected status.",
	},
	"reliability": {
		Numerator: "attempts whose outcome was verified", Denominator: "attempts that have a check of their outcome",
		Reads: []string{measure.MetricOutcome}, Unit: UnitShare, Better: ">=",
		kind: shareKind, from: fromOutcomes, bad: failed, noun: "were not completed",
		Doc:     "The share of attempts whose outcome was verified end to end; never a copy of availability.",
		nothing: "nothing verifies what was answered: use expect: in requests, or transaction() with a check of the outcome in scripts",
	},
	"latency": {
		Numerator: "durations of attempts", Reads: []string{measure.MetricTransaction, measure.MetricRequest},
		Unit: UnitTime, Better: "<=", Stat: true,
		kind: quantileKind, from: fromAttempts,
		Doc: "How long attempts took, failed and unfinished ones included.",
	},
	"throughput": {
		Numerator: "attempts accepted", Denominator: "seconds in which the tests ran",
		Reads: []string{measure.MetricTransaction, measure.MetricRequest}, Unit: UnitRate, Also: []string{UnitCount}, Better: ">=",
		kind: rateKind, from: fromAttempts, bad: failed,
		Doc: "Accepted attempts per second.",
	},
	"errors": {
		Numerator: "requests that failed", Denominator: "requests",
		Reads: []string{measure.MetricRequest}, Unit: UnitShare, Also: []string{UnitCount}, Better: "<=",
		kind: shareKind, from: fromRequests, bad: failed, noun: "failed",
		Doc: "The share of requests that failed or, beside a plain number, how many did.",
	},
	"assertions": {
		Numerator: "checks that passed", Denominator: "checks",
		Reads: []string{measure.MetricAssertion}, Unit: UnitShare, Better: ">=",
		kind: shareKind, from: fromChecks, bad: failed, noun: "failed",
		Doc: "The share of k6 check() results that passed.",
	},
	"degraded": {
		Numerator: "transactions completed after a retry", Denominator: "transactions completed that may be tried again",
		Reads: []string{measure.MetricRetried}, Unit: UnitShare, Also: []string{UnitCount}, Better: "<=",
		kind: shareKind, from: fromRetries, bad: failed, noun: "came after a retry",
		Doc:     "The share of completed transactions that came only after a retry, which users waited for.",
		nothing: "no transaction of the scripts may be tried again: write transaction(name, fn, {tries})",
	},
	Mismatch: {
		Numerator: "exchanges whose answers mismatch", Denominator: "exchanges of which both answers were compared",
		Reads: []string{measure.MetricComparison}, Unit: UnitShare, Also: []string{UnitCount}, Better: "<=",
		kind: shareKind, from: fromCompared, bad: failed, noun: "mismatched",
		Doc:     "The share of a shadow test's exchanges in whose answers a regression was found or, where nothing tells noise, any difference.",
		nothing: nothingCompared,
	},
	"status-changes": {
		Numerator: "exchanges whose answers mismatch in their status", Denominator: "exchanges of which both answers were compared",
		Reads: []string{measure.MetricStatusChange}, Unit: UnitShare, Also: []string{UnitCount}, Better: "<=",
		kind: shareKind, from: fromStatuses, bad: failed, noun: "were answered with another status",
		Doc:     "The share of a shadow test's exchanges that the candidate answers with another status than the baseline, noise aside.",
		nothing: nothingCompared,
	},
	"delivered": {
		Numerator: "arrivals that started", Denominator: "arrivals asked for",
		Reads: []string{measure.MetricIteration}, Unit: UnitShare, Better: ">=",
		kind: shareKind, from: fromArrivals, bad: dropped, noun: "did not start",
		Doc: "The share of the asked arrivals that could start.",
	},
	"recovery": {
		Numerator: "time from lifting until the steady gates hold again",
		Reads:     []string{measure.MetricTransaction, measure.MetricRequest}, Unit: UnitTime, Better: "<=", kind: recoveryKind,
		Doc: "How long after a disruption the absolute steady gates of the phase, or those of the SLI named by `of`, hold again.",
	},
	"detection": {
		Numerator: "time from injection until the first alert fires",
		Unit:      UnitTime, Better: "<=", kind: noticeKind,
		Doc: "How long after the injection of a disruption the monitoring under test noticed: the first alert, or the one named by `of`, that began to fire.",
	},
	"alert": {
		Numerator: "time from injection until the alert fires",
		Unit:      UnitTime, Better: "<=", kind: noticeKind,
		Doc: "Detection by one alert: `alert NAME within 60s during D`.",
	},
	"acknowledgement": {
		Numerator: "time from injection until somebody acknowledges",
		Unit:      UnitTime, Better: "<=", kind: noticeKind,
		Doc: "How long after the injection of a disruption somebody said, by `resilience ack` or a POST, that they knew.",
	},
	"score": {
		Numerator: "weights of the gates that hold", Denominator: "weights of all gates",
		Unit: UnitShare, Better: ">=", kind: scoreKind,
		Doc: "The weighted share of a phase's gates, or of the group named by `of`, that hold; warnings count too.",
	},
	"budget": {
		Numerator: "error budget that is left", Denominator: "what an objective allows to fail over its window",
		Unit: UnitShare, Better: ">=", kind: objectiveKind,
		Doc: "The share of an objective's error budget that is left over its window; less than 0 when the promise is broken.",
	},
	"burn": {
		Numerator: "share of events that failed", Denominator: "share that an objective allows to fail",
		Reads: []string{measure.MetricTransaction, measure.MetricRequest}, Unit: UnitRatio, Also: []string{UnitCount}, Better: "<=", kind: objectiveKind,
		Doc: "How many times faster than allowed an objective's budget is spent: in this run or, where its events are counted elsewhere, over both windows of an alert.",
	},
	"composed": {
		Numerator: "availability composed of the parts of the model",
		Reads:     []string{measure.MetricDependency, measure.MetricTransaction, measure.MetricRequest}, Unit: UnitShare, Better: ">=", kind: modelKind,
		Doc: "The availability that the plan's model composes of that of its parts, measured or promised.",
	},
	"amplification": {
		Numerator: "requests that the dependency saw", Denominator: "requests that the tests made",
		Reads: []string{measure.MetricDependency, measure.MetricRequest}, Unit: UnitRatio, Also: []string{UnitCount}, Better: "<=",
		kind: ratioKind, from: fromDependency,
		Doc:     "Requests that a dependency saw for each request made: retries without a limit show here.",
		nothing: "no proxy of a dependency saw a request",
	},
}

const nothingCompared = "no two answers were compared"

// SLIs gives the table, for references and reports. The result is a copy.
func SLIs() map[string]SLI {
	table := make(map[string]SLI, len(slis))
	for name, s := range slis {
		s.Name = name
		table[name] = s
	}
	return table
}

// lookUp gives the row of a name; a name that is not in the table is a k6
// metric or a query of the plan, whose kind the record tells.
func lookUp(name string) (SLI, bool) {
	s, ok := slis[name]
	if !ok {
		s = SLI{Reads: []string{name}, kind: metricKind, from: fromMetric}
	}
	s.Name = name
	return s, ok
}

func sliNames() []string {
	names := make([]string, 0, len(slis))
	for name := range slis {
		names = append(names, name)
	}
	return names
}

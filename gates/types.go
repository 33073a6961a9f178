package gates

import (
	"iter"
	"time"

	"resilience/internal/measure"
)

// Outcome of a check or a verdict. The zero value is Inconclusive.
type Outcome int

// The three outcomes.
const (
	Inconclusive Outcome = iota
	Pass
	Fail
)

// Cause says why an outcome is not a pass. The zero value is None.
type Cause int

// Causes, each with its own exit code; see [Verdict.ExitCode].
const (
	None       Cause = iota
	System           // the system under test broke a promise
	Evidence         // there is not enough evidence
	Disruption       // a disruption did not bite
	Generator        // the load generator did not deliver
)

// Run describes the run that a record belongs to.
type Run struct {
	ID      string    `json:"id"`
	Plan    string    `json:"plan"`             // the plan's name
	Digest  string    `json:"digest,omitempty"` // of the resolved plan
	Seed    int64     `json:"seed"`
	Version string    `json:"version,omitempty"` // of this program
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"` // zero while it runs, or when it was killed
}

// Record is everything one run left behind that judging needs. One call of
// [Judge] looks at one phase of it.
type Record struct {
	Run       Run
	Phase     string
	Events    []measure.Event                  // any order; of all phases
	Windows   iter.Seq2[measure.Window, error] // may be ranged over more than once
	Baselines []Record                         // of other runs, to compare with: one, or several of which the median counts

	Objectives []Objective // of the plan
	Model      *Part       // of its dependencies; nil when there is none
}

// Severity of a gate.
type Severity string

// Severities: a critical gate decides, a warning is only reported.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
)

// Check is one judged gate.
type Check struct {
	Gate      Gate     `json:"-"`
	Outcome   Outcome  `json:"outcome"`
	Cause     Cause    `json:"cause,omitzero"`
	Severity  Severity `json:"severity,omitempty"` // "" means critical
	Advisory  string   `json:"advisory,omitempty"` // why the gate only warns as yet; "" when it decides
	Waiver    *Waiver  `json:"waiver,omitempty"`   // that lets it be broken; nil when it holds, or nobody does
	Group     string   `json:"group,omitempty"`
	Weight    uint64   `json:"weight,omitempty"` // in scores; 0 means 1
	Note      string   `json:"note,omitempty"`
	Text      string   `json:"gate"`            // the gate as it was written, with its EACH name filled in
	Period    string   `json:"period"`          // "steady", "during payments-slow"
	SLI       string   `json:"sli"`             // "latency p95"
	Observed  string   `json:"observed"`        // "212 ms"; "no data"
	Objective string   `json:"objective"`       // "<= 300 ms"
	Value     *float64 `json:"value,omitempty"` // observed, in the unit below
	Limit     *float64 `json:"limit,omitempty"` // objective, in the unit below
	Unit      string   `json:"unit,omitempty"`  // share, ms, per second, ratio, count
	Samples   uint64   `json:"samples"`
	Failed    uint64   `json:"failed"`
	Evidence  string   `json:"evidence,omitempty"` // "3 of 2,400 failed; 95 % interval 99.64 % to 99.97 %; fails at 16"
	Reason    string   `json:"reason,omitempty"`   // why it is not a pass, in a sentence
	Warnings  []string `json:"warnings,omitempty"`

	Stretches []Stretch `json:"-"` // the time it is about, the earliest first; none when its period does not exist

	lacks float64 // seconds of more traffic that could settle it; infinite when nobody knows how many, 0 when none
}

// Traffic sums up what one test sent to one arm over the whole run.
type Traffic struct {
	Test       string  `json:"test"`
	Arm        string  `json:"arm"`
	Kind       string  `json:"kind"`
	Attempts   uint64  `json:"attempts"`
	Failed     uint64  `json:"failed"`
	Unfinished uint64  `json:"unfinished"`
	Dropped    uint64  `json:"dropped"`
	Degraded   uint64  `json:"degraded,omitempty"` // completed, but only after a retry
	Seconds    float64 `json:"seconds"`
	P50        float64 `json:"p50_ms"`
	P95        float64 `json:"p95_ms"`
	P99        float64 `json:"p99_ms"`
	Max        float64 `json:"max_ms"`
	Complete   bool    `json:"complete"`
}

// Disrupted sums up what one disruption did.
type Disrupted struct {
	Name     string    `json:"name"`
	Fault    string    `json:"fault"`
	On       string    `json:"on"`
	Injected time.Time `json:"injected,omitzero"`
	Lifted   time.Time `json:"lifted,omitzero"` // zero: not confirmed
	Matched  uint64    `json:"matched"`
	Touched  uint64    `json:"touched"`
	Unit     string    `json:"unit,omitempty"`  // of both, such as pods; "" for requests
	Names    []string  `json:"names,omitempty"` // of the instances that were touched, sorted
	Share    float64   `json:"share"`           // asked for, 0 to 1
	Bit      bool      `json:"bit"`
	Reason   string    `json:"reason,omitempty"`  // why it did not bite
	Times    int       `json:"times,omitempty"`   // how often it was injected
	Sweep    string    `json:"sweep,omitempty"`   // the disruption that it is one part of
	Unknown  bool      `json:"unknown,omitempty"` // what it touched, of at least one of the times

	// Whether it was noticed, from injection; of several injections the
	// longest. Nil where nothing in the record tells.
	Detected     *float64 `json:"detected_ms,omitempty"`     // until the first alert fired
	Alert        string   `json:"alert,omitempty"`           // which one
	Undetected   bool     `json:"undetected,omitempty"`      // alerts were listened for, and none came
	Acknowledged *float64 `json:"acknowledged_ms,omitempty"` // until somebody acknowledged
	By           string   `json:"by,omitempty"`              // who
	Recovered    *float64 `json:"recovered_ms,omitempty"`    // from lifting until the steady gates held again
}

// BaselineRun is another run that gates compare with.
type BaselineRun struct {
	Run     string `json:"run"`               // its id
	Version string `json:"version,omitempty"` // of its candidate; "" where it did not tell
}

// Version is which version a target said it was.
type Version struct {
	Target string `json:"target"`
	Arm    string `json:"arm"`
	Before string `json:"before"` // the tests; "" when it is not known
	After  string `json:"after"`  // the tests; "" when it is not known
	Wanted string `json:"wanted,omitempty"`

	asked map[string]string // when, and what went wrong
}

// Verdict is the answer for one phase.
type Verdict struct {
	Phase       string        `json:"phase"`
	Outcome     Outcome       `json:"outcome"`
	Cause       Cause         `json:"cause,omitzero"`
	Reason      string        `json:"reason"`              // one sentence for a pipeline's log
	Versions    []Version     `json:"versions,omitempty"`  // of the targets that tell theirs
	Baselines   []BaselineRun `json:"baselines,omitempty"` // the runs that gates compare with, in the order of the record
	Checks      []Check       `json:"checks"`
	Traffic     []Traffic     `json:"traffic"`
	Disruptions []Disrupted   `json:"disruptions"`
	Shadow      []Replayed    `json:"shadow,omitempty"`       // what shadow tests replayed, and what they found
	Objectives  []Budget      `json:"objectives,omitempty"`   // of the plan, and what is left of their budgets
	Model       *Composed     `json:"model,omitempty"`        // of the plan; nil when there is none
	FaultActive bool          `json:"fault_active,omitempty"` // lifting a fault could not be confirmed: see ExitFault
	Scores      []Score       `json:"scores,omitempty"`       // where gates are weighted, grouped or scored
	Warnings    []string      `json:"warnings,omitempty"`
}

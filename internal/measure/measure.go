// Package measure holds what was measured: comparable series, one-second
// windows with counts and a mergeable sketch, events and examples.
//
// A traffic engine sees samples. It puts them into an [Aggregator], which adds
// each one to the [Window] of its [Series] and of the second in which the
// attempt started, and hands out what changed since the last time as a
// [Batch]. Batches travel through pipes, stores and reports; samples never
// leave the process that took them. Windows are additive: those with the same
// series and start merge into one that says what both said, whatever the
// order, so that late samples and several runners need no coordination.
//
// Times are Unix nanoseconds in UTC. Latencies are milliseconds, k6's unit.
package measure

// Metrics that the engines and proxies of this project measure. A metric with
// any other name is one that a k6 script or k6 itself brought along.
const (
	// MetricTransaction counts transactions: Failed are those that the front
	// door did not accept; the sketch holds their durations.
	MetricTransaction = "transaction"
	// MetricStep counts the steps inside transactions, by the same rules.
	MetricStep = "step"
	// MetricRequest counts requests (HTTP or gRPC), by the same rules. Where
	// a test has no transactions its requests are its attempts.
	MetricRequest = "request"
	// MetricOutcome counts the attempts whose outcome was looked at: Failed
	// are those that were looked at and found wrong. An attempt that never
	// came that far is not counted here.
	MetricOutcome = "outcome"
	// MetricRetried counts the transactions that may be tried again and came to
	// good (completed or, where nobody looks, accepted): Failed are those that did
	// only after a retry, which users waited for.
	MetricRetried = "retried"
	// MetricComparison counts the exchanges of a shadow test of which both answers
	// were compared: Failed are those that mismatched; Step is their route.
	MetricComparison = "comparison"
	// MetricStatusChange counts the same exchanges: Failed are those whose answers
	// mismatched in their status.
	MetricStatusChange = "status-change"
	// MetricUndecided counts those of which it is not known whether they mismatch,
	// and which [MetricComparison] counts as matching.
	MetricUndecided = "undecided"
	// MetricUndecidedStatus counts those of which it is not known whether they
	// mismatch in their status, and which [MetricStatusChange] counts as matching.
	MetricUndecidedStatus = "undecided-status"
	// MetricCarried counts the values that a shadow test put into requests in place
	// of recorded ones: Step is the route of the request, Status tells where they
	// came from ([CarriedFound], [CarriedByRule], [CarriedCookie]).
	MetricCarried = "carried-value"
	// MetricSendLag counts the requests of a shadow test that a worker was free for;
	// the sketch holds by how many milliseconds each was sent late.
	MetricSendLag = "send-lag"
	// MetricAssertion counts the results of k6's check(); Step is the name
	// of the check.
	MetricAssertion = "assertion"
	// MetricIteration counts iterations of a script or scheduled requests:
	// Count is what was asked for, Dropped what could not start, Failed also
	// holds those that ended in an exception.
	MetricIteration = "iteration"
	// MetricDependency counts requests that a proxy saw on their way to a
	// dependency; Step is the dependency's name.
	MetricDependency = "dependency"
)

// Arms of a phase.
const (
	Candidate = "candidate"
	Baseline  = "baseline"
)

// Where the values of [MetricCarried] came from.
const (
	CarriedFound  = "found"  // an earlier answer named what the recorded one named otherwise
	CarriedByRule = "rule"   // a rule of the plan
	CarriedCookie = "cookie" // an earlier answer set it
)

// StatusGenerator marks dropped iterations that the generator is to blame for,
// not the target.
const StatusGenerator = "generator"

// Overflow stands in for the names of a series when a run has too many
// different ones; its arm, phase, test and metric are kept.
const Overflow = "(other)"

// Series says what a window is about. It is comparable and used as a map key.
// Empty fields mean "does not apply".
type Series struct {
	Metric      string `json:"metric"`
	Phase       string `json:"phase,omitempty"`
	Test        string `json:"test,omitempty"`
	Arm         string `json:"arm,omitempty"`
	Transaction string `json:"transaction,omitempty"`
	Step        string `json:"step,omitempty"` // a step, a request's route, a check or a dependency
	Tenant      string `json:"tenant,omitempty"`
	Class       string `json:"class,omitempty"`
	Cell        string `json:"cell,omitempty"`
	Region      string `json:"region,omitempty"`
	Instance    string `json:"instance,omitempty"`
	Status      string `json:"status,omitempty"`
}

// Window is what was measured for one series in one second.
//
// Failed, Unfinished and Dropped are parts of Count, and what is unfinished or
// dropped has failed too. Sum, Min, Max and Sketch are over the values of
// everything but the dropped, which has no value; an unfinished attempt is in
// there with the time it had waited, a lower bound.
type Window struct {
	Source     string  `json:"source"` // the process that measured
	Series     Series  `json:"series"`
	Start      int64   `json:"start"` // Unix nanoseconds, a whole second
	Width      int64   `json:"width"` // nanoseconds
	Part       uint32  `json:"part"`  // distinct for each delta of the same window by one source
	Count      uint64  `json:"count"`
	Failed     uint64  `json:"failed,omitempty"`
	Unfinished uint64  `json:"unfinished,omitempty"`
	Dropped    uint64  `json:"dropped,omitempty"`
	Sum        float64 `json:"sum,omitempty"`
	Min        float64 `json:"min,omitempty"`
	Max        float64 `json:"max,omitempty"`
	Sketch     *Sketch `json:"sketch,omitempty"` // nil when nothing had a value
}

// Kinds of events.
const (
	EventPhase      = "phase"      // a phase began; Attrs candidate, baseline, traffic (a digest of what is sent and disrupted), first ("record" when a run without a baseline is to be the first), looks (how often it may be judged; "" for once)
	EventPhaseEnd   = "phase-end"  // Attrs reason when it ended early
	EventVersion    = "version"    // which version a target is; Name the target, Attrs when (before or after the tests), version or error, wanted ("" when any will do)
	EventTest       = "test"       // a test began to send; Attrs kind, warmup (a Go duration), engine
	EventTestEnd    = "test-end"   // Attrs complete ("true"/"false"), reason
	EventRunner     = "runner"     // a process that sends a part of a test's traffic, and writes for itself, is there; Attrs runner (its number, or its host), host, segment (its part, "" for all), of (how many parts there are)
	EventRunnerEnd  = "runner-end" // the last it says; Attrs are those of [RunnerEnd]
	EventExtended   = "extended"   // the tests begin once more, because there was not enough evidence; Attrs for (a Go duration, without warm-up), reason
	EventReach      = "reach"      // what a disruption would act on, found out before any load; Attrs unit, of, names
	EventDisruption = "disruption" // in effect from now; Attrs fault, on, share (0 to 1, "" when all), settle (a Go duration), unit, names, sweep (what it is a part of)
	EventLifted     = "lifted"     // Attrs touched, matched, unit, names, doubt (why its time can not be trusted); error when lifting could not be confirmed
	EventSkipped    = "skipped"    // a disruption was never injected; Attrs reason, sweep
	EventAsked      = "asked"      // the rate asked of a generator from now on; Attrs rate (per second) or vus
	EventMetric     = "metric"     // a k6 metric or a query of the plan exists; Name it, Attrs type (counter, gauge, rate, trend), contains (time, share, data, default), of a query stale and every (Go durations)
	EventException  = "exception"  // a script threw; Attrs message, count
	EventOverflow   = "overflow"   // too many series; Attrs limit
	EventGenerator  = "generator"  // evidence against the generator itself; Name what (cpu, lag, files, lost, runner, script, vus), Attrs detail
	EventService    = "service"    // a service of the plan changed; Attrs state (started, ready, died, killed by a disruption, or stopped), detail
	EventInterrupt  = "interrupt"  // somebody stopped the run; Attrs lifting (a Go duration): how long it took until all faults were lifted
	EventListening  = "listening"  // from now on somebody outside is heard; Name what ([ListensAlerts], [ListensAcks]), Attrs state ([ListeningLost]: from now on not), detail (why)
	EventAlert      = "alert"      // an alert of the monitoring under test; Name it, Attrs state (firing, resolved), by, id (of one of several with the name), since (RFC 3339)
	EventAck        = "ack"        // somebody acknowledged; Name the disruption or alert, "" for all, Attrs by
	EventObjective  = "objective"  // the events of an objective were counted; Name it, Attrs share (0 to 1), over (a Go duration) and, for each window (a Go duration), "good/total"; error when they could not be
	EventAbort      = "abort"      // a condition of abort_if held; Name the disruption, "" for the phase, Attrs condition, detail; watch, where a gate was certain not to hold
	EventIncident   = "incident"   // of a canary; Name the rule, Attrs state (opened, acknowledged, closed), id, severity, evidence, start, detected, acked and end (RFC 3339)
	EventChange     = "change"     // the target changed in the middle of a test; Name what, Attrs kind (rollout, restart, scale), detail
	EventReplay     = "replay"     // how a recording was replayed; Attrs read, sent, not chosen, withheld, held (for an earlier answer), dropped, carried found, carried rule and carried cookie (values put into requests to the candidate), lag p50 and lag p99 (how late exchanges were sent)
	EventWithheld   = "withheld"   // what a shadow test did not send; Name the route, Attrs count, reason
	EventDifference = "difference" // what the answers of candidate and baseline differ in; Name the route, Attrs route, place, kind, class (regression, undecided, expected or noise), pairs, differing, noise pairs, noise differing, baseline, candidate, request, trace
	EventWarning    = "warning"    // anything a reader of the verdict should know; Attrs detail
)

// What is listened for while a phase runs: names of [EventListening].
const (
	ListensAlerts = "alerts" // of the monitoring under test
	ListensAcks   = "acks"   // of people
)

// ListeningLost is the state of [EventListening] when what was listened for is
// not heard any more, with a detail where it should have been.
const ListeningLost = "lost"

// Event is something that happened at a moment.
type Event struct {
	Source string            `json:"source"`
	Seq    uint64            `json:"seq"` // distinct within a source
	At     int64             `json:"at"`  // Unix nanoseconds
	Kind   string            `json:"kind"`
	Phase  string            `json:"phase,omitempty"`
	Test   string            `json:"test,omitempty"`
	Arm    string            `json:"arm,omitempty"`
	Name   string            `json:"name,omitempty"`
	Attrs  map[string]string `json:"attrs,omitempty"`
}

// Example is one redacted failure, kept so that somebody can mend it.
type Example struct {
	At      int64  `json:"at"`
	Phase   string `json:"phase,omitempty"`
	Test    string `json:"test,omitempty"`
	Arm     string `json:"arm,omitempty"`
	Kind    string `json:"kind"`              // what the failures of this kind have in common, such as "status 503"
	Request string `json:"request,omitempty"` // method and URL without user, query values and fragment
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"` // at most MaxMessage bytes
	TraceID string `json:"trace_id,omitempty"`
}

// Limits of examples: how many of each kind are kept, and how long a message
// is, in bytes.
const (
	MaxExamples = 5
	MaxMessage  = 300
)

// Batch is what a traffic engine or a proxy hands on at a time.
type Batch struct {
	Windows  []Window  `json:"windows,omitempty"`
	Events   []Event   `json:"events,omitempty"`
	Examples []Example `json:"examples,omitempty"`
}

// Touch is the proof that a disruption bit: how many requests (or what Unit
// says) it could have touched because they matched, and how many it did touch.
type Touch struct {
	Matched uint64
	Touched uint64
	Unit    string   // such as pods; "" stands for requests
	Names   []string // the instances that were touched, where they have names
	Gone    int64    // when the fault was last in effect, in Unix nanoseconds; 0 stands for when lifting returned
	Doubt   string   // why that is not to be trusted, such as that the fault was gone before it was lifted; "" when it is
}

// Ended is when the fault was over, in Unix nanoseconds, if lifting it returned
// at now: what comes after Gone is care for those whom the fault had touched.
func (t Touch) Ended(now int64) int64 {
	if t.Gone == 0 {
		return now
	}
	return min(t.Gone, now)
}

// Reach is what a disruption would act on.
type Reach struct {
	Unit     string   // such as pods; "" stands for requests
	Of       []string // all instances of the group, sorted
	Selected []string // those that it would act on, as far as is known before
}

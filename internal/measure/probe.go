package measure

import "time"

// Probe is one transaction that is due: whom it is asked as and how. A canary
// hands them to an engine one by one; the engine answers each with a [Probed].
type Probe struct {
	Seq         uint64        `json:"seq"`              // distinct within a process
	Transaction string        `json:"transaction"`      // its name in series
	Exec        string        `json:"exec"`             // the function of the script
	Tenant      string        `json:"tenant,omitempty"` // the name of one that the engine knows; "" for nobody
	Due         int64         `json:"due"`              // Unix nanoseconds
	Timeout     time.Duration `json:"timeout"`          // all tries together, from when it begins
	Tries       int           `json:"tries"`            // all in all, 1 or more
	Wait        time.Duration `json:"wait,omitempty"`   // between two tries
}

// Probed is what became of a probe.
type Probed struct {
	Seq     uint64  `json:"seq"`
	Attempt Attempt `json:"attempt"`
	Lost    string  `json:"lost,omitempty"` // why nobody knows what became of it, as when the engine ended: no failure of the target
}

// MetricGood counts the attempts of a canary: Failed are those for which
// [Attempt.Good] is false. Objectives are about it.
const MetricGood = "good"

// Attempt is one transaction, as it is kept for itself and not only in a window.
type Attempt struct {
	Series  Series  `json:"series"`             // Transaction, Tenant, Class, Cell and Region; the metric is [MetricTransaction]
	At      int64   `json:"at"`                 // when it began, Unix nanoseconds
	Took    float64 `json:"took"`               // milliseconds, all tries together; a lower bound when it was CutOff
	Found   Finding `json:"found"`              // what is known of it
	Tries   int     `json:"tries,omitempty"`    // that it took; 0 counts as 1
	Message string  `json:"message,omitempty"`  // what went wrong, redacted, at most MaxMessage bytes
	TraceID string  `json:"trace_id,omitempty"` // of its last request that failed, else of its last
	Planned bool    `json:"planned,omitempty"`  // it fell into planned maintenance, and counts for nothing
}

// Finding is what is known of an attempt, as a set of bits.
type Finding uint8

// What is known of an attempt.
const (
	Accepted  Finding = 1 << 0 // the front door said yes
	Completed Finding = 1 << 1 // its outcome was looked at, and was right
	Wrong     Finding = 1 << 2 // its outcome was looked at, and was wrong
	Degraded  Finding = 1 << 3 // it came to good after a retry only
	Slow      Finding = 1 << 4 // it took longer than it may
	CutOff    Finding = 1 << 5 // it had no end when its time was over
)

// Good reports whether a user would have been served: accepted, right where
// somebody looked, and in time.
func (a Attempt) Good() bool {
	return a.Found&Accepted != 0 && a.Found&(Wrong|CutOff|Slow) == 0
}

package canary

import (
	"context"
	"time"

	"resilience/internal/measure"
)

// Prober carries out probes. It takes a probe from due only when it can begin it
// at once, and calls done for each that it took, once, from any goroutine; it
// returns when the context ends, after what is under way has ended or was given
// up, or when the plan and the script do not fit. That its process died is no
// reason to return: it answers what was under way as lost and goes on.
type Prober interface {
	Run(ctx context.Context, due <-chan measure.Probe, done func(measure.Probed)) error
}

// State is what outlives the daemon. Documents are JSON by their names, such as
// "incident/20260102T150405Z-orders".
type State interface {
	// Documents gives all whose names begin with the prefix.
	Documents(prefix string) (map[string][]byte, error)
	// Commit keeps attempts and documents together or not at all; a nil document
	// is removed. It has returned once they survive a crash of the process.
	Commit(attempts []measure.Attempt, documents map[string][]byte) error
	// Attempts gives those that began in [from, to), the oldest first.
	Attempts(from, to int64) ([]measure.Attempt, error)
	// History gives windows of such a width that start in [from, to): a minute by
	// transaction, class, cell and region; an hour alike; a day by tenant as well.
	// Metrics are transaction (the front door), outcome (what was looked at),
	// retried, and good (all that [measure.Attempt.Good] asks). What fell into
	// planned maintenance is not in them.
	History(from, to int64, width time.Duration) ([]measure.Window, error)
}

// Incident is a time in which a rule's evidence said that users were not served.
type Incident struct {
	ID        string                       `json:"id"`   // Start and the rule: 20260102T150405Z-orders
	Rule      string                       `json:"rule"` // of the plan
	Severity  string                       `json:"severity"`
	Owner     string                       `json:"owner"`
	Runbook   string                       `json:"runbook"`
	Start     int64                        `json:"start"`           // the first bad attempt of its evidence
	Detected  int64                        `json:"detected"`        // when the evidence was enough
	Acked     int64                        `json:"acked,omitempty"` // 0 while nobody has acknowledged
	AckedBy   string                       `json:"acked_by,omitempty"`
	End       int64                        `json:"end,omitempty"`    // the first good attempt after its last bad one; 0 while it is open
	Closed    int64                        `json:"closed,omitempty"` // when that was certain
	Evidence  string                       `json:"evidence"`         // that opened it, such as "3 in a row: order in cell eu-1"
	Units     []Unit                       `json:"units"`            // all that were bad in its time, sorted
	Bad       uint64                       `json:"bad"`              // attempts of its units while it was open
	Total     uint64                       `json:"total"`
	BadBy     map[string]map[string]uint64 `json:"bad_by,omitempty"`    // bad attempts since it was detected, by tenant, class, cell and region; at most maxBadBy values of each
	Messages  []string                     `json:"messages,omitempty"`  // what went wrong, each once, at most measure.MaxExamples
	Told      int64                        `json:"told,omitempty"`      // when people were told; 0 while they were not
	Reminders int                          `json:"reminders,omitempty"` // that were sent
	Quorum    int64                        `json:"quorum,omitempty"`    // when enough locations agreed, where there are several
	Agreed    []string                     `json:"agreed,omitempty"`    // locations that saw it, this one first, where there are several
}

// Unit is what evidence is gathered for: a transaction or heartbeat, or a part
// of its tenants.
type Unit struct {
	Transaction string `json:"transaction"`
	Key         string `json:"key,omitempty"`   // tenant, class, cell or region; "" for all
	Value       string `json:"value,omitempty"` // of that key
}

// Open reports whether an incident goes on.
func (i Incident) Open() bool { return i.Closed == 0 }

// maxBadBy bounds the values of a key that an incident counts.
const maxBadBy = 64

// Common is what nearly all of its bad attempts have in common: of a cell that
// fails alone, its name. A few are forgiven: there is some noise.
func (i Incident) Common() map[string]string {
	common := map[string]string{}
	for key, counts := range i.BadBy {
		var sum uint64
		for _, n := range counts {
			sum += n
		}
		for value, n := range counts {
			if value != "" && float64(n) >= 0.9*float64(sum) {
				common[key] = value
			}
		}
	}
	return common
}

// Kinds of notices.
const (
	Opened       = "opened"
	Reminder     = "reminder"
	Acknowledged = "acknowledged"
	Closed       = "closed"
)

// Notice is what one receiver is told of an incident.
type Notice struct {
	ID       string   `json:"id"`  // the incident, the kind, a number for reminders, and the receiver: unlike any other
	Key      string   `json:"key"` // the same for all notices of one incident, wherever they come from: by it receivers tell what belongs together
	Kind     string   `json:"kind"`
	At       int64    `json:"at"`
	Receiver string   `json:"receiver"` // of the plan
	Plan     string   `json:"plan"`
	Location string   `json:"location,omitempty"`
	Incident Incident `json:"incident"` // as it was then
}

// Status is what is known at a moment, for whoever looks.
type Status struct {
	At       int64        `json:"at"`
	Since    int64        `json:"since"`              // when the daemon began
	Plan     string       `json:"plan"`               // its name
	Location string       `json:"location,omitempty"` // of this instance
	Units    []UnitStatus `json:"units"`              // sorted; each transaction by cell, and each heartbeat
	Open     []Incident   `json:"open"`               // the oldest first
	Probes   Probes       `json:"probes"`
}

// UnitStatus is the state of one unit.
type UnitStatus struct {
	Unit
	Good    bool   `json:"good"`              // its last attempt was; true before the first
	Row     int    `json:"row"`               // so many like it, one after the other
	Last    int64  `json:"last"`              // when the last one began; 0 before the first
	Message string `json:"message,omitempty"` // of the last bad one
	Planned string `json:"planned,omitempty"` // the reason of the maintenance that it is in

	// Attempts since the daemon began, without those in planned maintenance.
	Tried    uint64 `json:"tried"`
	Accepted uint64 `json:"accepted"` // by the front door
	Served   uint64 `json:"served"`   // good
}

// count adds an attempt to those since the daemon began.
func (u *UnitStatus) count(a measure.Attempt) {
	if a.Planned {
		return
	}
	u.Tried++
	if a.Found&measure.Accepted != 0 {
		u.Accepted++
	}
	if a.Good() {
		u.Served++
	}
}

// Probes counts what the daemon did since it began.
type Probes struct {
	Done    uint64 `json:"done"`
	Lost    uint64 `json:"lost"`    // the engine ended; they were asked again
	Late    uint64 `json:"late"`    // began more than a second, or half of their interval, after they were due: there are too few VUs
	Skipped uint64 `json:"skipped"` // not begun, because the one before was still under way when they were due
}

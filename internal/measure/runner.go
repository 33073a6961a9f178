package measure

import (
	"fmt"
	"strconv"
	"time"
)

// RunnerEnd is the last that a runner says, in an event of the kind
// [EventRunnerEnd]: how its part of a test ended, and how much it wrote, so that
// whoever reads it back knows what is missing.
type RunnerEnd struct {
	Runner   string // its number, or the name of its host
	Complete bool   // its part of the test ran as it was asked to
	Reason   string // why it is not complete, "" when it is
	Windows  uint64 // that it had to write
	Events   uint64 // that it had to write before this one
	Lost     uint64 // of those windows and events: how many were not written
}

// Attrs are what the event says.
func (r RunnerEnd) Attrs() map[string]string {
	return map[string]string{
		"runner": r.Runner, "complete": strconv.FormatBool(r.Complete), "reason": r.Reason,
		"windows": strconv.FormatUint(r.Windows, 10), "events": strconv.FormatUint(r.Events, 10), "lost": strconv.FormatUint(r.Lost, 10),
	}
}

// ReadRunnerEnd reads what Attrs wrote. Without its numbers nobody knows what is
// missing, so that their lack is an error.
func ReadRunnerEnd(e Event) (r RunnerEnd, err error) {
	r = RunnerEnd{Runner: e.Attrs["runner"], Complete: e.Attrs["complete"] == "true", Reason: e.Attrs["reason"]}
	for name, into := range map[string]*uint64{"windows": &r.Windows, "events": &r.Events, "lost": &r.Lost} {
		if *into, err = strconv.ParseUint(e.Attrs[name], 10, 64); err != nil {
			return r, fmt.Errorf("the end of %s: %s is %q, not a number", e.Source, name, e.Attrs[name])
		}
	}
	return r, nil
}

// Runner is what is known of one of the processes that share the traffic of a
// test and write what they measure for themselves.
type Runner struct {
	Source  string // of its windows and events
	Number  string // or the name of its host where it has no number
	Host    string // the name of the machine, container or pod that it runs on; "" when it did not say that it began
	Segment string // its part of the work, as k6 writes it; "" for all
	Began   time.Time
	Heard   time.Time // when anything of it was read last, by the clock of whoever reads
	Twice   string    // the host on which a second one of the same number began; "" when none did

	Windows, Events uint64 // how many were read, runner-end not counted

	Ended bool // it said how it ended, which is End
	End   RunnerEnd
}

// Missing is how many of the windows and events that an ended runner wrote were
// not read yet; what it lost is not among them.
func (r Runner) Missing() uint64 {
	if wrote, read := r.End.Windows+r.End.Events, r.Windows+r.Events+r.End.Lost; r.Ended && wrote > read {
		return wrote - read
	}
	return 0
}

// Settled reports whether nothing more is to come of a runner: it ended, and
// all that it wrote was read.
func (r Runner) Settled() bool { return r.Ended && r.Missing() == 0 }

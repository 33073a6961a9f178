package gates

import (
	"math"
	"time"
)

// leastExtension is about how long it takes until another stretch of traffic
// tells anything.
const leastExtension = 10 * time.Second

// Extension tells whether a phase, whose tests are over, should go on with them
// for a while, but for no longer than the most that its plan allows: when it is
// inconclusive only because there is too little evidence for gates of the steady
// period or overall, and more traffic without disruptions could be enough. It
// gives how long, without warm-up, and why; 0 when it should not. A phase of
// which this is asked is judged twice at most, so that each time has half of the
// allowed error (Bonferroni); the record says so with its beginning.
func Extension(gates []Gate, record Record, most time.Duration) (more time.Duration, why string) {
	j := newJudge(gates, record)
	checks := j.checks()
	if len(failures(checks)) > 0 || !j.onlyTooLittle() {
		return 0, ""
	}
	seconds := 0.0
	for _, c := range checks {
		row, _ := lookUp(c.Gate.SLI)
		if c.Outcome != Inconclusive || !c.Decides() || row.kind == scoreKind { // which hangs on the others
			continue
		}
		if c.lacks == 0 || c.Cause != Evidence {
			return 0, "" // which would stay as it is
		}
		if seconds = max(seconds, c.lacks); why == "" {
			why = c.Text + ": " + c.Reason
		}
	}
	switch {
	case seconds == 0:
		return 0, ""
	case math.IsInf(seconds, 1):
		return most, why
	}
	seconds = math.Ceil(seconds*1.1) + 2 // a rate is never quite the same, and seconds at edges do not count
	if more = max(leastExtension, time.Duration(min(seconds, 1e9))*time.Second); more > most {
		return 0, "" // it would be in vain
	}
	return more, why
}

// onlyTooLittle reports whether nothing but the checks keeps the phase from
// passing.
func (j *judge) onlyTooLittle() bool {
	t := j.now.timeline
	for _, d := range j.bitten {
		if !d.Bit {
			return false
		}
	}
	return t.extended == 0 && t.interrupted == "" && len(t.shortfalls) == 0 && len(t.aborts) == 0 && t.died == "" && !t.faultActive &&
		j.now.err == nil && j.now.brokenText() == "" && j.now.attempts() > 0
}

package telemetry

import (
	"fmt"
	"net/http"
	"time"
)

// clockSkew is how far the clock of a source may be off: as far as those of tests
// and alerts may be (package gates).
const clockSkew = 5 * time.Second

// apart says that the clock of a server is another than ours, by the Date of an
// answer to a question that was sent and answered then. What it scraped at our
// second 30 it would give for second 10 or 50, and gates would judge a disruption
// by what was before or after it. Nil where it is ours, or is not told.
func apart(date string, sent, answered time.Time) error {
	at, err := http.ParseTime(date)
	if err != nil {
		return nil
	}
	off, where := sent.Sub(at.Add(time.Second)), "behind" // it leaves out fractions of a second
	if ahead := at.Sub(answered); ahead > off {
		off, where = ahead, "ahead of"
	}
	if off <= clockSkew {
		return nil
	}
	about := max(off.Round(clockSkew), clockSkew) // alike each time, so that it is told once
	return fmt.Errorf("has a clock that is about %s %s ours, so that its values would count at another time: set both clocks", about, where)
}

package gates

import (
	"fmt"
	"time"
)

// Waiver lets a gate be broken for a while: somebody answers for that, by name
// and with a reason. The verdict prints it.
type Waiver struct {
	Owner   string    `json:"owner"`
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires"` // the first moment at which it holds no more
}

// Active reports whether the waiver holds at a moment. Nil is no waiver, and
// none holds at a time that is not known.
func (w *Waiver) Active(at time.Time) bool { return w != nil && !at.IsZero() && at.Before(w.Expires) }

// String gives who waived what for, and until when.
func (w *Waiver) String() string {
	return fmt.Sprintf("waived by %s until %s: %s", w.Owner, w.Expires.UTC().Add(-time.Nanosecond).Format(time.DateOnly), w.Reason)
}

// decides reports whether the outcome of a gate counts in the verdict: it is
// critical, calibrated, and not waived.
func (g Gate) decides() bool { return g.Severity != Warning && g.Advisory == "" }

// Deciding are those of a phase's gates whose outcome counts in the verdict of a
// run that began at a moment: what is waived then is not among them.
func Deciding(gates []Gate, at time.Time) (list []Gate) {
	for _, g := range gates {
		if g.decides() && !g.Waiver.Active(at) {
			list = append(list, g)
		}
	}
	return list
}

// waive lets a check that is not a pass be, where its gate has a waiver that
// holds when the run began: judging again next year gives the same verdict.
func (c *Check) waive(run Run) {
	w := c.Gate.Waiver
	switch {
	case w == nil:
	case !w.Active(run.Started):
		c.warn("its waiver has expired (%s)", w)
	case c.Outcome == Pass:
		c.warn("it holds: the waiver is not needed (%s)", w)
	default:
		c.Waiver = w
		c.warn("%s", w)
	}
}

// Decides reports whether the outcome of the check counts in the verdict. It
// does not where the gate only warns, is not calibrated yet, or was waived.
func (c Check) Decides() bool {
	return c.Severity != Warning && c.Advisory == "" && c.Waiver == nil
}

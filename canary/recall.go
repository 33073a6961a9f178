package canary

import (
	"time"

	"resilience/internal/measure"
)

// recall reads the attempts that are still evidence when a daemon starts again:
// those before the last one ended, as far back as rules look, and so far at least
// that everybody has had a turn.
func (d *Daemon) recall(do func([]measure.Attempt)) error {
	oldest := d.since - int64(d.o.Canary.Keep.Attempts)
	last, err := d.lastAttempt(oldest)
	if err != nil || last == 0 {
		return err
	}
	return eachAttempts(d.o.State, max(oldest, last-int64(d.reach())), d.since, do)
}

// lastAttempt is when the last one began; 0 when there is none any more.
func (d *Daemon) lastAttempt(oldest int64) (int64, error) {
	for to := d.since; to > oldest; to -= int64(pageAttempts) {
		page, err := d.o.State.Attempts(max(oldest, to-int64(pageAttempts)), to)
		if err != nil {
			return 0, err
		}
		if n := len(page); n > 0 {
			return page[n-1].At, nil
		}
	}
	return 0, nil
}

// reach is how far back the rules look: the unit with the fewest tenants takes the
// longest to have as many attempts as a trigger wants.
func (d *Daemon) reach() time.Duration {
	reach := 2 * longest(d.o.Canary)
	for _, r := range d.watch.rules {
		for _, task := range d.o.Tasks {
			if !r.covers(task.Name) {
				continue
			}
			counts := map[Unit]int{}
			for _, s := range d.series[task.Name] {
				counts[r.unit(s)]++
			}
			for _, n := range counts {
				reach = max(reach, time.Duration(r.looks()+n)*time.Duration(task.Plan.Every)/time.Duration(n))
			}
		}
	}
	return reach
}

// looks is the most attempts of a unit that the rule looks at.
func (r *rule) looks() int {
	most := max(r.size, r.plan.Close.Row)
	for _, t := range r.plan.Open {
		most = max(most, t.Row)
	}
	return most
}

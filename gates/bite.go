package gates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"resilience/gates/evidence"
)

// A disruption must have touched the share that it was asked to touch: the
// exact interval at biteConfidence must hold that share, give or take
// shareSlack, or slackOfShare of it where that is less, for requests that were under way when it was lifted.
const (
	biteConfidence = 0.999
	shareSlack     = 0.01
	slackOfShare   = 0.1 // the slack of a small share must not be as large as what it is for
)

// drawn are the units of which a share is drawn, one by one. Of all others,
// which are instances, what was chosen must have been touched to the last one.
var drawn = []string{"requests", "answers", "connections", "handshakes", "queries", "packets", "bytes"}

// bites says for every disruption of the phase what it did and whether it bit.
func (t *timeline) bites() []Disrupted {
	all := []Disrupted{}
	for _, name := range t.disruptionNames() {
		d := Disrupted{Name: name}
		if t.wasSkipped(name) && !t.wasInjected(name) {
			d.Reason = "it was skipped: " + cmp.Or(t.skipped[name], "no reason was given")
			all = append(all, d)
			continue
		}
		all = append(all, t.bite(d))
	}
	return all
}

func (t *timeline) wasInjected(name string) bool {
	for _, in := range t.injections {
		if in.name == name {
			return true
		}
	}
	return false
}

// bite adds up the injections of one name.
func (t *timeline) bite(d Disrupted) Disrupted {
	counted, lifted, idle, doubt := true, true, 0, ""
	for _, in := range t.injections {
		if in.name != d.Name {
			continue
		}
		if d.Injected.IsZero() {
			d.Injected, d.Fault, d.On, d.Share, d.Sweep = time.Unix(0, in.from).UTC(), in.fault, in.on, in.share, in.sweep
		}
		d.Times++
		if in.counted && in.matched == 0 {
			idle++
		}
		doubt = cmp.Or(doubt, in.doubt)
		d.Matched += in.matched
		d.Touched += in.touched
		d.Unit = cmp.Or(in.unit, d.Unit)
		d.Names = append(d.Names, in.names...)
		counted, lifted = counted && in.counted, lifted && in.lifted
		if in.lifted {
			d.Lifted = time.Unix(0, in.to).UTC()
		}
	}
	slices.Sort(d.Names)
	d.Names = slices.Compact(d.Names)
	if !lifted {
		d.Lifted = time.Time{}
	}
	d.Unknown = !counted
	d.Reason = cmp.Or(doubt, d.toothless(counted, lifted)) // what it touched, it did not for all of that time
	if d.Reason == "" && idle > 0 {
		d.Reason = fmt.Sprintf("in %d of its %d times no %s that it could have touched came by", idle, d.Times, d.noun(1))
	}
	if d.Reason == "" && t.wasSkipped(d.Name) {
		d.Reason = "it was skipped once: " + cmp.Or(t.skipped[d.Name], "no reason was given")
	}
	d.Bit = d.Reason == ""
	return d
}

// toothless says why a disruption did not bite, "" if it did.
func (d Disrupted) toothless(counted, lifted bool) string {
	switch {
	case !counted && !lifted:
		return "it was not lifted in the record, and what it touched is not known"
	case !counted:
		return "what it touched is not known"
	case d.Touched == 0 && d.Matched == 0:
		return fmt.Sprintf("no %s that it could have touched came by", d.noun(1))
	case d.Touched == 0:
		return "it touched none of " + d.Amount(d.Matched)
	case d.Touched > d.Matched:
		return fmt.Sprintf("it is said to have touched %s of %s", countText(d.Touched), d.Amount(d.Matched))
	}
	if !slices.Contains(drawn, cmp.Or(d.Unit, "requests")) {
		if d.Touched < d.Matched {
			return fmt.Sprintf("it touched only %s of %s", countText(d.Touched), d.Amount(d.Matched))
		}
		return ""
	}
	seen := evidence.Share(d.Touched, d.Matched, biteConfidence)
	slack := min(shareSlack, slackOfShare*d.Share)
	if d.Share > seen.High+slack || d.Share < seen.Low-slack {
		return fmt.Sprintf("it touched %s of %s, which is not the asked %s", countText(d.Touched), d.Amount(d.Matched), percentText(d.Share))
	}
	return ""
}

// Amount says a number of what the disruption touches: 1 request, 20 pods.
func (d Disrupted) Amount(n uint64) string { return countText(n) + " " + d.noun(n) }

// noun is what the disruption touches, in the singular for 1.
func (d Disrupted) noun(n uint64) string {
	plural := cmp.Or(d.Unit, "requests")
	if n != 1 {
		return plural
	}
	if stem, ok := strings.CutSuffix(plural, "ies"); ok { // queries, proxies
		return stem + "y"
	}
	if stem, ok := strings.CutSuffix(plural, "sses"); ok { // processes
		return stem + "ss"
	}
	return strings.TrimSuffix(plural, "s")
}

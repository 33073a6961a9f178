package plan

import (
	"errors"
	"slices"
	"time"

	"resilience/gates"
)

// validWaivers wants each waiver to be for a gate that is there, and gives it to
// that gate.
func validWaivers(c *checker, p *Plan) {
	for i := range p.Waivers {
		w, at := &p.Waivers[i], c.under("waivers[%d]", i)
		at.words("owner", w.Owner)
		at.words("reason", w.Reason)
		at.reference("phase", w.Phase, "phase", "phases", phaseNames(p))
		if at.clean("gate") && at.clean("phase") && at.given("gate") {
			at.waive(p, w)
		}
	}
}

func phaseNames(p *Plan) []string {
	names := make([]string, len(p.Phases))
	for i, phase := range p.Phases {
		names[i] = phase.Name
	}
	return names
}

// waive finds the gates that a waiver is for.
func (c *checker) waive(p *Plan, w *Waiver) {
	g, err := gates.Parse(w.Gate)
	if wrong := (*gates.SyntaxError)(nil); errors.As(err, &wrong) {
		n := c.values[c.at("gate")]
		c.fail(c.at("gate"), c.within(n, w.Gate, wrong.Offset), "", "%s", wrong.Msg)
		return
	}
	wanted, found := g.String(), false
	var others []string
	for i := range p.Phases {
		phase := &p.Phases[i]
		if w.Phase != "" && phase.Name != w.Phase {
			continue
		}
		for k := range phase.Gates {
			gate := &phase.Gates[k].Gate
			if gate.String() != wanted {
				others = append(others, gate.Text)
				continue
			}
			found = true
			gate.Waiver = &gates.Waiver{Owner: w.Owner, Reason: w.Reason, Expires: time.Time(w.Expires).Add(24 * time.Hour)}
		}
	}
	if !found {
		slices.Sort(others)
		c.wrong("gate", didYouMean(w.Gate, slices.Compact(others)), "no gate reads %q", shorten(w.Gate))
	}
}

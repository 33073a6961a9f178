package plan

import "fmt"

// SparesUsers is an error where a disruption would hurt users: the phase is
// production, or what it acts on is, and the plan does not say that this is
// meant. What a plan says is checked when it is loaded; this is for what comes
// while it runs.
func (p Phase) SparesUsers(d Disruption) error {
	if why := p.serves(&d); why != "" && !p.Disrupt {
		return fmt.Errorf("users are served here, as %s says: a disruption would hurt them; say disrupt_production: true in the phase if that is meant", why)
	}
	return nil
}

package plan

// SparesUsers is an error where a disruption would hurt users: the phase is
// production, or the address of its target or what it acts on is, and the plan
// does not say that this is meant. What a plan says is checked when it is loaded;
// this is for what is known only while it runs.
func (p Phase) SparesUsers(d Disruption, address string) error {
	if why := p.serves(&d, address); why != "" && !p.Disrupt {
		return Misfitf("users are served here, as %s says: a disruption would hurt them; say disrupt_production: true in the phase if that is meant", why)
	}
	return nil
}

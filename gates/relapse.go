package gates

// watchRecovery asks for what tells whether the system recovered after the
// disruption that was lifted last.
func (j *judge) watchRecovery(all []Gate) {
	last := -1
	for i, in := range j.now.timeline.injections {
		if in.lifted && (last < 0 || in.to >= j.now.timeline.injections[last].to) {
			last = i
		}
	}
	if last < 0 {
		return
	}
	after := Period{Kind: After, Name: j.now.timeline.injections[last].name}
	for _, c := range j.jobs {
		if c.row.kind == recoveryKind && c.gate.Of == "" && c.inst.period == after {
			return // a gate says it
		}
	}
	row, _ := lookUp("recovery")
	c := &job{gate: Gate{SLI: row.Name, Period: after}, inst: j.now.timeline.instance(after), row: row}
	j.findCompanions(c, all)
	if c.missing == "" {
		j.last = c
	}
}

// relapse warns when the steady gates never held again after the disruption
// that was lifted last.
func (j *judge) relapse() {
	if j.last == nil {
		return
	}
	name := j.last.inst.period.Name
	r := j.recover(j.last, len(j.last.companions[0].injections)-1, "")
	if !r.found && r.shortfall == "" {
		j.now.timeline.warn("never recovered after %s: the steady gates did not hold again within %s after it was lifted", name, unitText(r.seen, UnitTime))
	}
}

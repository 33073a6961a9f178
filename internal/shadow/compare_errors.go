package shadow

import "net/http"

// CompareAgain is [Comparer.Compare] for answers to what a user asked before, and was
// answered with the status told, 0 where nobody knows it. Where both versions fail and
// the user's answer does not tell that they should, the two are [Undecidable], however
// much alike they are: two versions that are down, or that let nobody in, tell nothing
// of what users would be answered. A rule that ignores the status of the route says
// that they are meant to answer so; no rule says that of answers that are missing.
//
// Where the baseline alone fails, as who is asked twice does when it limits how often it
// is asked, the two are [Unserved]: of the candidate nothing is wrong that is known.
func (c *Comparer) CompareAgain(route string, told int, baseline, candidate Response) []Difference {
	if found, alone := c.failsAlone(route, told, baseline, candidate); alone {
		return found
	}
	if !c.bothFail(route, told, baseline.Status, candidate.Status) {
		return c.Compare(route, baseline, candidate)
	}
	found := []Difference{undecidableStatus(baseline, candidate)}
	if baseline.Status != candidate.Status { // which is a difference as well
		found = append(c.Compare(route, baseline, candidate), found...)
	}
	return found
}

// CompareNoise is [Comparer.CompareAgain] for another answer of the baseline, once its
// first one was compared with the candidate's. Of two failures nothing is told.
func (c *Comparer) CompareNoise(route string, told int, baseline, again Response) []Difference {
	if found, alone := c.failsAlone(route, told, baseline, again); alone {
		return found
	}
	if unserved(told, baseline.Status) && unserved(told, again.Status) {
		return nil
	}
	return c.Compare(route, baseline, again)
}

// failsAlone tells that the baseline failed where users and the other answer did not,
// unless a rule says that its status does not matter there.
func (c *Comparer) failsAlone(route string, told int, baseline, other Response) (found []Difference, alone bool) {
	if !unserved(told, baseline.Status) || unlikeTold(told, other.Status) {
		return nil, false
	}
	rules := c.routes.of(route).spot(statusPlace, Unserved)
	if rules.ignored && baseline.Status != 0 {
		return nil, false
	}
	a, b := outcome(baseline), outcome(other)
	return []Difference{{
		Place: statusPlace, Kind: Unserved, Baseline: excerpt(a), Candidate: excerpt(b), expected: c.rules.expected(rules.expect, a, b),
	}}, true
}

// unserved reports whether a status is that of one who could not answer at all, or not
// so often, where the user was answered.
func unserved(told, status int) bool {
	switch status {
	case told:
		return false
	case 0, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// undecidableStatus is that nobody knows whether two answers match in their status.
func undecidableStatus(baseline, candidate Response) Difference {
	return Difference{Place: statusPlace, Kind: Undecidable, Baseline: excerpt(outcome(baseline)), Candidate: excerpt(outcome(candidate))}
}

// undecidedByStatus reports whether a difference is one of those.
func undecidedByStatus(d Difference) bool { return d.Place == statusPlace && d.Kind == Undecidable }

// isUnserved reports whether a difference is that the baseline alone failed.
func isUnserved(d Difference) bool { return d.Kind == Unserved }

// uncompared reports whether this is all that is known of two answers, so that what the
// baseline's differs in from another one of it says nothing either, but that it failed
// alone.
func uncompared(found []Difference) bool { return len(found) == 1 && undecidedByStatus(found[0]) }

// statusPlace is the place of a status.
const statusPlace = "status"

// bothFail reports whether the answers are undecidable by their statuses.
func (c *Comparer) bothFail(route string, told, baseline, candidate int) bool {
	if !unlikeTold(told, baseline) || !unlikeTold(told, candidate) {
		return false
	}
	ignored := c.routes.of(route).spot(statusPlace, Undecidable).ignored
	return baseline == 0 || candidate == 0 || !ignored
}

// unlikeTold reports whether a status is a failure, or leads elsewhere, and what a
// user was told does not say that this is the right answer.
func unlikeTold(told, status int) bool {
	switch {
	case status == 0:
		return true
	case status == told:
		return false
	case leadsElsewhere(status): // to a login, or to https
		return told/100 == 2 || told == http.StatusNotModified
	case status < 400:
		return false
	}
	return told != 0 && told < 400 || !mayBeMeant(status)
}

func leadsElsewhere(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// mayBeMeant reports whether an error can be the right answer to what a user asked,
// such as 404, rather than to who replays it, how fast, or when.
func mayBeMeant(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500
}

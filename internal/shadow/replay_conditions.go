package shadow

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A condition asks for something only if it has, or has not, changed since an answer
// told of it (RFC 9110, section 13.1): by an ETag or a time that this answer gave.
// Those of a recording are of what users had in their caches, and tell one version that
// nothing has changed while the other one writes its ETags in another way. So a
// condition is sent only where each version has given, in this replay, what it asks by:
// then each is asked by its own. Where one has not, nobody is asked by it.

// conditionNames are the headers of conditions.
var conditionNames = []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"}

// validatorNames are the headers of answers that conditions ask by.
var validatorNames = []string{"Etag", "Last-Modified"}

// validatorsMost is how many of them are remembered of one session and lane.
const validatorsMost = 300

// takeConditions takes the conditions out of the headers of a request, and a range that
// hangs on one. "*" is no answer's, and stays.
func takeConditions(h http.Header) (taken http.Header) {
	for _, name := range conditionNames {
		values := h[name]
		if len(values) == 0 || slices.Equal(values, []string{"*"}) {
			continue
		}
		if taken == nil {
			taken = http.Header{}
		}
		taken[name] = values
		delete(h, name)
		if parts := h["Range"]; name == "If-Range" && len(parts) > 0 {
			taken["Range"] = parts
			delete(h, "Range")
		}
	}
	return taken
}

// conditions are those of one exchange.
type conditions struct {
	recorded http.Header
	decided  sync.Once
	own      []http.Header // by lane, what it is asked by
	withheld bool          // a write may not be sent without what it was to depend on
}

// unmetReason is why a write is not sent.
const unmetReason = "it was to happen only if nothing had changed (If-Match or the like), and no answer of this replay has told since when: replay the exchange that asks for it, or carry the value by rule"

// decide tells once, for all lanes alike, which conditions are sent, and whether the
// exchange is sent at all.
func (j *job) decide() (send bool) {
	j.header()
	c := &j.conditions
	if len(c.recorded) == 0 {
		return true
	}
	c.decided.Do(func() {
		c.own = make([]http.Header, len(j.answers))
		var known []map[string][]string
		if j.session != nil {
			known = j.session.conditions(j)
		}
		for name := range c.recorded {
			if name != "Range" {
				j.condition(name, known)
			}
		}
	})
	return !c.withheld
}

// condition decides on one of them.
func (j *job) condition(name string, known []map[string][]string) {
	c := &j.conditions
	all := len(known) > 0 && !slices.ContainsFunc(known, func(lane map[string][]string) bool { return lane[name] == nil })
	switch {
	case all:
	case !safeMethod(j.Request.Method):
		c.withheld = true
		return
	case j.replaying.stream.Beside != nil:
		return
	}
	for i := range c.own {
		if c.own[i] == nil {
			c.own[i] = http.Header{}
		}
		c.own[i][name] = c.recorded[name] // users were answered to that, where nobody else is
		if all {
			c.own[i][name] = known[i][name]
		}
		if parts := c.recorded["Range"]; name == "If-Range" && parts != nil {
			c.own[i]["Range"] = parts
		}
	}
}

// conditions gives what each lane can be asked by, in place of what was recorded.
func (s *session) conditions(j *job) (known []map[string][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inherit()
	for i := range j.answers {
		c, own := s.lane(i), map[string][]string{}
		for name, values := range j.conditions.recorded {
			if ruled := j.replaying.sessions.ruled(name, j.Route, c); ruled != "" {
				own[name] = []string{ruled}
			} else if value := c.condition(j.Request.Target, strings.Join(values, ", ")); value != "" {
				own[name] = []string{value}
			}
		}
		known = append(known, own)
	}
	return known
}

// ruled gives what a rule puts into a header of a route, "" where none does.
func (s *sessions) ruled(name, route string, c *carried) string {
	for i, rule := range s.rules {
		to := rule.to
		if to.Kind != "header" || !strings.EqualFold(to.Name, name) || to.Route != "*" && !isReplayRoute(route, to.Route) {
			continue
		}
		if value, ok := c.ruled[i]; ok {
			return strings.ReplaceAll(rule.as, "{}", value)
		}
	}
	return ""
}

// condition gives this lane's own of a recorded condition: of several ETags those that
// are known, "" for none.
func (c *carried) condition(target, recorded string) string {
	if own := c.validators.values[validatorKey(target, recorded)]; own != "" {
		return own
	}
	var some []string
	for _, tag := range entityTags(recorded) {
		if own := c.validators.values[validatorKey(target, tag)]; own != "" {
			some = append(some, own)
		}
	}
	return strings.Join(some, ", ")
}

// entityTags takes a list of ETags apart; there may be commas within one.
func entityTags(list string) (tags []string) {
	quoted, begin := false, 0
	for i, c := range []byte(list + ",") {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && (!quoted || i == len(list)):
			tags = append(tags, strings.TrimSpace(list[begin:i]))
			begin = i + 1
		}
	}
	return tags
}

// validatorKey is what a lane's own of a recorded validator is remembered by: others
// may have the same one.
func validatorKey(target, recorded string) string { return target + " " + recorded }

// validatorsOf gives what stands for the validators of a recorded answer, also where it
// is the same.
func validatorsOf(target string, recorded, own Response) (found map[string]string) {
	if own.Status/100 != 2 && own.Status != http.StatusNotModified {
		return nil
	}
	for _, name := range validatorNames {
		was, is := recorded.Header[name], own.Header[name]
		if len(was) == 0 || len(is) == 0 || len(was[0])+len(is[0]) > 1024 {
			continue
		}
		if found == nil {
			found = map[string]string{}
		}
		found[validatorKey(target, was[0])] = is[0]
	}
	return found
}

// put puts those of a lane into the headers of its request, and gives how many are
// carried.
func (c *conditions) put(lane int, headers http.Header) (own http.Header, n int) {
	if c.own == nil || len(c.own[lane]) == 0 {
		return headers, 0
	}
	own = headers.Clone()
	for name, values := range c.own[lane] {
		own[name] = values
		if !slices.Equal(values, c.recorded[name]) {
			n++
		}
	}
	return own, n
}

// apart reports whether two answers to the same conditional request differ because it
// was met by one alone. That tells what each had in mind, and nothing of whether they
// match: of one of them there is no body, or not all of it.
func apart(asked http.Header, a, b int) bool {
	if a == b || !slices.ContainsFunc(conditionNames, func(name string) bool { return asked.Get(name) != "" }) {
		return false
	}
	unmet := func(status int) bool {
		return status == http.StatusNotModified || status == http.StatusPreconditionFailed
	}
	part := a == http.StatusPartialContent || b == http.StatusPartialContent
	switch {
	case a/100 == 2 && b/100 == 2:
		return part && asked.Get("If-Range") != ""
	case a/100 == 2:
		return unmet(b)
	}
	return b/100 == 2 && unmet(a)
}

// apart reports whether answers are not compared because of a recorded condition.
func (c *comparing) apart(j *job, baseline Response) bool {
	return c.p.stream.Beside == nil && apart(j.Request.Header, baseline.Status, j.answers[0].Status)
}

// tellConditions says what became of the conditions that users asked by.
func (p *replaying) tellConditions() {
	if n := p.tally.apart.Load(); n > 0 {
		p.record.warn("%d exchanges were not compared: users had asked whether something had changed (If-None-Match or the like), and either they or the candidate were answered that it had not; replay with a baseline, of which the same can be asked", n)
	}
}

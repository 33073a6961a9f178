package shadow

import (
	"container/list"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is remembered of sessions.
const (
	sessionsMost = 20_000
	valuesMost   = 500     // of one session and lane
	valuesAll    = 400_000 // of all, some 80 MB
)

// sessions remember what the answers of each session gave, for each lane its own.
// Those that were not heard of for the longest time are forgotten first.
type sessions struct {
	rules []carryRule
	used  []atomic.Uint64 // how often each rule put a value into a request

	mu     sync.Mutex
	byName map[string]*session
	recent *list.List // of *session, the latest first
	values int        // of all sessions
	made   uint64     // sessions, ever
}

// session is what is known of one.
type session struct {
	name   string
	number uint64 // later ones have higher ones
	place  *list.Element

	asked  uint64 // exchanges; only reading uses it
	waited lanesWaiting

	mu      sync.Mutex
	parent  *session  // that it goes on, until it is asked for; see origins
	lanes   []carried // what stands for recorded values, by lane
	written bool      // a tenant has written in its name, who goes on with it

	values int // in its lanes; as all sessions' are, under their lock
}

// carried are the values of one lane.
type carried struct {
	recalled                // by the recorded value; see carryKey
	ruled    map[int]string // by the number of the rule
	cookies  map[string]string

	validators recalled // what conditions ask by; see validatorKey
}

// recalled are some values, the latest ones.
type recalled struct {
	values map[string]string
	order  []string // of their keys, the oldest first
}

// set remembers a value, and forgets the oldest one where there are too many.
func (r *recalled) set(key, value string, most int) {
	if r.values == nil {
		r.values = map[string]string{}
	}
	if _, known := r.values[key]; !known {
		if len(r.order) >= most {
			delete(r.values, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, key)
	}
	r.values[key] = value
}

func newSessions(rules []carryRule) *sessions {
	return &sessions{rules: rules, used: make([]atomic.Uint64, len(rules)), byName: map[string]*session{}, recent: list.New()}
}

// of gives a session by its name.
func (s *sessions) of(name string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byName[name]; known != nil {
		s.recent.MoveToFront(known.place)
		return known
	}
	if len(s.byName) >= sessionsMost {
		s.forget()
	}
	s.made++
	known := &session{name: name, number: s.made}
	known.place = s.recent.PushFront(known)
	s.byName[name] = known
	return known
}

// forget forgets the session that was not heard of for the longest time; the lock
// is held.
func (s *sessions) forget() {
	last := s.recent.Remove(s.recent.Back()).(*session)
	delete(s.byName, last.name)
	s.values -= last.values
	last.values = 0
}

// holds notes how many values a session has now, and makes room for them.
func (s *sessions) holds(known *session, values int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[known.name] != known {
		return // it was forgotten meanwhile
	}
	s.values += values - known.values
	known.values = values
	for s.values > valuesAll && s.recent.Back() != known.place {
		s.forget()
	}
}

// lane gives the values of a lane.
func (s *session) lane(number int) *carried {
	for len(s.lanes) <= number {
		s.lanes = append(s.lanes, carried{})
	}
	return &s.lanes[number]
}

// rule remembers what the rules found.
func (c *carried) rule(found map[int]string) {
	if c.ruled == nil && len(found) > 0 {
		c.ruled = map[int]string{}
	}
	maps.Copy(c.ruled, found)
}

// bake keeps a cookie, or forgets it where the answer takes it back.
func (c *carried) bake(cookie *http.Cookie) {
	over := cookie.MaxAge < 0 || !cookie.Expires.IsZero() && cookie.Expires.Before(time.Now())
	switch _, known := c.cookies[cookie.Name]; {
	case over:
		delete(c.cookies, cookie.Name)
	case known || len(c.cookies) < valuesMost:
		if c.cookies == nil {
			c.cookies = map[string]string{}
		}
		c.cookies[cookie.Name] = cookie.Value
	}
}

// learnt is what an answer gave that later requests may need.
type learnt struct {
	values     map[string]string
	validators map[string]string
	cookies    []*http.Cookie
	ruled      map[int]string
}

// learn takes from the answers to a job what later requests of its session may
// need.
func (s *sessions) learn(j *job) {
	was, own := treeOf(j.Response.Body)
	if own {
		defer was.release()
	}
	all := make([]learnt, len(j.answers))
	for i := range j.answers {
		a := &j.answers[i]
		if a.err != "" {
			continue
		}
		if len(a.Header["Set-Cookie"]) > 0 {
			all[i].cookies = (&http.Response{Header: a.Header}).Cookies()
		}
		all[i].ruled = ruledBy(s.rules, j.Route, a.Response)
		all[i].values = paired(j.Request, j.Response, a.Response, was)
		all[i].validators = validatorsOf(j.Request.Target, j.Response, a.Response)
	}
	s.holds(j.session, j.session.keep(all, j.rung == rungTenant))
}

// keep remembers what a job's answers gave, by lane, and gives how many values that
// makes.
func (s *session) keep(all []learnt, written bool) (values int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range all {
		c := s.lane(i)
		for key, value := range f.values {
			c.set(key, value, valuesMost)
		}
		for key, value := range f.validators {
			c.validators.set(key, value, validatorsMost)
		}
		c.rule(f.ruled)
		for _, cookie := range f.cookies {
			c.bake(cookie)
		}
		values += len(c.values) + len(c.cookies) + len(c.validators.values)
	}
	s.written = s.written || written
	return values
}

// carriedCounts are how many values were put into a request, by where they came from.
type carriedCounts struct{ found, ruled, cookies int }

// put makes the request that a lane sends for a recorded one: with this lane's
// values in place of the recorded ones. Lanes may share its headers.
func (s *sessions) put(j *job, lane int) (r Request, n carriedCounts) {
	r = j.Request
	headers, secrets := j.header()
	r.Header = headers
	if j.session != nil {
		n = s.putOwn(&r, j, lane, secrets)
	}
	var conditions int // last, as these are a lane's own, and no recorded ones
	r.Header, conditions = j.conditions.put(lane, r.Header)
	n.found += conditions
	return r, n
}

// putOwn puts what a session has learnt of a lane into its request.
func (s *sessions) putOwn(r *Request, j *job, lane int, secrets http.Header) (n carriedCounts) {
	j.session.mu.Lock()
	defer j.session.mu.Unlock()
	j.session.inherit()
	c := j.session.lane(lane)
	if len(c.values)+len(c.cookies)+len(c.ruled) == 0 {
		return n
	}
	r.Header = r.Header.Clone()
	if len(c.values) > 0 {
		n.found = c.substitute(r, secrets)
	}
	if len(c.cookies) > 0 && j.Request.Header.Get("Cookie") != "" {
		own := c.ownCookies(j.kept)
		r.Header.Set("Cookie", strings.Join(append(own, j.kept...), "; "))
		n.cookies = len(own)
	}
	n.ruled = s.rule(r, j.Route, c)
	return n
}

// rule puts what the rules found into a request of a route, and gives how many values
// that were.
func (s *sessions) rule(r *Request, route string, c *carried) (n int) {
	for i, rule := range s.rules {
		value, ok := c.ruled[i]
		if !ok || rule.to.Route != "*" && !isReplayRoute(route, rule.to.Route) {
			continue
		}
		if rule.to.write(r, strings.ReplaceAll(rule.as, "{}", value)) {
			s.used[i].Add(1)
			n++
		}
	}
	return n
}

// wrote reports whether a tenant writes in the name of a session.
func (s *sessions) wrote(known *session) bool {
	if known == nil {
		return false
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	return known.written
}

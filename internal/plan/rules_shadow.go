package plan

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/gates"
)

// shadowRules are those of a shadow test, each about a part of it.
var shadowRules = []func(*checker, *Phase, *Shadow){
	shadowRecording, shadowPace, shadowChoice, shadowBaseline, shadowNoise, shadowWrites, shadowCarry, shadowCompare, shadowRedact, shadowLimits,
}

func (c *checker) shadow(p *Phase, s *Shadow) {
	for _, rule := range shadowRules {
		rule(c, p, s)
	}
}

func shadowRecording(c *checker, _ *Phase, s *Shadow) { c.file("recording", s.Recording) }

func shadowPace(c *checker, _ *Phase, s *Shadow) {
	if c.given("speed") && c.given("rate") {
		c.wrongKey("rate", "keep one of the two", "a shadow test can not have both speed: and rate:")
	} else if c.given("rate") && s.Rate <= 0 {
		c.wrong("rate", "", "rate must be more than 0")
	}
	if c.given("duration") && s.Duration == 0 {
		c.wrong("duration", "leave it out to replay all of the recording", "duration must be more than 0s")
	} else if s.Warmup+s.Duration > maxDuration {
		c.wrong("", "", "shadow would last %s, longer than 30 days", s.Warmup+s.Duration)
	}
	if c.given("limit") && s.Limit == 0 {
		c.wrong("limit", "leave it out to replay all of the recording", "limit must be more than 0")
	}
}

func shadowChoice(c *checker, _ *Phase, s *Shadow) {
	if c.given("sample") && s.Sample == 0 {
		c.wrong("sample", "", "sample must be more than 0%%")
	}
	if s.From != nil && s.To != nil && c.clean("from") && !time.Time(*s.From).Before(time.Time(*s.To)) {
		c.wrong("to", "", "to must be later than from")
	}
	for key, names := range map[string]Names{"routes": s.Routes, "tenants": s.Tenants, "hosts": s.Hosts} {
		if c.given(key) && (len(names) == 0 || slices.Contains(names, "")) {
			c.wrong(key, "leave it out for all", "%s is empty", key)
		}
	}
}

func shadowBaseline(c *checker, p *Phase, s *Shadow) {
	switch {
	case c.given("baseline") && s.Baseline != Recorded:
		c.wrong("baseline", "the baseline of the phase is named there: baseline: TARGET", "baseline wants recorded, or nothing; got %q", shorten(s.Baseline))
	case !c.given("baseline") && p.Baseline.Target == "":
		c.wrong("", "give the phase a baseline: TARGET, or write baseline: recorded", "shadow has nothing to compare the candidate with: the phase has no target as its baseline")
	}
}

func shadowNoise(c *checker, p *Phase, s *Shadow) {
	if !c.given("noise") || !c.clean("baseline") {
		return
	}
	target := s.NoiseTarget()
	switch {
	case s.AgainstRecorded() && s.Noise != NoNoise:
		c.wrong("noise", "leave it out", "noise of recorded answers can not be told: nothing is asked of a baseline")
	case target == "":
	case c.plan.Targets[target].URL == "":
		words := append(named(c.plan.Targets), NoiseTwice, Recorded, NoNoise)
		c.wrong("noise", didYouMean(target, words), "noise wants twice, recorded, none or a target; there is no target %q", shorten(target))
	case target == p.Candidate:
		c.wrong("noise", "name another target with the version of the baseline, or write twice", "what the candidate answers does not tell what differs anyway")
	case target == p.Baseline.Target:
		c.wrong("noise", "", "noise: twice asks the baseline twice")
	}
}

// redactShape is a path of names with dots between them, and [*] for all of a list.
var redactShape = regexp.MustCompile(`^(\$\.?)?((\[\*\])+(\.|$))?([^.\[\]$]+(\[\*\])*(\.[^.\[\]$]+(\[\*\])*)*)?$`)

func shadowRedact(c *checker, _ *Phase, s *Shadow) {
	for _, path := range s.Redact {
		if strings.Trim(path, "$.") == "" || strings.HasSuffix(path, ".") || !redactShape.MatchString(path) {
			c.wrong("redact", "write names with dots between them, and [*] for all of a list: cards[*].number", "redact wants paths in JSON bodies; got %q", shorten(path))
		}
	}
}

// routeShape is METHOD and a path.
var routeShape = regexp.MustCompile(`^[A-Z]+ /[^ ]*$`)

func shadowWrites(c *checker, _ *Phase, s *Shadow) {
	if s.Writes == nil {
		return
	}
	at := c.under(".writes")
	if at.given("routes") && len(s.Writes.Routes) == 0 {
		at.wrong("routes", "leave writes out for none", "routes is empty")
	}
	for _, route := range s.Writes.Routes {
		method, _, _ := strings.Cut(route, " ")
		switch {
		case !routeShape.MatchString(route):
			at.wrong("routes", "", "a route of writes is a method and a path, such as POST /search; got %q", shorten(route))
		case method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions:
			at.wrong("routes", "leave it out", "%s is sent anyway: its method changes nothing", shorten(route))
		}
	}
	if problem := wrongHeader(s.Writes.Idempotency, ""); at.given("idempotency") && problem != "" {
		at.wrong("idempotency", "", "%s", problem)
	}
	at.writesAs(s.Writes)
	at.compensation(s.Writes)
}

// writesAs wants the tenant who writes to be one of the plan.
func (c *checker) writesAs(w *Writes) {
	if !c.given("tenant") {
		return
	}
	names := make([]string, len(c.tenants))
	for i, t := range c.tenants {
		names[i] = t.Name
	}
	switch {
	case c.plan.Tenants == nil:
		c.wrongKey("tenant", "say where they are: tenants: {file: tenants.yaml}", "the plan has no tenants")
	case len(c.tenants) > 0 && !slices.Contains(names, w.Tenant):
		c.wrong("tenant", didYouMean(w.Tenant, names), "there is no tenant %q", shorten(w.Tenant))
	}
}

// compensation wants each route that a tenant writes by to be undone, or to be
// said to need none.
func (c *checker) compensation(w *Writes) {
	if c.given("compensate") && !c.given("tenant") {
		c.wrongKey("compensate", "write tenant: NAME beside it", "compensate: goes with the tenant who writes")
		return
	}
	for _, route := range slices.Sorted(slices.Values(named(w.Compensate))) {
		key := `compensate["` + route + `"]`
		switch undo := w.Compensate[route]; {
		case !slices.Contains(w.Routes, route):
			c.wrongKey(key, didYouMean(route, w.Routes), "compensate names a route that writes: does not have: %q", shorten(route))
		case undo != NoUndo && !routeShape.MatchString(undo):
			c.wrong(key, "", "what undoes a route is a method and a path, such as DELETE /orders/{id}, or none; got %q", shorten(undo))
		}
	}
	if !c.given("tenant") || !c.clean("") {
		return
	}
	for _, route := range w.Routes {
		if w.Compensate[route] == "" {
			c.wrong("routes", fmt.Sprintf("write compensate: {%q: \"DELETE /...\"}, or none where nothing has to be undone", route), "nothing undoes what %s makes", route)
			return
		}
	}
}

func shadowCarry(c *checker, _ *Phase, s *Shadow) {
	for i, carry := range s.Carry {
		at := c.under(".carry[%d]", i)
		if _, err := ParseCarryPlace(carry.From, "body", "header"); at.given("from") && err != nil {
			at.wrong("from", "", "from %s", err)
		}
		if _, err := ParseCarryPlace(carry.To, "path", "query", "header", "body"); at.given("to") && err != nil {
			at.wrong("to", "", "to %s", err)
		}
		if at.given("as") && !strings.Contains(carry.As, "{}") {
			at.wrong("as", "write for example: as: Bearer {}", "as does not say where the value goes: it has no {}")
		}
	}
}

// differenceKinds are the kinds of differences, as package shadow tells them apart.
var differenceKinds = []string{"changed", "missing", "added", "type", "format", "length", "order", "encoding", "time", "id", "failed", "damaged"}

func shadowCompare(c *checker, _ *Phase, s *Shadow) {
	at := c.under(".compare")
	compare := s.Compare
	for _, field := range compare.Ignore {
		at.field("ignore", field)
	}
	for i, e := range compare.Expect {
		one := at.under(".expect[%d]", i)
		if one.given("field") {
			one.field("field", e.Field)
		}
		if one.given("kind") && !slices.Contains(differenceKinds, e.Kind) {
			one.wrong("kind", didYouMean(e.Kind, differenceKinds), "there is no kind %q of differences", shorten(e.Kind))
		}
	}
	for _, field := range named(compare.Tolerate) {
		key := `tolerate["` + field + `"]`
		at.field(key, field)
		if wrong := wrongTolerance(compare.Tolerate[field]); wrong != "" {
			at.wrong(key, "", "%s", wrong)
		}
	}
	for _, field := range named(compare.Keys) {
		key := `keys["` + field + `"]`
		at.field(key, field)
		if strings.Trim(compare.Keys[field], " ,") == "" {
			at.wrong(key, "write for example: body.items: sku", "a list wants the field that tells its items apart")
		}
	}
	for _, name := range compare.Headers {
		if problem := wrongHeader(name, ""); problem != "" {
			at.wrong("headers", "", "%s", problem)
		}
	}
	if at.given("false_alarms") && (compare.FalseAlarms <= 0 || compare.FalseAlarms > 0.2) {
		at.wrong("false_alarms", "1% is a good number", "false_alarms is more than 0%% and at most 20%%; got %s", compare.FalseAlarms)
	}
}

// field wants a place in an answer, with or without a route.
func (c *checker) field(key, field string) {
	place, route, confined := strings.Cut(field, " of ")
	if !IsPlace(strings.TrimSpace(place)) && !strings.HasPrefix(place, "of ") || confined && strings.TrimSpace(route) == "" {
		c.wrong(key, "", "a field is written as status, header NAME or body.NAME[].NAME, with of ROUTE where it is one route's; got %q", shorten(field))
	}
}

// placeShape is how places in answers are written, and patterns of them.
var placeShape = regexp.MustCompile(`^(?:\*.*|status\**|header(?:\.?\*+| [^\s:]+)?|body(?:\.(?:"(?:[^"\\]|\\.)*"|[^.\[\]"\s]+)|\[\*?\]|\*+)*)$`)

// IsPlace reports whether a text can be a place in an answer, or a pattern of some:
// status, header NAME, body and body.NAME[].NAME, with * for anything within a name and
// ** for anything.
func IsPlace(text string) bool { return placeShape.MatchString(text) }

// wrongTolerance says why nobody knows what is tolerated, "" when it is known.
func wrongTolerance(amount string) string {
	if amount == "any order" {
		return ""
	}
	number, part := strings.CutSuffix(amount, "%")
	if n, err := strconv.ParseFloat(number, 64); err == nil && n > 0 && (!part || n <= 100) {
		return ""
	}
	if d, err := time.ParseDuration(amount); err == nil && d > 0 {
		return ""
	}
	return fmt.Sprintf("a tolerance is a number such as 0.01, a part such as 1%%, a time such as 5s, or any order; got %q", shorten(amount))
}

func shadowLimits(c *checker, _ *Phase, s *Shadow) {
	if c.given("max_vus") && (s.MaxVUs < 1 || s.MaxVUs > maxShadowVUs) {
		c.wrong("max_vus", "", "max_vus is 1 to %d; got %d", maxShadowVUs, s.MaxVUs)
	}
	switch most := maxShadowBodies / Size(max(s.MaxVUs, 1)); {
	case c.given("max_body") && (s.MaxBody < 1 || s.MaxBody > maxShadowBody):
		c.wrong("max_body", "", "max_body is 1B to %s; got %s", maxShadowBody, s.MaxBody)
	case c.given("max_body") && s.MaxBody > max(most, defaultShadowBody):
		c.wrong("max_body", fmt.Sprintf("set max_vus to %d", maxShadowBodies/s.MaxBody), "max_body of %s for max_vus of %d is more than %s", s.MaxBody, s.MaxVUs, maxShadowBodies)
	}
	if c.given("timeout") && s.Timeout == 0 {
		c.wrong("timeout", "", "timeout must be more than 0s")
	}
}

// comparesAnswers wants a gate about mismatches to have answers to look at.
func comparesAnswers(c *checker, p *Phase, g *Gate) {
	if !c.clean("") || g.SLI != gates.Mismatch {
		return
	}
	for _, t := range p.Tests {
		if t.Shadow != nil && (g.From == "" || g.From == t.Name) {
			return
		}
	}
	c.wrong("", "add one, or point from at it", "%s is of a shadow test, and there is none that it could be of", gates.Mismatch)
}

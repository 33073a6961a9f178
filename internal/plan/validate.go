package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"resilience/gates"
)

// The rules of a plan, each a small function. They look at decoded values;
// what could not be decoded has been reported already and is left alone.
var (
	planRules = []func(*checker, *Plan){
		somePhases, validNames, uniquePhases, validEnv, validAllow, validSecrets, validServices, serviceOrder,
		validTargets, validDependencies, validRemotes, listenOnce, writeOnce, distinctVariables, validAlerts, validFailureModes, validObjectives, validModel, validWaivers,
		validSources, validQueries, validInflux, validOTLP, validTenants, validDistribute, validCanary,
	}
	phaseRules = []func(*checker, *Phase){
		validPhase, validBaseline, validAborts, validWatch, validExtend, scriptsSpareUsers, uniqueTests, uniqueDisruptions, validSweeps, validInjects, validGates,
	}
	testRules = []func(*checker, *Phase, *Test){
		validTestName, oneKind,
	}
	profileRules = []func(*checker, *Profile){
		scriptOrRequests, shapedByScript, rateOrVUs, lengthGiven, validStages, validLimits, validParallel, actsAs, validArrival, validProfileEnv, filesExist, columnsExist,
	}
	requestRules = []func(*checker, *Request){
		validRequest, validExpect,
	}
	disruptionRules = []func(*checker, *Phase, *Disruption){
		validDisruption, validDisruptionAborts, sparesUsers, fewerThanAll, validAfter, validRepeat, oneFault, onePlace, validMatch, validLatency, validError, withinTests,
		validDependencyFault, validCertificate, validDNS, validModifiers, validDistribution, validGRPCError, validShapes, validGRPCMatch,
		knownServices, validKubernetes, validDrop, validPodLife, validProcess, validContainer, validKill, validRestart, validCPU, validMemory, validDisk, validExec, validHTTP,
	}
	gateRules = []func(*checker, *Phase, *Gate){
		knownDisruption, longEnough, knownTest, knownObjective, knownModel, knownGroup, validOptions, fitsQuery, comparesAnswers,
	}
)

// checker is the part of a plan that a rule looks at.
type checker struct {
	*decoder
	plan *Plan
	path string // of the part
}

func (c *checker) under(format string, args ...any) *checker {
	return &checker{c.decoder, c.plan, c.path + fmt.Sprintf(format, args...)}
}

// validate applies the rules.
func (d *decoder) validate(p *Plan) {
	c := &checker{decoder: d, plan: p}
	for _, rule := range planRules {
		rule(c, p)
	}
	for i := range p.Phases {
		c.under("phases[%d]", i).phase(&p.Phases[i])
	}
	if d.has("defaults.test") && p.Defaults.Test != nil {
		validLimits(c.under("defaults.test"), p.Defaults.Test)
	}
}

func (c *checker) phase(p *Phase) {
	for _, rule := range phaseRules {
		rule(c, p)
	}
	for i := range p.Tests {
		c.under(".tests[%d]", i).test(p, &p.Tests[i])
	}
	for i := range p.Disruptions {
		for _, part := range c.parts(&p.Disruptions[i]) {
			for _, rule := range disruptionRules {
				rule(c.under(".disruptions[%d]", i), p, part)
			}
		}
	}
	for i := range p.Gates {
		for _, rule := range gateRules {
			rule(c.under(".gates[%d]", i), p, &p.Gates[i])
		}
	}
}

func (c *checker) test(phase *Phase, t *Test) {
	for _, rule := range testRules {
		rule(c, phase, t)
	}
	if t.Canary != nil {
		validCanaryTest(c.under(".canary"), t.Canary)
	}
	if t.Shadow != nil {
		c.under(".shadow").shadow(phase, t.Shadow)
	}
	for kind, profile := range t.kinds() {
		if profile == nil {
			continue
		}
		under := c.under(".%s", kind)
		for _, rule := range profileRules {
			rule(under, profile)
		}
		for i := range profile.Requests {
			for _, rule := range requestRules {
				rule(under.under(".requests[%d]", i), &profile.Requests[i])
			}
		}
	}
}

// clean reports whether nothing at or below a key of the part was found wrong.
func (c *checker) clean(key string) bool {
	path := c.at(key)
	return !slices.ContainsFunc(c.bad, func(bad string) bool {
		return bad == path || strings.HasPrefix(bad, path) && (path == "" || strings.ContainsAny(bad[len(path):len(path)+1], ".["))
	})
}

// at gives the path of a key of the part; "" is the part itself.
func (c *checker) at(key string) string {
	if key == "" || c.path == "" || strings.HasPrefix(key, "[") {
		return c.path + key
	}
	return c.path + "." + key
}

// given reports whether the plan says something for a key of the part.
func (c *checker) given(key string) bool { return c.has(c.at(key)) }

// wrong reports a mistake in the value of a key of the part, or in the part
// when it has no such key. Nothing is reported twice.
func (c *checker) wrong(key, hint, format string, args ...any) {
	path := c.at(key)
	if !c.clean(key) {
		return
	}
	if n := c.values[path]; n != nil {
		c.fail(path, n.place, hint, format, args...)
		return
	}
	if n := c.values[c.path]; n != nil {
		c.fail(path, n.place, hint, format, args...)
		return
	}
	c.fail(path, place{c.root.place.file, 1, 1}, hint, format, args...)
}

// wrongKey reports a mistake in a key itself.
func (c *checker) wrongKey(key, hint, format string, args ...any) {
	path := c.at(key)
	if at, ok := c.keys[path]; ok && !slices.Contains(c.bad, path) {
		c.fail(path, at, hint, format, args...)
	}
}

// oneOf wants just one of some keys and reports whether that is so.
func (c *checker) oneOf(what string, keys ...string) bool {
	var given []string
	for _, k := range keys {
		if c.given(k) {
			given = append(given, k)
		}
	}
	switch len(given) {
	case 1:
		return true
	case 0:
		c.wrong("", "", "%s wants one of %s", what, choice(keys))
	default:
		c.wrongKey(given[1], "keep one of the two", "%s can not have both %s: and %s:", what, given[0], given[1])
	}
	return false
}

// reference wants a value to be one of the names under a key of the plan.
func (c *checker) reference(key, name, what, under string, names []string) {
	if c.given(key) && !slices.Contains(names, name) && !slices.Contains(c.bad, under) {
		c.wrong(key, didYouMean(name, names), "there is no %s %q", what, name)
	}
}

// unique wants no name twice in a list.
func (c *checker) unique(what, key string, names []string) {
	seen := map[string]bool{}
	for i, name := range names {
		if seen[name] && name != "" {
			c.wrong(fmt.Sprintf("%s[%d].name", key, i), "give it another name", "there are two %s called %q", what, name)
		}
		seen[name] = true
	}
}

// wrongName says why a name can not be used, nothing when it can.
func wrongName(name string) string {
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
	if !plain || name == "" {
		return fmt.Sprintf("a name holds letters, digits, - _ and . only; got %q", shorten(name))
	}
	if err := gates.ValidName(name); err != nil {
		return err.Error()
	}
	return ""
}

// named gives the names in a map.
func named[V any](m map[string]V) []string { return slices.Collect(maps.Keys(m)) }

// choice writes some words: a, b or c.
func choice(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

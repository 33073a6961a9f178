package plan

import (
	"slices"

	"resilience/gates"
)

// maxCopies bounds the arithmetic on parallel parts.
const maxCopies = 1000

// validModel wants every part of the model to say how available it is, once.
func validModel(c *checker, p *Plan) {
	if p.Model != nil {
		c.under("model").part(p.Model, map[string]bool{})
	}
}

// part checks one part and what it consists of; seen are the names before it.
func (c *checker) part(p *Part, seen map[string]bool) {
	if !c.oneOf("a part of the model", "promised", "dependency", "transaction", "series", "parallel") {
		return
	}
	c.words("name", p.Name)
	switch {
	case c.given("promised"):
		if !c.given("name") {
			c.wrong("promised", "", "a part that is promised wants name:")
		}
		c.once("name", p.Name, seen)
	case c.given("dependency"):
		c.reference("dependency", p.Dependency, "dependency", "dependencies", named(c.plan.Dependencies))
		if c.plan.Dependencies[p.Dependency].Toxiproxy != nil {
			c.wrong("dependency", "", "%s is behind Toxiproxy, where nothing is measured", p.Dependency)
		}
		c.once("dependency", p.Dependency, seen)
	case c.given("transaction"):
		c.words("transaction", p.Transaction)
		c.once("transaction", p.Transaction, seen)
	case c.given("series"):
		if len(p.Series) == 0 {
			c.wrong("series", "", "series wants parts")
		}
		for i := range p.Series {
			c.under(".series[%d]", i).part(&p.Series[i], seen)
		}
	case p.Parallel != nil:
		c.under(".parallel").parallel(p.Parallel, seen)
	}
}

// once refuses a part that is there already: what is composed would take it to
// fail independently of itself.
func (c *checker) once(key, name string, seen map[string]bool) {
	if seen[name] && c.given(key) {
		c.wrong(key, "put what several parts need in series with all of them", "%s is in the model twice, and would fail independently of itself", name)
	}
	seen[name] = true
}

func (c *checker) parallel(p *Parallel, seen map[string]bool) {
	n := len(p.Of)
	switch {
	case !c.given("copies"):
		if c.given("of") && n < 2 {
			c.wrong("of", "or say how many copies: there are of the one", "parallel wants two parts or more")
		}
	case n != 1:
		c.wrong("copies", "", "copies: are of one part; of: has %d", n)
	case p.Copies < 2 || p.Copies > maxCopies:
		c.wrong("copies", "", "copies is 2 to %d; got %d", maxCopies, p.Copies)
	default:
		n = p.Copies
	}
	if c.given("need") && c.clean("copies") && c.clean("of") && (p.Need < 1 || p.Need > n) {
		c.wrong("need", "", "need is 1 to %d, as many as there are; got %d", n, p.Need)
	}
	for i := range p.Of {
		c.under(".of[%d]", i).part(&p.Of[i], seen)
	}
}

// knownModel wants a model where a gate asks what it composes.
func knownModel(c *checker, _ *Phase, g *Gate) {
	if c.plan.Model == nil && (g.SLI == "composed" || composes(g.Value)) {
		c.wrong("", "say what the system consists of under model:", "composed wants a model: the plan has none")
	}
}

// composes reports whether a value asks what the model composes.
func composes(v gates.Value) bool {
	return v.SLI == "composed" || slices.ContainsFunc(v.Args, composes)
}

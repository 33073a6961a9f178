package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"resilience/gates"
)

// validObjectives wants promises that can be judged.
func validObjectives(c *checker, p *Plan) {
	for _, name := range slices.Sorted(slices.Values(named(p.Objectives))) {
		o, at := p.Objectives[name], c.under(`objectives["%s"]`, name)
		if at.given("share") && (o.Share <= 0 || o.Share >= 1) {
			at.wrong("share", "", "share is over 0%% and under 100%%: what nothing may break has no budget; got %s", o.Share)
		}
		if at.given("over") && o.Over < Duration(24*time.Hour) {
			at.wrong("over", "", "over is 1d to 30d; got %s", o.Over)
		}
		at.words("of", o.Of)
		at.together("an objective", "good", "total")
		if o.Queried() {
			at.counting(p, o)
		}
		if o.Queried() && at.given("of") {
			at.wrongKey("of", "say it in the queries", "of: is for attempts of a run; the events of this objective are counted by queries")
		}
	}
}

// counting wants queries that count events in a window, and somebody to put
// them to.
func (c *checker) counting(p *Plan, o Objective) {
	c.from(p, Query{From: o.From})
	influx := p.Telemetry[o.From].InfluxDB != ""
	for key, query := range map[string]string{"good": o.Good, "total": o.Total} {
		if !c.given(key) || !c.clean(key) {
			continue
		}
		for _, word := range queryWords {
			if strings.Contains(query, "${query."+word+"}") && !slices.Contains([]string{"window", "from", "to"}, word) {
				c.wrong(key, "", "the events of an objective are counted whatever is running: ${query.%s} means nothing here", word)
			}
		}
		if !influx && !strings.Contains(query, "${query.window}") {
			c.wrong(key, "", "the query is asked over several windows: write ${query.window} where its length belongs")
		}
	}
	if influx && c.clean("good") && c.clean("total") {
		c.influxQL(p, Query{From: o.From, Good: o.Good, Total: o.Total})
	}
}

// together wants all of some keys where there is one of them.
func (c *checker) together(what string, keys ...string) {
	for _, key := range keys {
		for _, other := range keys {
			if c.given(key) && !c.given(other) {
				c.wrongKey(key, "", "%s with %s: wants %s:, too", what, key, other)
				return
			}
		}
	}
}

// knownObjective wants gates on budgets and burn rates to mean an objective,
// and to ask nothing of it that its queries can not tell.
func knownObjective(c *checker, _ *Phase, g *Gate) {
	if g.SLI != "budget" && g.SLI != "burn" {
		return
	}
	names := slices.Sorted(slices.Values(named(c.plan.Objectives)))
	name := g.Of
	switch {
	case len(names) == 0:
		c.wrong("", "say what is promised under objectives:", "%s wants an objective: the plan has none", g.SLI)
		return
	case name == "" && len(names) > 1:
		c.wrong("", fmt.Sprintf("write for example: %s of %s", g.SLI, names[0]), "the plan has several objectives: say of which")
		return
	case name == "":
		name = names[0]
	case !slices.Contains(names, name):
		c.inGate(g, "of", "of", name, didYouMean(name, names), "the plan has no objective")
		return
	}
	asked := g.Period.Kind != gates.Steady && g.Period.Kind != gates.Overall && g.Period.Kind != "" || g.From != "" || len(g.Where) > 0 || g.Each != ""
	if c.plan.Objectives[name].Queried() && asked {
		c.wrong("", "leave out the period, from and for", "the events of %s are counted by queries, over windows of their own", name)
	}
}

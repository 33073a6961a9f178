package gates

import (
	"slices"
	"strings"
)

// maxDepth is how deep max(...) and min(...) may nest.
const maxDepth = 8

// objective reads the right side of a gate and checks that it is something
// the SLI can be compared with.
func (p *parser) objective(g *Gate) *SyntaxError {
	v, err := p.value(*g, 0)
	if err != nil {
		return err
	}
	g.Value = v
	return nil
}

func (p *parser) value(g Gate, depth int) (Value, *SyntaxError) {
	if p.done() {
		return Value{}, p.fail(p.pos, "a value is missing; write for example: %s", exampleValue(g.SLI))
	}
	for _, kind := range []string{"max", "min"} {
		if start := p.pos; p.keyword(kind) {
			if p.peek() == '(' {
				return p.pair(g, kind, depth)
			}
			p.pos = start
		}
	}
	if p.peekBaseline() {
		return p.baseline(g)
	}
	if digits, at, ok := p.digits(); ok {
		return p.number(g, digits, at)
	}
	return p.other(g)
}

func (p *parser) pair(g Gate, kind string, depth int) (Value, *SyntaxError) {
	at := p.pos
	if depth >= maxDepth {
		return Value{}, p.fail(at, "values nest deeper than %d", maxDepth)
	}
	v := Value{Kind: kind}
	for i, before := range []string{"(", ","} {
		if !p.take(before) {
			return Value{}, p.fail(p.pos, "%s takes two values in brackets: %q is missing (argument %d)", kind, before, i+1)
		}
		arg, err := p.value(g, depth+1)
		if err != nil {
			return Value{}, err
		}
		v.Args = append(v.Args, arg)
	}
	if !p.take(")") {
		return Value{}, p.fail(p.pos, `%s takes two values in brackets: ")" is missing`, kind)
	}
	return v, nil
}

// number reads the unit after the digits and checks it against the SLI.
func (p *parser) number(g Gate, digits string, at int) (Value, *SyntaxError) {
	u, unitAt, err := p.unit()
	if err != nil {
		return Value{}, err
	}
	n, bad := u.base(digits)
	if bad != nil {
		return Value{}, p.fail(at, "%v", bad)
	}
	if err := p.checkNumber(g, u, n, at, unitAt); err != nil {
		return Value{}, err
	}
	return Value{Kind: "number", Number: n, Unit: u.settle(n).name}, nil
}

func (p *parser) checkNumber(g Gate, u unit, n float64, at, unitAt int) *SyntaxError {
	row, known := lookUp(g.SLI)
	switch {
	case u.kind == "points":
		return p.fail(unitAt, "pp stands beside baseline only: baseline - 1pp")
	case !known:
		return nil
	case u.kind == row.Unit, slices.Contains(row.Also, u.kind), row.Unit == UnitRatio && u.kind == UnitCount:
	default:
		return p.fail(unitAt, "%s", wrongUnit(g.SLI, row, u))
	}
	switch {
	case n < 0:
		return p.fail(at, "%s can not be negative", g.SLI)
	case u.kind == UnitShare && n > 1:
		return p.fail(at, "%s can not be over 100%%", g.SLI)
	case u.kind == UnitShare && (g.Op == ">" && n == 1 || g.Op == "<" && n == 0):
		return p.fail(at, "%s can never be %s %s", g.SLI, g.Op, u.text(n))
	}
	return nil
}

func wrongUnit(name string, row SLI, u unit) string {
	got := "no unit"
	if u.name != "" {
		got = "the unit " + u.name
	}
	return name + " is " + unitWords[row.Unit] + " and can not have " + got + "; write for example " + exampleValue(name)
}

// unitWords describes each unit in error messages.
var unitWords = map[string]string{
	UnitShare: "a share", UnitTime: "a time", UnitRate: "a rate", UnitRatio: "a plain number", UnitCount: "a plain number",
}

// exampleValue shows how a value of the SLI is written.
func exampleValue(name string) string {
	row, _ := lookUp(name)
	switch row.Unit {
	case UnitTime:
		return "300ms"
	case UnitRate:
		return "50/s"
	case UnitRatio:
		return "1.5"
	case UnitShare:
		if row.Better == "<=" {
			return "1%"
		}
		return "99.5%"
	}
	return "100"
}

// unit reads the unit after a number; there may be a space before it. Words
// of the grammar that follow a number without a unit are left alone.
func (p *parser) unit() (unit, int, *SyntaxError) {
	none, _ := findUnit("")
	spaced := p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0
	start := p.pos
	if p.take("%") {
		u, _ := findUnit("%")
		return u, start, nil
	}
	at := p.pos
	w, err := p.name()
	if err != nil {
		p.pos = start
		return none, start, nil
	}
	if u, ok := findUnit(w.text); ok && !w.quoted {
		return u, at, nil
	}
	if spaced {
		p.pos = start
		return none, start, nil
	}
	return none, at, p.fail(at, "unknown unit %q%s", shorten(w.text), unitHint(w.text))
}

// unitWritings are words for units that people write instead.
var unitWritings = map[string]string{
	"sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "millis": "ms", "min": "m", "mins": "m",
	"minutes": "m", "hours": "h", "percent": "%", "pct": "%", "rps": "/s", "qps": "/s", "rpm": "/m", "µs": "us",
	"/sec": "/s", "/second": "/s", "/min": "/m", "/hour": "/h", "ns": "us",
}

func unitHint(written string) string {
	if right, ok := unitWritings[strings.ToLower(written)]; ok {
		return "; did you mean " + right + "?"
	}
	if hint := didYouMean(written, unitNames()); hint != "" {
		return hint
	}
	return " (one of " + strings.Join(unitNames(), " ") + ", or none)"
}

// peekBaseline reports whether the word baseline comes next, and not an SLI
// whose name begins with it.
func (p *parser) peekBaseline() bool {
	start := p.pos
	w, err := p.identifier()
	p.pos = start
	return err == nil && !w.quoted && w.text == "baseline"
}

// baseline reads "baseline" and the change after it.
func (p *parser) baseline(g Gate) (Value, *SyntaxError) {
	if _, err := p.identifier(); err != nil {
		return Value{}, err
	}
	v := Value{Kind: "baseline"}
	if g.SLI == "recovery" {
		return v, p.fail(p.pos, "recovery is compared with a time, not with a baseline")
	}
	return p.changes(g, v, "baseline")
}

// changes reads what may follow a value of a name: + 10%, - 1pp, * 1.2.
func (p *parser) changes(g Gate, v Value, name string) (Value, *SyntaxError) {
	for _, change := range []string{"+", "-", "*"} {
		if p.take(change) {
			v.Change = change
			return p.change(g, v, name)
		}
	}
	return v, nil
}

func (p *parser) change(g Gate, v Value, name string) (Value, *SyntaxError) {
	digits, at, ok := p.digits()
	if !ok || strings.HasPrefix(digits, "-") {
		return v, p.fail(at, "a number is expected after %s %s", name, v.Change)
	}
	u, unitAt, err := p.unit()
	if err != nil {
		return v, err
	}
	n, bad := u.base(digits)
	if bad != nil {
		return v, p.fail(at, "%v", bad)
	}
	if msg := changeUnit(g.SLI, v.Change, u); msg != "" {
		return v, p.fail(unitAt, "%s", msg)
	}
	v.Number, v.Unit = n, u.settle(n).name
	return v, nil
}

// changeUnit says why a unit can not change a baseline of this SLI.
func changeUnit(name, change string, u unit) string {
	row, known := lookUp(name)
	switch {
	case change == "*" && u.name != "":
		return "it is multiplied by a plain number: * 1.2"
	case change == "*", u.kind == UnitShare:
		return ""
	case u.kind == "points":
		if known && row.Unit != UnitShare {
			return "pp are percentage points of a share; " + name + " is none: write %"
		}
		return ""
	case known && row.Unit == UnitShare:
		return "write pp for percentage points or % for a relative change"
	case known && u.kind != row.Unit && !slices.Contains(row.Also, u.kind):
		return wrongUnit(name, row, u)
	}
	return ""
}

// other reads an SLI on the right side.
func (p *parser) other(g Gate) (Value, *SyntaxError) {
	p.space()
	at := p.pos
	if r := p.text[at]; strings.IndexByte("<>=+*%(),", r) >= 0 {
		return Value{}, p.fail(at, "a value is expected here, not %q", r)
	}
	name, stat, err := p.sli(append(sliNames(), "baseline"))
	if err != nil {
		return Value{}, err
	}
	left, known := lookUp(g.SLI)
	right, also := lookUp(name)
	switch {
	case name == "recovery" || g.SLI == "recovery":
		return Value{}, p.fail(at, "recovery is compared with a time")
	case alone(left.kind):
		return Value{}, p.fail(at, "%s is compared with a number only", g.SLI)
	case right.kind == objectiveKind:
		return Value{}, p.fail(at, "%s is compared with a number only", name)
	case left.kind == noticeKind || right.kind == noticeKind:
		return Value{}, p.fail(at, "%s is compared with a time", g.SLI)
	case known && also && left.Unit != right.Unit:
		return Value{}, p.fail(at, "%s is %s and %s is %s: they can not be compared", g.SLI, unitWords[left.Unit], name, unitWords[right.Unit])
	}
	v := Value{Kind: "sli", SLI: name, Stat: stat}
	if right.kind == modelKind {
		return p.changes(g, v, name)
	}
	return v, nil
}

// check looks at what only a whole gate shows.
func (p *parser) check(g Gate) *SyntaxError {
	if g.SLI == "recovery" {
		if g.Period.Kind != After && g.Period.Kind != AfterEach {
			return p.fail(len(strings.TrimRight(p.text, " \t\r\n")), "recovery is counted from the end of a disruption: write after NAME or after each")
		}
		if g.Of != "" {
			if row, ok := lookUp(g.Of); !ok || row.kind != shareKind && row.kind != quantileKind {
				return p.fail(0, "recovery of %s: name an SLI that is a share or a latency%s", g.Of, didYouMean(g.Of, sliNames()))
			}
		}
	}
	if row := slis[g.SLI]; alone(row.kind) && row.kind != scoreKind {
		if err := p.checkAlone(g, row); err != nil {
			return err
		}
	}
	if OfTimes(g) {
		if err := p.checkNotice(g); err != nil {
			return err
		}
	}
	if row, _ := lookUp(g.SLI); row.kind == scoreKind {
		if err := p.checkScore(g); err != nil {
			return err
		}
	}
	if g.SLI == "delivered" && g.Of != "" {
		return p.fail(0, "arrivals belong to a whole test: write delivered from TEST")
	}
	if count, share := countsAndShares(g.Value); count && share {
		return p.fail(0, "a count and a share can not be compared; use one unit in the whole value")
	}
	return nil
}

// checkNotice looks at gates that only events decide.
func (p *parser) checkNotice(g Gate) *SyntaxError {
	end := len(strings.TrimRight(p.text, " \t\r\n"))
	_, absolute := constant(g.Value)
	switch {
	case g.SLI == "alert" && g.Of == "":
		return p.fail(end, "name the alert: alert HighErrors within 60s during NAME")
	case g.Period.Kind != During && g.Period.Kind != DuringEach:
		return p.fail(end, "%s is counted from the injection of a disruption: write during NAME or during each", g.SLI)
	case !absolute:
		return p.fail(end, "%s is compared with a time", g.SLI)
	case g.From != "" || len(g.Where) > 0 || g.Each != "":
		return p.fail(end, "%s is of the whole system: leave out from and for", g.SLI)
	}
	return nil
}

// checkScore looks at gates over the other gates.
func (p *parser) checkScore(g Gate) *SyntaxError {
	end := len(strings.TrimRight(p.text, " \t\r\n"))
	_, absolute := constant(g.Value)
	switch {
	case g.Period.Kind != Steady && g.Period.Kind != Overall:
		return p.fail(end, "a score is of all gates, whatever their periods: leave out %s", g.Period)
	case !absolute:
		return p.fail(end, "a score is compared with a number")
	case g.From != "" || len(g.Where) > 0 || g.Each != "":
		return p.fail(end, "a score is of all gates: leave out from and for")
	}
	return nil
}

// alone reports whether an SLI is compared with numbers only.
func alone(k kind) bool { return k == objectiveKind || k == modelKind || k == scoreKind }

// checkAlone looks at gates on a budget, a burn rate and what a model composes.
func (p *parser) checkAlone(g Gate, row SLI) *SyntaxError {
	end := len(strings.TrimRight(p.text, " \t\r\n"))
	steady := g.Period.Kind == Steady || g.Period.Kind == Overall
	_, absolute := constant(g.Value)
	switch {
	case !absolute:
		return p.fail(end, "%s is compared with a number only", g.SLI)
	case g.Op[0] != row.Better[0]:
		return p.fail(strings.Index(p.text, string(g.Op)), "%s is good when it is %s: write %s", g.SLI,
			map[Op]string{"<=": "low", ">=": "high"}[row.Better], row.Better)
	case g.SLI == "composed" && g.Of != "":
		return p.fail(end, "there is one model: leave out of")
	case g.SLI != "burn" && (g.From != "" || len(g.Where) > 0 || g.Each != ""):
		return p.fail(end, "%s is of the whole system: leave out from and for", g.SLI)
	case g.SLI == "budget" && !steady:
		return p.fail(end, "a budget is of the objective's window: leave out the period")
	}
	return nil
}

// countsAndShares looks for plain numbers and shares among the values.
func countsAndShares(v Value) (count, share bool) {
	switch v.Kind {
	case "number":
		return v.Unit == "", v.Unit == "%"
	case "max", "min":
		for _, arg := range v.Args {
			c, s := countsAndShares(arg)
			count, share = count || c, share || s
		}
	}
	return count, share
}

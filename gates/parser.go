package gates

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// filterKeys are the fields of a series that a gate can choose by.
var filterKeys = []string{"tenant", "class", "cell", "region", "instance"}

// ops are the comparisons. Longer ones come first, so that "<=" is not read
// as "<".
var ops = []Op{"<=", ">=", "==", "<", ">"}

// Parse reads a gate as a sentence:
//
//	SLI [pN[.N] | mean | max] [of NAME] [from TEST] OP VALUE
//	    [for TENANT | for [not] KEY=VALUE | for each KEY]
//	    [overall | in steady | during D | during each | after D | after each]
//
// OP is <=, >=, <, > or ==; "within" is another way to write <=, and "alert
// NAME" of "alert of NAME", so that "alert HighErrors within 60s during D"
// reads as it is said.
//
// NAME is a transaction, a step or a route; a route without a method, such as
// /orders/:id, is meant with any: it names "GET /orders/:id" as well. The error
// is a [*SyntaxError] with the place of the mistake.
func Parse(text string) (Gate, error) {
	trimmed := strings.TrimSpace(text)
	p := parser{lexer: lexer{text: text}}
	switch {
	case trimmed == "":
		return Gate{}, p.fail(0, "a gate can not be empty; write for example: availability >= 99.5%%")
	case len(text) > maxText:
		return Gate{}, p.fail(maxText, "a gate can not be longer than %d bytes", maxText)
	case !utf8.ValidString(text):
		return Gate{}, p.fail(0, "a gate must be valid UTF-8")
	}
	g, err := p.gate()
	if err != nil {
		return Gate{}, err
	}
	g.Text = trimmed
	return g, nil
}

type parser struct{ lexer }

func (p *parser) gate() (Gate, *SyntaxError) {
	g := Gate{Period: Period{Kind: Steady}}
	steps := []func(*Gate) *SyntaxError{p.subject, p.scope, p.op, p.objective, p.clauses}
	for _, step := range steps {
		if err := step(&g); err != nil {
			return Gate{}, err
		}
	}
	if err := p.check(g); err != nil {
		return Gate{}, err
	}
	return g, nil
}

// subject reads the SLI and its statistic.
func (p *parser) subject(g *Gate) *SyntaxError {
	name, stat, err := p.sli(sliNames())
	if err != nil {
		return err
	}
	g.SLI, g.Stat = name, stat
	return nil
}

// sli reads the name of an SLI or metric and the statistic after it.
func (p *parser) sli(candidates []string) (string, Stat, *SyntaxError) {
	w, err := p.identifier()
	if err != nil {
		return "", Stat{}, err
	}
	row, known := lookUp(w.text)
	if w.quoted && known {
		return "", Stat{}, p.fail(w.at, "%s is an SLI; write it without quotes", w.text)
	}
	if !known && !w.quoted {
		if slices.Contains(reserved, w.text) {
			return "", Stat{}, p.fail(w.at, "an SLI is expected here, not %q", w.text)
		}
		if near := Nearest(w.text, candidates); near != "" && near != w.text && plainWord(w.text) {
			return "", Stat{}, p.fail(w.at, "unknown SLI %q; did you mean %s? (put the name of a k6 metric in quotes)", w.text, near)
		}
	}
	stat, err := p.stat()
	if err != nil {
		return "", Stat{}, err
	}
	if err := p.checkStat(w, row, known, stat); err != nil {
		return "", Stat{}, err
	}
	return w.text, stat, nil
}

func (p *parser) checkStat(w word, row SLI, known bool, stat Stat) *SyntaxError {
	switch {
	case known && row.Stat && stat.Kind == "":
		return p.fail(w.at, "%s is a distribution: say which value of it, for example %s p95", w.text, w.text)
	case known && !row.Stat && stat.Kind != "":
		return p.fail(w.at, "%s is one number: it has no %s", w.text, stat)
	}
	return nil
}

// stat reads p95, p99.9, mean or max; nothing is the zero Stat.
func (p *parser) stat() (Stat, *SyntaxError) {
	start := p.pos
	if p.keyword("mean") {
		return Stat{Kind: "mean"}, nil
	}
	if p.keyword("max") && p.peek() != '(' {
		return Stat{Kind: "max"}, nil
	}
	p.pos = start
	w, err := p.name()
	if err != nil || w.quoted || len(w.text) < 2 || w.text[0] != 'p' || w.text[1] < '0' || w.text[1] > '9' {
		p.pos = start
		return Stat{}, nil
	}
	sub := lexer{text: w.text[1:]}
	digits, _, _ := sub.digits()
	percent, _ := findUnit("%")
	q, bad := percent.base(digits)
	if bad != nil || !sub.done() || q <= 0 || q >= 1 {
		return Stat{}, p.fail(w.at, "%q is no quantile; write p50, p95, p99.9 (above 0 and below 100)", w.text)
	}
	return Stat{Kind: "quantile", Quantile: q}, nil
}

// scope reads "of NAME" and "from TEST".
func (p *parser) scope(g *Gate) *SyntaxError {
	if g.SLI == "alert" {
		if w, err := p.ahead().noun(); err == nil {
			_, _ = p.noun()
			g.Of = w.text
		}
	}
	for {
		p.space()
		at := p.pos
		var field *string
		switch {
		case p.keyword("of"):
			field = &g.Of
		case p.keyword("from"):
			field = &g.From
		default:
			return nil
		}
		if *field != "" {
			return p.fail(at, "%q is said twice", p.text[at:p.pos])
		}
		w, err := p.noun()
		if err != nil {
			return err
		}
		*field = w.text
	}
}

// ahead is a parser at the same place, to look what comes.
func (p *parser) ahead() *parser {
	look := *p
	return &look
}

// noun reads a name that is no word of the grammar unless it is quoted.
func (p *parser) noun() (word, *SyntaxError) {
	w, err := p.name()
	if err != nil {
		return w, err
	}
	if !w.quoted {
		if bad := ValidName(w.text); bad != nil {
			return w, p.fail(w.at, "%v", bad)
		}
	}
	return w, nil
}

func (p *parser) op(g *Gate) *SyntaxError {
	p.space()
	at := p.pos
	if p.done() {
		return p.fail(at, "a comparison is missing; write for example: >= 99.5%%")
	}
	for wrong, right := range map[string]string{"=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "===": "==", "!=": "<= or >="} {
		if strings.HasPrefix(p.text[at:], wrong) {
			return p.fail(at, "unknown comparison %q; did you mean %s?", wrong, right)
		}
	}
	for _, op := range ops {
		if p.take(string(op)) {
			g.Op = op
			return nil
		}
	}
	if p.keyword("within") {
		g.Op = "<="
		return nil
	}
	if p.take("=") {
		return p.fail(at, `unknown comparison "="; did you mean ==?`)
	}
	w, err := p.name()
	if err != nil {
		return p.fail(at, "a comparison is expected here: one of <= >= < > ==")
	}
	return p.fail(at, "a comparison (<= >= < > ==) is expected here, not %q%s", w.text, didYouMean(w.text, []string{"of", "from", "mean", "max"}))
}

// clauses reads what follows the value: filters and the period.
func (p *parser) clauses(g *Gate) *SyntaxError {
	period := false
	for !p.done() {
		at := p.pos
		if p.keyword("for") {
			if err := p.filter(g); err != nil {
				return err
			}
			continue
		}
		found, err := p.period(g)
		if err != nil {
			return err
		}
		if !found {
			return p.stray(at)
		}
		if period {
			return p.fail(at, "a gate has one period; this is the second")
		}
		period = true
	}
	return nil
}

func (p *parser) stray(at int) *SyntaxError {
	w, err := p.name()
	if err != nil {
		return p.fail(at, "this is not understood: %q", shorten(p.text[at:]))
	}
	words := []string{"for", "overall", "in", "during", "after"}
	switch w.text {
	case "of", "from":
		return p.fail(at, "%q belongs before the comparison", w.text)
	case "steady":
		words = []string{"in steady"}
		return p.fail(at, "write %s", words[0])
	}
	return p.fail(at, "this is not understood: %q%s", w.text, didYouMean(w.text, words))
}

func (p *parser) period(g *Gate) (bool, *SyntaxError) {
	switch {
	case p.keyword("overall"):
		g.Period = Period{Kind: Overall}
	case p.keyword("in"):
		if !p.keyword("steady") {
			return false, p.fail(p.pos, `"in" is followed by steady`)
		}
	case p.keyword("during"):
		return p.disruption(g, During, DuringEach)
	case p.keyword("after"):
		return p.disruption(g, After, AfterEach)
	default:
		return false, nil
	}
	return true, nil
}

func (p *parser) disruption(g *Gate, one, each PeriodKind) (bool, *SyntaxError) {
	if p.keyword("each") {
		g.Period = Period{Kind: each}
		return true, nil
	}
	w, err := p.noun()
	g.Period = Period{Kind: one, Name: w.text}
	return true, err
}

// filter reads what comes after "for".
func (p *parser) filter(g *Gate) *SyntaxError {
	if p.keyword("each") {
		w, err := p.key()
		if err == nil && g.Each != "" {
			err = p.fail(w.at, `"for each" is said twice`)
		}
		g.Each = w.text
		return err
	}
	f := Filter{Not: p.keyword("not")}
	start := p.pos
	w, err := p.noun()
	if err != nil {
		return err
	}
	if p.peek() != '=' {
		f.Key, f.Value = "tenant", w.text
		g.Where = append(g.Where, f)
		return nil
	}
	p.pos = start
	if w, err = p.key(); err != nil {
		return err
	}
	p.take("=")
	value, err := p.noun()
	f.Key, f.Value = w.text, value.text
	g.Where = append(g.Where, f)
	return err
}

func (p *parser) key() (word, *SyntaxError) {
	w, err := p.name()
	if err == nil && !slices.Contains(filterKeys, w.text) {
		err = p.fail(w.at, "unknown key %q%s (one of %s)", w.text, didYouMean(w.text, filterKeys), strings.Join(filterKeys, ", "))
	}
	return w, err
}

// plainWord tells names that look like SLIs from those that k6 metrics have.
func plainWord(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }) < 0
}

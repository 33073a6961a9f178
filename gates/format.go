package gates

import "strings"

// String gives the gate as a canonical sentence, which [Parse] reads back as
// the same gate. Options such as strict are not part of it.
func (g Gate) String() string {
	var b strings.Builder
	b.WriteString(g.Subject())
	if g.From != "" {
		b.WriteString(" from " + quote(g.From))
	}
	b.WriteString(" " + string(g.Op) + " " + g.Value.String())
	for _, f := range g.Where {
		b.WriteString(" for " + f.String())
	}
	if g.Each != "" {
		b.WriteString(" for each " + g.Each)
	}
	switch g.Period.Kind {
	case Steady, "":
	default:
		b.WriteString(" " + g.Period.String())
	}
	return b.String()
}

// Subject is what the gate looks at: "latency p95 of checkout".
func (g Gate) Subject() string {
	s := quoteSLI(g.SLI)
	if g.Stat.Kind != "" {
		s += " " + g.Stat.String()
	}
	if g.Of != "" {
		s += " of " + quote(g.Of)
	}
	return s
}

// quoteSLI writes the name of an SLI or metric; a metric that could be taken
// for something else is quoted.
func quoteSLI(name string) string {
	if _, known := lookUp(name); known {
		return name
	}
	p := parser{lexer: lexer{text: name + " <= 1"}}
	w, err := p.identifier()
	if err == nil && w.text == name && quote(name) == name && !(plainWord(name) && Nearest(name, append(sliNames(), "baseline")) != "") {
		return name
	}
	return forceQuote(name)
}

// String gives p95, mean or max; "" for no statistic.
func (s Stat) String() string {
	if s.Kind != "quantile" {
		return s.Kind
	}
	percent, _ := findUnit("%")
	return "p" + strings.TrimSuffix(percent.text(s.Quantile), "%")
}

// String gives "cell=a", "not tenant=b".
func (f Filter) String() string {
	s := f.Key + "=" + quote(f.Value)
	if f.Not {
		s = "not " + s
	}
	return s
}

// String gives "steady", "overall", "during payments-slow", "after each".
func (p Period) String() string {
	switch p.Kind {
	case During, After:
		return string(p.Kind) + " " + quote(p.Name)
	case "":
		return string(Steady)
	}
	return string(p.Kind)
}

// String gives the value as the grammar writes it.
func (v Value) String() string {
	switch v.Kind {
	case "number":
		return numberText(v)
	case "sli":
		s := quoteSLI(v.SLI)
		if v.Stat.Kind != "" {
			s += " " + v.Stat.String()
		}
		if v.Change != "" {
			s += " " + v.Change + " " + numberText(v)
		}
		return s
	case "baseline":
		if v.Change == "" {
			return "baseline"
		}
		return "baseline " + v.Change + " " + numberText(v)
	case "max", "min":
		var args []string
		for _, arg := range v.Args {
			args = append(args, arg.String())
		}
		return v.Kind + "(" + strings.Join(args, ", ") + ")"
	}
	return ""
}

func numberText(v Value) string {
	u, _ := findUnit(v.Unit)
	return u.text(v.Number)
}

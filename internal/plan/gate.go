package plan

import (
	"errors"
	"reflect"
	"strings"

	"resilience/gates"
)

// longGate is the long form of a gate: the one sentence, or the words of it
// under their names.
type longGate struct {
	Gate       string         `yaml:"gate,omitempty"`                                             // the whole sentence, instead of the words below
	SLI        string         `yaml:"sli,omitempty"`                                              // such as latency p95
	Of         string         `yaml:"of,omitempty"`                                               // a transaction, step or route
	From       string         `yaml:"from,omitempty"`                                             // a test
	Op         string         `yaml:"op,omitempty"`                                               // <=, >=, <, > or ==
	Value      string         `yaml:"value,omitempty"`                                            // such as 300ms or baseline + 10%
	For        string         `yaml:"for,omitempty"`                                              // such as tenant=a, not cell=b or each tenant
	Period     string         `yaml:"period,omitempty"`                                           // such as overall or during NAME
	Strict     bool           `yaml:"strict,omitempty"`                                           // the interval, too, must meet the objective
	MinSamples uint64         `yaml:"min_samples,omitempty"`                                      // instead of the computed number
	Confidence Percent        `yaml:"confidence,omitempty"`                                       // 50% to 99.99%; default 95%
	Severity   gates.Severity `yaml:"severity,omitempty" jsonschema:"enum=critical,enum=warning"` // critical, or warning: only reported; default critical
	Group      string         `yaml:"group,omitempty"`                                            // whose score it counts in, too
	Weight     uint64         `yaml:"weight,omitempty"`                                           // in scores; default 1
	Calibrate  uint64         `yaml:"calibrate,omitempty"`                                        // only warns until so many runs have judged it, and shown that it does not cry wolf
	Note       string         `yaml:"note,omitempty"`                                             // why the gate is there, for reports
}

// sentenceWords are the keys that make up a sentence and the words that stand
// before their values, in the order of the grammar.
var sentenceWords = []struct{ key, before string }{
	{"sli", ""}, {"of", "of "}, {"from", "from "}, {"op", ""}, {"value", ""}, {"for", "for "}, {"period", ""},
}

// decode reads a gate in either form.
func (g *Gate) decode(d *decoder, n *node, path string) {
	if n.kind == scalar {
		if text, ok := d.text(n, path); ok {
			g.Gate = d.sentence(text, path, func(offset int) place { return d.within(n, text, offset) })
		}
		return
	}
	if n.kind != mapping {
		d.fail(path, n.place, "write for example: availability >= 99.5%", "a gate wants a sentence, not %s", n.kind)
		return
	}
	var long longGate
	before := len(d.errs)
	d.value(n, reflect.ValueOf(&long).Elem(), path, "")
	if len(d.errs) > before {
		return
	}
	g.Gate = d.compose(long, n, path)
	g.Strict, g.MinSamples, g.Confidence = long.Strict, long.MinSamples, float64(long.Confidence)
	g.Severity, g.Group, g.Weight, g.Calibrate, g.Note = long.Severity, long.Group, long.Weight, long.Calibrate, long.Note
}

// sentence parses a gate; at gives the place of an offset in it.
func (d *decoder) sentence(text, path string, at func(offset int) place) gates.Gate {
	gate, err := gates.Parse(text)
	if err == nil {
		return gate
	}
	var wrong *gates.SyntaxError
	if errors.As(err, &wrong) {
		d.fail(path, at(wrong.Offset), "", "%s", wrong.Msg)
	} else {
		d.fail(path, at(0), "", "%s", err)
	}
	return gates.Gate{}
}

// within gives the place of an offset in a scalar: exact unless it holds
// variables, whose values are elsewhere.
func (d *decoder) within(n *node, text string, offset int) place {
	if text != n.text {
		return n.place
	}
	return n.at(offset)
}

// compose makes one sentence of the words of a long form.
func (d *decoder) compose(long longGate, n *node, path string) gates.Gate {
	if long.Gate != "" {
		for _, w := range sentenceWords {
			if d.has(join(path, w.key)) {
				d.fail(path, d.keys[join(path, w.key)], "keep one of the two", "gate: is the whole sentence already; %s: is one word of it", w.key)
			}
		}
		key := n.get("gate")
		return d.sentence(long.Gate, path, func(offset int) place { return d.within(key, long.Gate, offset) })
	}
	for _, key := range []string{"sli", "op", "value"} {
		if !d.has(join(path, key)) {
			d.fail(path, n.place, "write sli:, op: and value:, or the sentence as gate:", "a gate wants %s:", key)
			return gates.Gate{}
		}
	}
	var text strings.Builder
	var words []span
	for _, w := range sentenceWords {
		value := n.get(w.key)
		if value == nil {
			continue
		}
		if text.Len() > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(w.before)
		words = append(words, span{text.Len(), value})
		written, _ := d.text(value, path)
		text.WriteString(written)
	}
	return d.sentence(text.String(), path, func(offset int) place { return d.word(words, offset) })
}

// span is where the value of a word begins in a composed sentence.
type span struct {
	from  int
	value *node
}

// word gives the place of an offset in a composed sentence.
func (d *decoder) word(words []span, offset int) place {
	at := words[0]
	for _, w := range words {
		if w.from <= offset {
			at = w
		}
	}
	return d.within(at.value, *at.value.resolved, offset-at.from)
}

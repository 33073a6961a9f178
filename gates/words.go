package gates

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

var (
	outcomeWords = []string{"inconclusive", "pass", "fail"}
	causeWords   = []string{"none", "system", "evidence", "disruption", "generator"}
)

// String gives inconclusive, pass or fail.
func (o Outcome) String() string { return toWord(outcomeWords, int(o)) }

// MarshalText gives the word.
func (o Outcome) MarshalText() ([]byte, error) { return marshalWord(outcomeWords, int(o)) }

// UnmarshalText reads the word.
func (o *Outcome) UnmarshalText(text []byte) error {
	i, err := fromWord(outcomeWords, text)
	*o = Outcome(i)
	return err
}

// String gives none, system, evidence, disruption or generator.
func (c Cause) String() string { return toWord(causeWords, int(c)) }

// MarshalText gives the word.
func (c Cause) MarshalText() ([]byte, error) { return marshalWord(causeWords, int(c)) }

// UnmarshalText reads the word.
func (c *Cause) UnmarshalText(text []byte) error {
	i, err := fromWord(causeWords, text)
	*c = Cause(i)
	return err
}

func toWord(words []string, i int) string {
	if i < 0 || i >= len(words) {
		return fmt.Sprintf("unknown %d", i)
	}
	return words[i]
}

func marshalWord(words []string, i int) ([]byte, error) {
	if i < 0 || i >= len(words) {
		return nil, fmt.Errorf("%d is none of %v", i, words)
	}
	return []byte(words[i]), nil
}

func fromWord(words []string, text []byte) (int, error) {
	i := slices.Index(words, string(text))
	if i < 0 {
		return 0, fmt.Errorf("%q is none of %v", text, words)
	}
	return i, nil
}

// Options are what the long form of a gate says beside its sentence.
type Options struct {
	Strict     bool     `json:"strict,omitempty"`      // the interval, too, must meet the objective
	MinSamples uint64   `json:"min_samples,omitempty"` // instead of the computed number; 0 for that one
	Confidence float64  `json:"confidence,omitempty"`  // 0.5 to 0.9999; 0 for 0.95
	Severity   Severity `json:"severity,omitempty"`    // "" for critical
	Group      string   `json:"group,omitempty"`       // whose score it counts in, too; "" for none
	Weight     uint64   `json:"weight,omitempty"`      // in scores; 0 for 1
	Calibrate  uint64   `json:"calibrate,omitempty"`   // how many runs it only warns in before it decides
	Note       string   `json:"note,omitempty"`
}

// ParseWith reads a sentence and adds the options. The error is a
// [*SyntaxError] when the sentence is wrong.
func ParseWith(text string, o Options) (Gate, error) {
	g, err := Parse(text)
	if err != nil {
		return Gate{}, err
	}
	g.Options = o
	return g, g.checkOptions()
}

func (g Gate) checkOptions() error {
	if g.Confidence != 0 && !(g.Confidence >= 0.5 && g.Confidence <= 0.9999) {
		return fmt.Errorf("confidence must be between 50%% and 99.99%%, not %v", g.Confidence)
	}
	if !slices.Contains([]Severity{"", Critical, Warning}, g.Severity) {
		return fmt.Errorf("severity must be critical or warning, not %q%s", g.Severity,
			didYouMean(string(g.Severity), []string{string(Critical), string(Warning)}))
	}
	if g.Group != "" {
		if err := ValidName(g.Group); err != nil {
			return fmt.Errorf("group: %w", err)
		}
	}
	if g.Weight > maxWeight {
		return fmt.Errorf("weight must be at most %d, not %d", maxWeight, g.Weight)
	}
	return nil
}

// maxWeight keeps sums of weights exact.
const maxWeight = 1_000_000

// confidence is the gate's own, or the default.
func (g Gate) confidence() float64 {
	if !(g.Confidence >= 0.5 && g.Confidence <= 0.9999) {
		return 0.95
	}
	return g.Confidence
}

// plainGate has a gate's fields without its methods.
type plainGate Gate

// MarshalJSON gives the sentence and the options. A gate that was not parsed
// is written canonically.
func (g Gate) MarshalJSON() ([]byte, error) {
	if g.Text == "" && g.SLI != "" {
		g.Text = g.String()
	}
	return json.Marshal(plainGate(g))
}

// UnmarshalJSON reads what MarshalJSON wrote, or a bare sentence.
func (g *Gate) UnmarshalJSON(data []byte) error {
	var p plainGate
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &p.Text); err != nil {
			return err
		}
	} else if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	parsed, err := ParseWith(p.Text, p.Options)
	if err != nil {
		return errors.Join(fmt.Errorf("gate %q", shorten(p.Text)), err)
	}
	parsed.Advisory, parsed.Waiver = p.Advisory, p.Waiver
	*g = parsed
	return nil
}

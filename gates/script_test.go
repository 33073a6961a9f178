package gates

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// TestRules runs every file of the small test language in testdata; see
// testdata/README.md.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/*.gates")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".gates"), func(t *testing.T) { runScript(t, file) })
	}
}

const epoch = int64(1_750_000_000) * second

type script struct {
	now     *sheet
	before  []*sheet
	with    []Gate
	verdict Verdict
	checks  []Check // of the last judge, not yet expected
}

// sheet is one record being written.
type sheet struct {
	events     []measure.Event
	windows    []measure.Window
	objectives []Objective
	model      *Part
	err        error
}

func (s *sheet) record() Record {
	return Record{Phase: "p", Events: s.events, Objectives: s.objectives, Model: s.model, Windows: func(yield func(measure.Window, error) bool) {
		for _, w := range s.windows {
			if !yield(w, nil) {
				return
			}
		}
		if s.err != nil {
			yield(measure.Window{}, s.err)
		}
	}}
}

func (s *sheet) event(kind, test, name string, at int64, attrs map[string]string) {
	arm := attrs["arm"]
	s.events = append(s.events, measure.Event{Source: "s", Seq: uint64(len(s.events)), At: at, Kind: kind, Phase: "p", Test: test, Arm: arm, Name: name, Attrs: attrs})
}

func runScript(t *testing.T, file string) {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	s := &script{now: &sheet{}}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := s.line(line); err != nil {
			t.Errorf("%s:%d: %s\n\t%v", file, n, line, err)
		}
	}
	require.NoError(t, lines.Err())
	if len(s.checks) > 0 {
		t.Errorf("%s: %d checks of the last judge are not expected", file, len(s.checks))
	}
}

func (s *script) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "clear":
		*s = script{now: &sheet{}}
		return nil
	case "before", "another":
		if s.before == nil || word == "another" {
			s.before = append(s.before, &sheet{})
		}
		return s.before[len(s.before)-1].load(rest)
	case "with":
		g, err := parseOptions(rest)
		s.with = append(s.with, g)
		return err
	case "judge":
		return s.judge(rest)
	case "expect":
		return s.expect(rest)
	case "model":
		return json.Unmarshal([]byte(rest), &s.now.model)
	}
	return s.now.load(line)
}

func (s *script) judge(rest string) error {
	if len(s.checks) > 0 {
		return fmt.Errorf("%d checks of the last judge are not expected", len(s.checks))
	}
	all := append([]Gate(nil), s.with...)
	if rest != "nothing" {
		g, err := parseOptions(rest)
		if err != nil {
			return err
		}
		all = append(all, g)
	}
	r := s.now.record()
	r.Run.Started = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, b := range s.before {
		r.Baselines = append(r.Baselines, b.record())
	}
	s.verdict = Judge(all, r)
	s.checks = s.verdict.Checks[min(len(s.with), len(s.verdict.Checks)):]
	return nil
}

// parseOptions reads a gate and, behind a semicolon, what its long form says.
func parseOptions(line string) (Gate, error) {
	text, options, _ := strings.Cut(line, ";")
	o, advisory, waiver := Options{}, "", (*Waiver)(nil)
	for _, opt := range strings.Fields(options) {
		key, value, _ := strings.Cut(opt, "=")
		number, _ := strconv.ParseUint(value, 10, 64)
		switch key {
		case "strict":
			o.Strict = true
		case "warning":
			o.Severity = Warning
		case "min_samples":
			o.MinSamples = number
		case "group":
			o.Group = value
		case "weight":
			o.Weight = number
		case "advisory":
			advisory = value
		case "waived": // until a day
			expires, err := time.Parse(time.DateOnly, value)
			if err != nil {
				return Gate{}, err
			}
			waiver = &Waiver{Owner: "jane", Reason: "a migration", Expires: expires.AddDate(0, 0, 1)}
		default:
			return Gate{}, fmt.Errorf("unknown option %q", opt)
		}
	}
	g, err := ParseWith(strings.TrimSpace(text), o)
	g.Advisory, g.Waiver = advisory, waiver
	return g, err
}

// expect compares "fail system observed ... reason ... warning ... evidence ...".
func (s *script) expect(rest string) error {
	words := fields(rest)
	outcome, cause := s.verdict.Outcome.String(), s.verdict.Cause.String()
	seen := map[string]string{"reason": s.verdict.Reason, "warning": strings.Join(s.verdict.Warnings, "\n")}
	if words[0] == "verdict" {
		words = words[1:]
	} else {
		if len(s.checks) == 0 {
			return errors.New("no check is left")
		}
		c := s.checks[0]
		s.checks = s.checks[1:]
		outcome, cause = c.Outcome.String(), c.Cause.String()
		seen = map[string]string{
			"reason": c.Reason, "observed": c.Observed, "warning": strings.Join(c.Warnings, "\n"),
			"evidence": c.Evidence, "objective": c.Objective, "text": c.Text, "period": c.Period,
		}
	}
	if outcome != words[0] {
		return fmt.Errorf("got %s %s: %v", outcome, cause, seen)
	}
	words = words[1:]
	if len(words) > 0 && seen[words[0]] == "" && len(words)%2 == 1 {
		if cause != words[0] {
			return fmt.Errorf("got cause %s: %v", cause, seen)
		}
		words = words[1:]
	} else if len(words)%2 == 1 {
		if cause != words[0] {
			return fmt.Errorf("got cause %s: %v", cause, seen)
		}
		words = words[1:]
	}
	for i := 0; i+1 < len(words); i += 2 {
		if !strings.Contains(seen[words[i]], words[i+1]) {
			return fmt.Errorf("%s is %q", words[i], seen[words[i]])
		}
	}
	return nil
}

// fields splits a line at spaces outside of quotes.
func fields(line string) []string {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			word, rest, _ := strings.Cut(line[1:], `"`)
			out, line = append(out, word), rest
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		out, line = append(out, word), rest
	}
	return out
}

func (s *sheet) load(line string) error {
	words := fields(line)
	if words[0] == "error" {
		s.err = errors.New(words[1])
		return nil
	}
	var args []string
	opts := map[string]string{}
	for _, w := range words[1:] {
		if key, value, ok := strings.Cut(w, "="); ok {
			opts[key] = value
		} else {
			args = append(args, w)
		}
	}
	var from, to int64
	if n := len(args); n > 0 && strings.Contains(args[n-1], "..") {
		a, b, _ := strings.Cut(args[n-1], "..")
		from, to, args = moment(a), moment(b), args[:n-1]
	}
	switch words[0] {
	case "test":
		s.event(measure.EventTest, args[0], "", from, opts)
		if opts["end"] != "no" {
			end := map[string]string{"complete": "true", "arm": opts["arm"]}
			if why := opts["incomplete"]; why != "" {
				end = map[string]string{"complete": "false", "reason": why, "arm": opts["arm"]}
			}
			s.event(measure.EventTestEnd, args[0], "", to, end)
		}
	case "disruption":
		s.disruption(args[0], from, to, opts)
	case "objective":
		share, _ := strconv.ParseFloat(opts["share"], 64)
		over, err := time.ParseDuration(opts["over"])
		s.objectives = append(s.objectives, Objective{Name: args[0], Share: share, Over: over, Of: opts["of"], Queried: opts["queried"] != ""})
		return err
	case "event":
		name := ""
		if len(args) > 1 {
			name = args[1]
		}
		s.event(args[0], opts["test"], name, moment(cmp.Or(opts["at"], "0")), opts)
	default:
		metric, ok := map[string]string{
			"transactions": measure.MetricTransaction, "steps": measure.MetricStep, "requests": measure.MetricRequest,
			"compared": measure.MetricComparison, "statuses": measure.MetricStatusChange, "undecided": measure.MetricUndecided, "undecided-statuses": measure.MetricUndecidedStatus,
			"outcomes": measure.MetricOutcome, "retried": measure.MetricRetried, "assertions": measure.MetricAssertion, "arrivals": measure.MetricIteration,
			"calls": measure.MetricDependency, "metric": opts["name"], "query": args[0],
		}[words[0]]
		if !ok {
			return fmt.Errorf("unknown line %q", words[0])
		}
		return s.series(metric, args, from, to, opts)
	}
	return nil
}

func (s *sheet) disruption(name string, from, to int64, opts map[string]string) {
	s.event(measure.EventDisruption, "", name, from, opts)
	if opts["end"] == "no" {
		return
	}
	attrs := map[string]string{"error": opts["error"], "unit": opts["unit"]}
	if touched, matched, ok := strings.Cut(opts["touched"], "/"); ok {
		attrs["touched"], attrs["matched"] = touched, matched
	} else if opts["touched"] == "" {
		attrs["touched"], attrs["matched"] = "100", "100"
	}
	s.event(measure.EventLifted, "", name, to, attrs)
}

func moment(text string) int64 {
	f, err := strconv.ParseFloat(strings.TrimSuffix(text, "s"), 64)
	if err != nil {
		panic(err)
	}
	return epoch + int64(f*1e9)
}

func (s *sheet) series(metric string, args []string, from, to int64, opts map[string]string) error {
	at := measure.Series{
		Metric: metric, Phase: "p", Arm: opts["arm"], Tenant: opts["tenant"], Cell: opts["cell"], Status: opts["status"],
		Transaction: opts["transaction"],
	}
	switch {
	case metric == measure.MetricDependency:
		at.Step = args[0]
	case opts["every"] != "": // a query belongs to no test
	case len(args) > 1 && metric == measure.MetricTransaction:
		at.Test, at.Transaction = args[0], args[1]
	case len(args) > 1:
		at.Test, at.Step = args[0], args[1]
	default:
		at.Test = args[0]
	}
	if opts["step"] != "" {
		at.Step = opts["step"]
	}
	rng := rand.New(rand.NewPCG(1, 2))
	every, width := second, second
	if opts["every"] != "" {
		every = moment(opts["every"]) - epoch
		width = moment(cmp.Or(opts["width"], "1")) - epoch
	}
	for start := from; start < to; start += every {
		w := measure.Window{Source: "s", Series: at, Start: floorSecond(start), Width: width, Sketch: measure.NewSketch()}
		w.Count, w.Failed = number(opts["count"]), number(opts["failed"])
		w.Unfinished, w.Dropped = number(opts["unfinished"]), number(opts["dropped"])
		if err := values(&w, opts["latency"], rng); err != nil {
			return err
		}
		if sum, ok := opts["sum"]; ok {
			w.Sum, _ = strconv.ParseFloat(sum, 64)
		}
		s.windows = append(s.windows, w)
	}
	return nil
}

func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// values fills a window: "120" is the same for all, "lognormal(120,0.3)" has
// that median and spread.
func values(w *measure.Window, text string, rng *rand.Rand) error {
	if text == "" {
		return nil
	}
	median, sigma := text, "0"
	if in, ok := strings.CutPrefix(text, "lognormal("); ok {
		median, sigma, _ = strings.Cut(strings.TrimSuffix(in, ")"), ",")
	}
	m, err := strconv.ParseFloat(median, 64)
	sd, err2 := strconv.ParseFloat(sigma, 64)
	for range w.Count - min(w.Count, w.Dropped) {
		v := m * math.Exp(sd*rng.NormFloat64())
		if w.Sketch.Count() == 0 {
			w.Min = v
		}
		w.Sketch.Add(v)
		w.Sum += v
		w.Min = min(w.Min, v)
		w.Max = max(w.Max, v)
	}
	return errors.Join(err, err2)
}

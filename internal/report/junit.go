package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"resilience/gates"
)

// junitBudget bounds the size of a file, in bytes: GitLab takes at most 30 MB,
// the names and tags around the texts included.
const junitBudget = 16 << 20

// The dialect that Jenkins, GitLab, GitHub actions and CircleCI agree on. The
// order of the elements is that of the Jenkins schema.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr,omitempty"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
		SystemOut  string          `xml:"system-out,omitempty"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class     string        `xml:"classname,attr"`
		Name      string        `xml:"name,attr"`
		Time      string        `xml:"time,attr"`
		Skipped   *junitProblem `xml:"skipped,omitempty"`
		Error     *junitProblem `xml:"error,omitempty"`
		Failure   *junitProblem `xml:"failure,omitempty"`
		SystemOut string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes a suite for each phase and a test case for each gate. A
// critical gate that fails is a failure, one that is inconclusive an error of
// the type of its cause; a gate that only warns and does not pass is skipped.
// A verdict that no gate explains has a case of its own, so that a file without
// failures and errors means a pass.
func writeJUnit(w io.Writer, doc Document, _ Options) error {
	all := junitSuites{Name: "resilience " + printable(doc.Run.Plan), Time: seconds(elapsed(doc.Run))}
	if len(doc.Phases) == 0 || endedEarly(doc.ExitCode) {
		all.Suites = append(all.Suites, junitRun(doc))
	}
	budget := junitBudget / max(1, len(doc.Phases))
	for _, v := range doc.Phases {
		all.Suites = append(all.Suites, junitPhase(doc, v, budget))
	}
	if doc.FailureModes != nil {
		all.Suites = append(all.Suites, junitFailureModes(doc))
	}
	for i := range all.Suites {
		s := &all.Suites[i]
		s.count()
		all.Tests, all.Failures = all.Tests+s.Tests, all.Failures+s.Failures
		all.Errors, all.Skipped = all.Errors+s.Errors, all.Skipped+s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) count() {
	s.Tests = len(s.Cases)
	for _, c := range s.Cases {
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
}

// junitRun is the suite of a run that stopped early or judged nothing.
func junitRun(doc Document) junitSuite {
	return junitSuite{
		Name: "run", Time: seconds(elapsed(doc.Run)), Properties: junitProperties(doc),
		Cases: []junitCase{{
			Class: "resilience", Name: "run", Time: "0.000",
			Error: &junitProblem{Message: printable(doc.Reason), Type: "exit code " + strconv.Itoa(doc.ExitCode), Text: meaning(doc.ExitCode)},
		}},
	}
}

func junitPhase(doc Document, v gates.Verdict, budget int) junitSuite {
	s := junitSuite{
		Name: printable(v.Phase), Properties: junitProperties(doc), SystemOut: junitStory(v),
	}
	var longest float64
	for _, t := range v.Traffic {
		longest = max(longest, t.Seconds)
	}
	s.Time = seconds(time.Duration(min(longest, 1e9) * float64(time.Second)))
	if !doc.Run.Started.IsZero() {
		s.Timestamp = doc.Run.Started.UTC().Format("2006-01-02T15:04:05")
	}
	class := "resilience." + strings.ReplaceAll(printable(v.Phase), ".", "_")
	if junitUnexplained(v) {
		problem := &junitProblem{Message: printable(v.Reason), Type: causeWord(v.Cause)}
		c := junitCase{Class: class, Name: "verdict", Time: "0.000", Error: problem}
		if v.Outcome == gates.Fail {
			c.Error, c.Failure = nil, problem
		}
		s.Cases = append(s.Cases, c)
	}
	cases, leftOut := junitCases(class, v.Checks, budget)
	s.Cases = append(s.Cases, cases...)
	if leftOut > 0 {
		s.Properties = append(s.Properties, junitProperty{"left-out", plural(uint64(leftOut), "gate") + " to bound the file; see the json report"})
	}
	return s
}

// junitUnexplained reports whether a verdict is not a pass although all of its
// critical gates are.
func junitUnexplained(v gates.Verdict) bool {
	for _, c := range v.Checks {
		if c.Outcome != gates.Pass && !onlyWarns(c) {
			return false
		}
	}
	return v.Outcome != gates.Pass
}

// junitCases makes the cases in the order of the plan, each with a name of its
// own (GitLab drops the second of two). If they are too many for the budget in
// bytes, those that pass are left out first.
func junitCases(class string, checks []gates.Check, budget int) (cases []junitCase, leftOut int) {
	names := map[string]int{"verdict": 1}
	all := make([]junitCase, len(checks))
	keep := make([]bool, len(checks))
	for i, c := range checks {
		all[i] = junitCaseOf(c)
		all[i].Class = class
		all[i].Name = distinct(all[i].Name, names)
	}
	for _, passing := range []bool{false, true} {
		for i, c := range all {
			passes := c.Failure == nil && c.Error == nil
			if size := c.size(); passes == passing && size <= budget {
				keep[i] = true
				budget -= size
			}
		}
	}
	for i, c := range all {
		if keep[i] {
			cases = append(cases, c)
		} else {
			leftOut++
		}
	}
	return cases, leftOut
}

// distinct gives the name, with a number after it from the second time on.
func distinct(name string, seen map[string]int) string {
	seen[name]++
	if n := seen[name]; n > 1 {
		return distinct(fmt.Sprintf("%s (%d)", name, n), seen)
	}
	return name
}

func junitCaseOf(c gates.Check) junitCase {
	lines := make([]string, 0, 4)
	for _, line := range because(c) {
		lines = append(lines, printable(line))
	}
	out := junitCase{Name: printable(c.Text), Time: "0.000"}
	out.SystemOut = fmt.Sprintf("%s %s: observed %s, objective %s, %s, %s\n%s", printable(c.SLI), printable(c.Period),
		orDash(printable(c.Observed)), orDash(printable(c.Objective)), plural(c.Samples, "sample"), result(c), strings.Join(lines, "\n"))
	if c.Outcome == gates.Pass {
		return out
	}
	message := c.Reason
	if message == "" {
		message = fmt.Sprintf("observed %s, objective %s", orDash(c.Observed), orDash(c.Objective))
	}
	problem := &junitProblem{Message: printable(message), Type: causeWord(c.Cause), Text: strings.Join(lines, "\n")}
	switch {
	case onlyWarns(c):
		problem.Type, problem.Text = "", "" // the schema of skipped has a message only
		out.Skipped = problem
	case c.Outcome == gates.Fail:
		out.Failure = problem
	default:
		out.Error = problem
	}
	return out
}

// size is about how many bytes the case takes, escaped.
func (c junitCase) size() int {
	n := counter(300)
	texts := []string{c.Class, c.Name, c.SystemOut}
	for _, p := range []*junitProblem{c.Failure, c.Error, c.Skipped} {
		if p != nil {
			texts = append(texts, p.Message, p.Text)
		}
	}
	for _, t := range texts {
		_ = xml.EscapeText(&n, []byte(t)) // a counter has no errors
	}
	return int(n)
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// junitStory is what else happened in the phase: traffic and disruptions.
func junitStory(v gates.Verdict) string {
	lines := []string{v.Outcome.String() + ": " + printable(v.Reason)}
	for _, version := range v.Versions {
		lines = append(lines, "version of "+versionLine(version))
	}
	if len(v.Baselines) > 0 {
		lines = append(lines, comparedLine(v.Baselines))
	}
	if len(v.Scores) > 0 {
		lines = append(lines, scoreLine(v.Scores))
	}
	for _, d := range v.Disruptions {
		lines = append(lines, printable(fmt.Sprintf("%s: %s, %s, %s %s", d.Name, faultOf(d), lasted(d), touched(d), d.Reason)))
	}
	for _, t := range v.Traffic {
		lines = append(lines, printable(fmt.Sprintf("%s: %s at %s, %s failed, p95 %s, max %s", sender(t, true),
			plural(t.Attempts, "attempt"), rate(t), failures(t), millis(t.P95), millis(t.Max))))
		for _, note := range unsaid(t) {
			lines = append(lines, printable(t.Test+": "+note))
		}
	}
	lines = append(lines, replayStory(v.Shadow)...)
	lines = append(lines, objectiveStory(v)...)
	for _, w := range v.Warnings {
		lines = append(lines, "warning: "+printable(w))
	}
	const most = 200
	if rest := len(lines) - most; rest > 0 {
		lines = append(lines[:most], fmt.Sprintf("and %s more", plural(uint64(rest), "line")))
	}
	return strings.Join(lines, "\n")
}

func junitProperties(doc Document) []junitProperty {
	return []junitProperty{
		{"run", printable(doc.Run.ID)},
		{"plan", printable(doc.Run.Plan)},
		{"seed", strconv.FormatInt(doc.Run.Seed, 10)},
		{"outcome", doc.Outcome.String()},
		{"exit-code", strconv.Itoa(doc.ExitCode)},
		{"record", printable(doc.Record)},
	}
}

func elapsed(run gates.Run) time.Duration {
	if run.Ended.IsZero() {
		return 0
	}
	return max(0, run.Ended.Sub(run.Started))
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

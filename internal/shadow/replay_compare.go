package shadow

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Bounds of what comparing remembers.
const (
	comparedCells = 100_000 // seconds times routes times sets of differences
	comparedSets  = 10_000
	findingsTold  = 50
)

// comparing compares the answers of a replay. Whether a difference is noise is
// learnt as the replay goes on, so that what each pair of answers differed in is
// kept, in counts for each second, until it is told how many mismatched.
type comparing struct {
	p        *replaying
	comparer *Comparer
	findings *Findings
	redactor *Redactor

	mu     sync.Mutex
	cells  map[comparedCell]uint64
	sets   map[string]*comparedSet
	failed map[failedPair]uint64
}

// comparedCell is one second of a route, and what its answers differed in.
type comparedCell struct {
	second int64
	route  string
	tenant string       // as it is measured
	set    *comparedSet // nil for nothing
}

// comparedSet are differences that answers have together.
type comparedSet struct {
	route string
	all   []comparedAt
}

type comparedAt struct {
	place string
	kind  Kind
}

func newComparing(p *replaying) (*comparing, error) {
	var hosts []string
	for _, l := range p.lanes {
		hosts = append(hosts, l.base.Host)
	}
	redactor, err := NewRedactor(p.declared())
	if err != nil {
		return nil, err
	}
	comparer, err := NewComparer(p.rules, CompareOptions{Hosts: hosts, Recorded: p.stream.Beside == nil, Private: redactor.Private})
	if err != nil {
		return nil, err
	}
	findings, err := NewFindings(p.rules, FindingOptions{FalseAlarms: float64(p.test.Compare.FalseAlarms)})
	if err != nil {
		return nil, err
	}
	return &comparing{p: p, comparer: comparer, findings: findings, redactor: redactor, cells: map[comparedCell]uint64{}, sets: map[string]*comparedSet{}, failed: map[failedPair]uint64{}}, nil
}

// add compares the answers to a job.
func (c *comparing) add(j *job) {
	baseline, ok := c.baseline(j)
	if !ok || j.due.Before(c.p.judged) || j.answers[0].err == measure.StatusGenerator {
		return
	}
	if c.apart(j, baseline) {
		c.p.tally.apart.Add(1)
		return
	}
	candidate := &j.answers[0]
	o := Observed{At: j.due, Route: j.Route, Session: j.Session, Asker: j.Session, Request: j.Request, Trace: candidate.trace, Hide: c.hider(j)}
	if c.p.test.Writes == nil && !c.dealt(j) { // no answer depends on an earlier one
		o.Session = ""
	}
	o.Candidate = c.candidate(j, baseline)
	if second, ok := c.second(j); ok && !c.recordedApart(j, baseline) {
		o.Noise = c.comparer.CompareNoise(j.Route, j.Response.Status, baseline, second)
		o.Paired = !uncompared(o.Candidate) || slices.ContainsFunc(o.Noise, isUnserved)
	}
	differences := c.findings.placed(j.Route, slices.DeleteFunc(slices.Clone(o.Candidate), Difference.Expected))
	c.findings.Add(o)
	c.count(j, differences)
}

// dealt reports whether a session was given something by chance that goes on in all its
// answers, such as the variant of an experiment: there is a cookie that the candidate and
// the baseline's second lane were both given, and that only one of them has as the
// baseline has it. (Ids of sessions are others on each lane.)
func (c *comparing) dealt(j *job) bool {
	if j.session == nil || c.p.second == nil {
		return false
	}
	s := j.session
	s.mu.Lock()
	defer s.mu.Unlock()
	candidate, again := s.lane(0).cookies, s.lane(c.p.second.number).cookies
	for name, value := range s.lane(1).cookies {
		mine, has := candidate[name]
		other, has2 := again[name]
		if has && has2 && (mine == value) != (other == value) {
			return true
		}
	}
	return false
}

// candidate tells in which ways the candidate's answer differs from the baseline's,
// of which nothing is known where it was given up.
func (c *comparing) candidate(j *job, baseline Response) []Difference {
	candidate := j.answers[0].Response
	if c.p.stream.Beside != nil && baseline.Status == 0 && j.answers[1].err == unfinishedWord {
		c.fail(failedPair{givenUp: true})
		return []Difference{undecidableStatus(baseline, candidate)}
	}
	found := c.comparer.CompareAgain(j.Route, j.Response.Status, baseline, candidate)
	if slices.ContainsFunc(found, undecidedByStatus) {
		c.fail(failedPair{baseline: baseline.Status, candidate: candidate.Status})
	}
	if slices.ContainsFunc(found, isUnserved) {
		c.fail(failedPair{baseline: baseline.Status, alone: true})
	}
	return found
}

// baseline gives the answer that the candidate's is compared with.
func (c *comparing) baseline(j *job) (Response, bool) {
	if c.p.stream.Beside == nil {
		return j.recorded(), j.Response.Status != 0
	}
	return j.answers[1].Response, j.answers[1].err != measure.StatusGenerator
}

// recordedApart reports whether the recorded answer tells no noise: users had asked
// whether something had changed.
func (c *comparing) recordedApart(j *job, baseline Response) bool {
	return c.p.second == nil && apart(j.Request.Header, baseline.Status, j.Response.Status)
}

// second gives another answer of the baseline, which tells what differs anyway.
func (c *comparing) second(j *job) (Response, bool) {
	switch {
	case c.p.second != nil:
		a := &j.answers[c.p.second.number]
		return a.Response, a.err != measure.StatusGenerator && a.err != unfinishedWord
	case c.p.stream.Beside != nil && c.p.test.Noise == plan.Recorded:
		return j.recorded(), j.Response.Status != 0
	}
	return Response{}, false
}

// count remembers what a pair of answers differed in.
func (c *comparing) count(j *job, differences []Difference) {
	const second = int64(time.Second)
	at := j.due.UnixNano()
	cell := comparedCell{second: at - at%second, route: j.Route, tenant: c.p.record.tenantOf(j.Tenant)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(differences) > 0 {
		cell.set = c.set(j.Route, differences)
	}
	c.cells[cell]++
}

// set finds the set of some differences; the first one stands for all where there
// are too many sets.
func (c *comparing) set(route string, differences []Difference) *comparedSet {
	if len(c.sets) >= comparedSets {
		differences = differences[:1]
	}
	var key strings.Builder
	key.WriteString(route)
	s := &comparedSet{route: route}
	for _, d := range differences {
		at := comparedAt{c.findings.Folded(route, d.Place), d.Kind}
		if !slices.Contains(s.all, at) {
			s.all = append(s.all, at)
			key.WriteString("\x00" + at.place + "\x00" + string(at.kind))
		}
	}
	if known := c.sets[key.String()]; known != nil {
		return known
	}
	c.sets[key.String()] = s
	return s
}

// settle tells how many pairs mismatched: at the end, or of the older half when
// there is no room for more.
func (c *comparing) settle(end bool) {
	c.mu.Lock()
	if !end && len(c.cells) < comparedCells {
		c.mu.Unlock()
		return
	}
	cells := slices.SortedFunc(maps.Keys(c.cells), func(a, b comparedCell) int {
		return cmp.Or(cmp.Compare(a.second, b.second), cmp.Compare(a.route, b.route), cmp.Compare(a.tenant, b.tenant))
	})
	if !end {
		cells = cells[:len(cells)/2]
	}
	counts := make([]uint64, len(cells))
	for i, cell := range cells {
		counts[i] = c.cells[cell]
		delete(c.cells, cell)
	}
	c.mu.Unlock()
	verdicts := c.verdicts()
	known := map[*comparedSet]comparedVerdict{nil: {}}
	for i, cell := range cells {
		v, seen := known[cell.set]
		if !seen {
			v = cell.set.judge(verdicts, c.findings.Folded)
			known[cell.set] = v
		}
		c.p.record.compared(cell.route, cell.tenant, cell.second, counts[i], v)
	}
}

// comparedVerdict is what is thought of answers that differ.
type comparedVerdict struct {
	mismatched bool // there is a regression in them
	status     bool // which is another status
	undecided  bool // they may mismatch, and nobody knows

	undecidedStatus bool // or in their status
}

// comparedField is a difference on a route.
type comparedField struct {
	route string
	comparedAt
}

// verdicts tell of each difference what is thought of it now. Where nothing tells
// noise, one of which nothing is known is taken for a regression, unless it is one
// of times or made-up ids; where something does, one that noise has never shown is
// undecided, and one that noise has shown too is noise until more is known. Answers
// of which too little is known to compare them may mismatch in any case, and so may
// those to which the baseline gave none more often than chance explains.
func (c *comparing) verdicts() map[comparedField]comparedVerdict {
	all := map[comparedField]comparedVerdict{}
	for _, f := range c.findings.List() {
		open := f.Class == Undecided && f.Kind != Time && f.Kind != ID && f.Kind != Undecidable && f.Kind != Unserved
		var v comparedVerdict
		v.mismatched = f.Class == Regression || open && !c.learns()
		v.status = v.mismatched && f.Place == statusPlace
		v.undecided = open && c.learns() && f.NoiseDiffering == 0 || f.Kind == Undecidable || f.unserved()
		v.undecidedStatus = v.undecided && f.Place == statusPlace
		key := comparedField{f.Route, comparedAt{f.Place, f.Kind}}
		all[key] = all[key].with(v)
	}
	return all
}

// with takes two verdicts together.
func (v comparedVerdict) with(o comparedVerdict) comparedVerdict {
	return comparedVerdict{
		v.mismatched || o.mismatched, v.status || o.status, v.undecided || o.undecided, v.undecidedStatus || o.undecidedStatus,
	}
}

// judge takes together what is thought of the differences of a set. One that is
// not known by its name is among the others; folded gives the names under which they
// are counted by now.
func (s *comparedSet) judge(verdicts map[comparedField]comparedVerdict, folded func(route, place string) string) (v comparedVerdict) {
	for _, d := range s.all {
		d.place = folded(s.route, d.place)
		found, known := verdicts[comparedField{s.route, d}]
		if at := strings.Index(d.place, textMark); !known && at >= 0 {
			found, known = verdicts[comparedField{s.route, comparedAt{d.place[:at] + otherText, d.kind}}]
		}
		for _, route := range []string{s.route, otherRoutes} {
			if !known {
				found, known = verdicts[comparedField{route, comparedAt{otherPlaces, d.kind}}]
			}
		}
		v = v.with(found)
	}
	v.undecided = v.undecided && !v.mismatched
	v.undecidedStatus = v.undecidedStatus && !v.status
	return v
}

// learns reports whether anything tells noise.
func (c *comparing) learns() bool { return c.p.second != nil || c.p.test.Noise == plan.Recorded }

// tell records the findings, the gravest first.
func (c *comparing) tell(end time.Time) {
	all := c.findings.List()
	for i, f := range all {
		if i == findingsTold {
			c.p.record.warn("%d more differences were found; these are the gravest", len(all)-i)
			break
		}
		c.p.record.event(end, measure.EventDifference, f.Route, findingAttrs(f))
	}
	for _, f := range all {
		if f.Unread {
			c.p.record.warn("%s: nothing in these bodies was compared: they could only be compared as a whole, and two answers of the baseline differ in %d of %d", f.Route, f.NoiseDiffering, f.NoisePairs)
		}
	}
	c.tellFailed()
	c.p.record.tellTenants()
	for _, warning := range slices.Concat(c.findings.Warnings(c.p.test.Noise == plan.NoiseTwice), unmetRules(c.comparer, c.findings)) {
		c.p.record.warn("%s", warning)
	}
}

// findingAttrs tells a finding in words.
func findingAttrs(f Finding) map[string]string {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	attrs := map[string]string{
		"route": f.Route, "place": ShownPlace(f.Place), "kind": string(f.Kind), "class": string(f.Class),
		"pairs": number(f.Pairs), "differing": number(f.Differing), "noise pairs": number(f.NoisePairs), "noise differing": number(f.NoiseDiffering),
	}
	if len(f.Examples) > 0 {
		e := f.Examples[0]
		attrs["baseline"], attrs["candidate"] = Shown(f.Place, e.Baseline), Shown(f.Place, e.Candidate)
		attrs["request"], attrs["trace"] = e.Request, e.Trace
	}
	return attrs
}

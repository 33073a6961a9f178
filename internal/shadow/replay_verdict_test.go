package shadow

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// comparingFor compares for a replay with a baseline.
func comparingFor(t *testing.T, change func(*plan.Shadow)) *comparing {
	t.Helper()
	test := shadowTest()
	change(&test)
	stream := staged{test: test, baseline: answering("{}", 0)}.stream()
	c, err := newComparing(&replaying{Replay: &Replay{test: test, stream: stream}, record: newReplayRecord(stream), judged: taped})
	require.NoError(t, err)
	return c
}

// TestWhatIsCompared: answers that there are, of both, after warming up; a session has
// one say where an answer may depend on an earlier one.
func TestWhatIsCompared(t *testing.T) {
	ours := answer{err: measure.StatusGenerator}
	for name, c := range map[string]struct {
		change              func(*plan.Shadow)
		candidate, baseline answer
		after               time.Duration
		pairs, noise, coins uint64 // of three exchanges
	}{
		"all":                     {candidate: answer{Response: jsonAnswer(`{"a":2}`)}, baseline: answer{Response: jsonAnswer(`{"a":1}`)}, pairs: 3},
		"while it warms up":       {candidate: answer{Response: jsonAnswer(`{"a":2}`)}, baseline: answer{Response: jsonAnswer(`{"a":1}`)}, after: -1},
		"never left":              {candidate: ours, baseline: answer{Response: jsonAnswer(`{"a":1}`)}},
		"the baseline never left": {candidate: answer{Response: jsonAnswer(`{"a":1}`)}, baseline: ours},
		"it was given up":         {candidate: answer{Response: jsonAnswer(`{"a":1}`)}, baseline: answer{err: unfinishedWord}, pairs: 3},
		"with the recorded ones": {
			change:    func(s *plan.Shadow) { s.Noise = plan.Recorded },
			candidate: answer{Response: jsonAnswer(`{"ok":false}`)}, baseline: answer{Response: jsonAnswer(`{"ok":true}`)}, pairs: 3, noise: 3, coins: 3,
		},
		"where something is written": {
			change:    func(s *plan.Shadow) { s.Noise, s.Writes = plan.Recorded, &plan.Writes{} },
			candidate: answer{Response: jsonAnswer(`{"ok":false}`)}, baseline: answer{Response: jsonAnswer(`{"ok":true}`)}, pairs: 3, noise: 3, coins: 1,
		},
	} {
		if c.change == nil {
			c.change = func(*plan.Shadow) {}
		}
		compares := comparingFor(t, c.change)
		for n := range 3 {
			e := recordedGet(0, "a", "/items")
			e.Route = "GET /items"
			compares.add(&job{Exchange: e, due: taped.Add(c.after + time.Duration(n)*time.Second*time.Duration(1+c.after)), answers: []answer{c.candidate, c.baseline}})
		}
		var pairs uint64
		for _, n := range compares.cells {
			pairs += n
		}
		require.Equal(t, c.pairs, pairs, name)
		for _, f := range compares.findings.List() {
			require.Equal(t, []uint64{c.pairs, c.noise, c.coins}, []uint64{f.Pairs, f.NoisePairs, f.Evidence.Seen.Candidate.N}, name)
		}
	}
}

// TestComparingIsBounded: seconds, routes and sets of differences are as many as there
// are, and what is remembered of them is not.
func TestComparingIsBounded(t *testing.T) {
	c := comparingFor(t, func(*plan.Shadow) {})
	for n := range int64(comparedCells) {
		c.settle(false)
		c.cells[comparedCell{second: n * int64(time.Second), route: "GET /items"}] = 1
	}
	c.settle(false)
	require.Len(t, c.cells, comparedCells/2)
	require.NotContains(t, c.cells, comparedCell{second: 0, route: "GET /items"}, "the older half")
	c.settle(true)
	require.Empty(t, c.cells)
	var sum uint64
	for _, w := range c.p.record.flush().Windows {
		if w.Series.Metric == measure.MetricComparison {
			sum += w.Count
		}
	}
	require.EqualValues(t, comparedCells, sum, "each counts once")

	for n := range comparedSets + 10 {
		set := c.set("GET /items", append(one("body.a", Changed), one(fmt.Sprint("body.x", n), Changed)...))
		require.Len(t, set.all, 1+map[bool]int{true: 1}[n < comparedSets])
	}
	require.Len(t, c.sets, comparedSets+1)
	require.Same(t, c.set("GET /items", one("body.a", Changed)), c.set("GET /items", one("body.a", Changed)))
}

// TestVerdicts tell what a pair of answers is taken for.
func TestVerdicts(t *testing.T) {
	of := func(noise string, o Observed) comparedVerdict {
		c := comparingFor(t, func(s *plan.Shadow) { s.Noise = noise })
		o.Route = "GET /items"
		c.findings.Add(o)
		return c.set(o.Route, o.Candidate).judge(c.verdicts(), c.findings.Folded)
	}
	mismatched, undecided := comparedVerdict{mismatched: true}, comparedVerdict{undecided: true}
	require.Equal(t, mismatched, of(plan.NoNoise, Observed{Candidate: one("body.a", Changed)}))
	require.Equal(t, comparedVerdict{mismatched: true, status: true}, of(plan.NoNoise, Observed{Candidate: one("status", Changed)}))
	require.Equal(t, comparedVerdict{}, of(plan.NoNoise, Observed{Candidate: one("body.at", Time)}))
	require.Equal(t, comparedVerdict{}, of(plan.NoNoise, Observed{Candidate: one("body.id", ID)}))
	require.Equal(t, undecided, of(plan.NoNoise, Observed{Candidate: one("body", Undecidable)}))
	require.Equal(t, mismatched, of(plan.NoNoise, Observed{Candidate: append(one("body.a", Changed), one("body", Undecidable)...)}), "it is decided")
	require.Equal(t, undecided, of(plan.Recorded, Observed{Paired: true, Candidate: one("body.a", Changed)}))
	require.Equal(t, comparedVerdict{}, of(plan.Recorded, Observed{Paired: true, Candidate: one("body.a", Changed), Noise: one("body.a", Changed)}))

	asIs := func(_, place string) string { return place }
	unknown := &comparedSet{route: "GET /items", all: []comparedAt{{"body.new", Missing}}}
	for _, route := range []string{"GET /items", otherRoutes} {
		require.Equal(t, mismatched, unknown.judge(map[comparedField]comparedVerdict{{route, comparedAt{otherPlaces, Missing}}: mismatched}, asIs), "among the others")
	}
	require.Equal(t, comparedVerdict{}, unknown.judge(map[comparedField]comparedVerdict{{"GET /other", comparedAt{otherPlaces, Missing}}: mismatched}, asIs))
}

// TestReplayTellsOfExpectations: a change that was approved is no mismatch, and one
// that did not come is told; of very many findings the gravest are.
func TestReplayTellsOfExpectations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(20, 10*time.Millisecond)}, candidate: answering(`{"ok":true,"new":1}`, 0), baseline: answering(`{"ok":true}`, 0)}
		s.test.Compare.Expect = []plan.Intended{{Field: "body.new", Kind: "added", Reason: "wanted"}, {Field: "body.never of GET /items", Reason: "planned"}}
		all := s.run(t, t.Context())
		pairs := replaySummed(all, measure.MetricComparison)[measure.Candidate]
		require.Equal(t, []uint64{20, 0}, []uint64{pairs.Count, pairs.Failed})
		require.Equal(t, string(Expected), happened(all, measure.EventDifference)[0].Attrs["class"])
		warnings := happened(all, measure.EventWarning)
		require.Len(t, warnings, 1)
		require.Equal(t, "nothing met the expectation of body.never GET /items (planned): take it out if the change is done", warnings[0].Attrs["detail"])

		s.test.Compare.Expect = []plan.Intended{{Field: "body.new", To: "1", Reason: "wanted"}}
		s.candidate = counted(func(n int) string { return fmt.Sprintf(`{"ok":true,"new":%d}`, n%2) })
		pairs = replaySummed(s.run(t, t.Context()), measure.MetricComparison)[measure.Candidate]
		require.Equal(t, []uint64{20, 10}, []uint64{pairs.Count, pairs.Failed}, "the others are not what was wanted")

		s.test.Compare.Expect = nil
		var many strings.Builder
		for n := range findingsTold + 5 {
			fmt.Fprintf(&many, `,"field_%c%c":1`, 'a'+n/26, 'a'+n%26)
		}
		s.candidate = answering(`{"ok":true`+many.String()+`}`, 0)
		all = s.run(t, t.Context())
		require.Len(t, happened(all, measure.EventDifference), findingsTold)
		require.Equal(t, "5 more differences were found; these are the gravest", happened(all, measure.EventWarning)[0].Attrs["detail"])
	})
}

// TestSecretsOfAnExchange are found wherever it has them, and hidden whole.
func TestSecretsOfAnExchange(t *testing.T) {
	const secret = "s3cr3t-0123456789-0123456789"
	c := comparingFor(t, func(*plan.Shadow) {})
	for name, a := range map[string]answer{
		"a header that was sent": {sent: Request{Header: http.Header{"X-Api-Key": {secret}}}},
		"a query":                {sent: Request{Target: "/a?token=" + secret}},
		"a body that was sent":   {sent: Request{Header: http.Header{"Content-Type": {"application/json"}}, Body: jsonBody(`{"password":"` + secret + `"}`)}},
		"a header":               {Response: Response{Header: http.Header{"X-Api-Key": {secret}}}},
		"a body":                 {Response: jsonAnswer(`{"password":"` + secret + `"}`)},
	} {
		j := &job{answers: []answer{a, {}}}
		hide := c.hider(j)
		pseudonym := c.redactor.Pseudonym(secret)
		require.Equal(t, "you sent "+pseudonym+", and "+pseudonym+".", hide("body.text", "you sent "+secret+", and "+secret+"."), name)
		require.Equal(t, "you sent "+pseudonym, hide("body.text", "you sent "+secret[:20]), "%s, and it is cut", name)
	}
	c.p.lanes = []*lane{{target: plan.Target{Headers: map[string]string{"X-Gate": "Bearer " + secret, "X-Env": "staging"}}}}
	hide := c.hider(&job{answers: []answer{{}, {}}})
	require.Equal(t, "staging: you sent "+c.redactor.Pseudonym(secret), hide("body.text", "staging: you sent "+secret[:20]), "a header of the target")
}

package shadow

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates/evidence"
)

// watched feeds exchanges to findings, twenty a second.
type watched struct {
	*Findings
	at time.Time
}

func newWatched(t testing.TB, rules Rules) *watched {
	t.Helper()
	f, err := NewFindings(rules, FindingOptions{})
	require.NoError(t, err)
	return &watched{f, time.Unix(1_800_000_000, 0)}
}

func (w *watched) see(o Observed) {
	w.at = w.at.Add(50 * time.Millisecond)
	o.At = w.at
	if o.Route == "" {
		o.Route = "GET /a"
	}
	w.Add(o)
}

func one(place string, kind Kind) []Difference {
	return []Difference{{Place: place, Kind: kind, Baseline: "1", Candidate: "2"}}
}

// classesOf gives the classes as "place kind class".
func classesOf(f *Findings) []string {
	texts := []string{}
	for _, found := range f.List() {
		texts = append(texts, fmt.Sprint(found.Place, " ", found.Kind, " ", found.Class))
	}
	return texts
}

func TestFindings(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := newWatched(t, Rules{})
	for range 4000 {
		var o Observed
		o.Paired = true
		differ := func(place string, kind Kind, candidate, noise float64) {
			if rng.Float64() < candidate {
				o.Candidate = append(o.Candidate, one(place, kind)...)
			}
			if rng.Float64() < noise {
				o.Noise = append(o.Noise, one(place, kind)...)
			}
		}
		differ("body.id", ID, 1, 1)
		differ("body.cached", Changed, 0.3, 0.3)
		differ("body.quieter", Changed, 0.1, 0.3)
		differ("body.gone", Missing, 1, 0)
		differ("body.wrong", Changed, 0.02, 0)
		differ("body.noisier", Changed, 0.3, 0.1)
		w.see(o)
	}
	require.ElementsMatch(t, []string{
		"body.gone missing regression", "body.noisier changed regression", "body.wrong changed regression",
		"body.cached changed noise", "body.quieter changed noise", "body.id id noise",
	}, classesOf(w.Findings))
	first := w.List()[0]
	require.Equal(t, "body.gone", first.Place, "the gravest first")
	require.Equal(t, [4]uint64{4000, 4000, 4000, 0}, [4]uint64{first.Pairs, first.Differing, first.NoisePairs, first.NoiseDiffering})
	require.Len(t, first.Examples, maxExamples)
	require.Equal(t, Regression, w.ClassOf("GET /a", "body.wrong", Changed))
	require.Equal(t, Noise, w.ClassOf("GET /a", "body.id", ID))
	require.Equal(t, Undecided, w.ClassOf("GET /a", "body.wrong", Missing), "never seen")
	require.Equal(t, Undecided, w.ClassOf("GET /b", "body.wrong", Changed))
}

// TestFewDifferencesAreUndecided: what was seen too seldom may be anything.
func TestFewDifferencesAreUndecided(t *testing.T) {
	w := newWatched(t, Rules{})
	for range 5 {
		w.see(Observed{Paired: true, Candidate: one("body.a", Changed)})
	}
	require.Equal(t, []string{"body.a changed undecided"}, classesOf(w.Findings))
}

// TestOneMomentIsNoRegression: however much differs within a block, it has one
// cause, also for who looks at the findings meanwhile, as a mirror does.
func TestOneMomentIsNoRegression(t *testing.T) {
	f, err := NewFindings(Rules{}, FindingOptions{})
	require.NoError(t, err)
	for i := range 10_000 {
		at := time.Unix(1_800_000_000, 0).Add(time.Duration(i%2) * 300 * time.Millisecond) // some end late
		f.Add(Observed{At: at, Route: "GET /a", Paired: true, Candidate: one("body.a", Changed)})
		require.Equal(t, Undecided, f.ClassOf("GET /a", "body.a", Changed))
	}
	require.Equal(t, []string{"body.a changed undecided"}, classesOf(f))
}

// TestWithoutNoise: where the baseline was compared with nothing, what goes one way
// only is a regression, and what goes both ways is not; of mere values nobody can
// tell.
func TestWithoutNoise(t *testing.T) {
	w := newWatched(t, Rules{})
	rng := rand.New(rand.NewPCG(3, 4))
	way := func(place string, kind Kind, a, b string) Difference {
		if rng.IntN(2) == 0 {
			a, b = b, a
		}
		return Difference{Place: place, Kind: kind, Baseline: a, Candidate: b}
	}
	for range 1000 {
		both := []Kind{Missing, Added}[rng.IntN(2)]
		w.see(Observed{Candidate: []Difference{
			{Place: "body.gone", Kind: Missing},
			{Place: "body.optional", Kind: both},
			{Place: "body.type", Kind: Type, Baseline: "1", Candidate: `"1"`},
			way("body.any", Type, "1", "null"),
			{Place: "status", Kind: Changed, Baseline: "200", Candidate: "404"},
			way("body.price", Changed, "1", "2"),
		}})
	}
	require.ElementsMatch(t, []string{
		"body.gone missing regression", "body.type type regression", "status changed regression",
		"body.optional missing noise", "body.optional added noise", "body.any type noise", "body.price changed undecided",
	}, classesOf(w.Findings))
}

// TestTheFirstDirectionIsNoEvidence: what a field is found by could have been no
// other, where there is no noise to compare with.
func TestTheFirstDirectionIsNoEvidence(t *testing.T) {
	w := newWatched(t, Rules{})
	for _, want := range []uint64{0, 1, 2} {
		w.see(Observed{Candidate: []Difference{{Place: "body.a", Kind: Missing}, {Place: "body.b", Kind: Type, Baseline: "1", Candidate: "null"}}})
		for _, f := range w.List() {
			require.Equal(t, want, f.Evidence.Seen.Candidate.N, f.Place)
		}
	}
	w.see(Observed{Candidate: []Difference{{Place: "body.a", Kind: Added}}})
	require.Equal(t, []string{"body.b type undecided", "body.a added undecided", "body.a missing noise"}, classesOf(w.Findings))
	require.Equal(t, uint64(3), w.List()[2].Evidence.Seen.Candidate.N, "one went the other way")
}

func TestExpectations(t *testing.T) {
	rules := Rules{Expect: []Expectation{
		{Where: Where{Route: "GET /a", Place: "body.title", Kind: Added}, By: "ann", Why: "the new name"},
		{Where: Where{Place: "body.never"}},
		{Where: Where{Place: "body.late"}, By: "bob"},
	}}
	c, w := newComparer(t, rules), newWatched(t, rules)
	for range 600 {
		a, b := jsonAnswer(`{"name":"x"}`), jsonAnswer(`{"name":"x","title":"x"}`)
		w.see(Observed{Paired: true, Candidate: c.Compare("GET /a", a, b)})
		w.see(Observed{Route: "GET /b", Paired: true, Candidate: c.Compare("GET /b", a, b)})
	}
	list := w.List()
	require.Equal(t, "GET /b", list[0].Route)
	require.Equal(t, []Class{Regression, Expected}, []Class{list[0].Class, list[1].Class})
	require.Equal(t, "ann", list[1].Expectation.By)
	require.Equal(t, rules.Expect[1:], w.Unused())
	w.see(Observed{Candidate: c.Compare("GET /c", jsonAnswer(`{"late":1}`), jsonAnswer(`{"late":2}`))})
	require.Equal(t, rules.Expect[1:2], w.Unused())
	for _, f := range w.List() {
		if f.Class == Expected {
			require.Equal(t, map[string]string{"body.title": "ann", "body.late": "bob"}[f.Place], f.Expectation.By)
		}
	}
}

// TestFindingsAreBounded: whatever a candidate answers, what is remembered has an
// end, and what it is of is still found.
func TestFindingsAreBounded(t *testing.T) {
	w := newWatched(t, Rules{})
	for i := range 20_000 {
		w.see(Observed{
			Route: fmt.Sprint("GET /", i%1500), Session: fmt.Sprint(i), Paired: true,
			Candidate: one(fmt.Sprint("body.x", i), Missing),
		})
	}
	list := w.List()
	require.LessOrEqual(t, len(list), allFields+2*maxRoutes)
	route := newWatched(t, Rules{})
	for i := range 3 * maxFields {
		route.see(Observed{Paired: true, Candidate: one(fmt.Sprint("body.x", i), Changed)}) // of names that are missing, {key} would stand for all
	}
	require.Len(t, route.List(), maxFields+1, "of one route")
	require.LessOrEqual(t, len(w.routes), maxRoutes+1)
	require.Equal(t, Regression, w.ClassOf("GET /1499", "body.new", Missing), "of all other routes and places")
}

// TestSessionsThatWentApart: a session that differs in one answer differs in all
// that follow, and has one coin's worth of cause.
func TestSessionsThatWentApart(t *testing.T) {
	const runs = 200
	found := 0
	for seed := range uint64(runs) {
		rng := rand.New(rand.NewPCG(seed, 5))
		f, err := NewFindings(Rules{}, FindingOptions{FalseAlarms: 0.05})
		require.NoError(t, err)
		w := &watched{f, time.Unix(1_800_000_000, 0)}
		ever := false
		for session := range 100 {
			candidate := rng.IntN(2) == 0
			for range 10 + rng.IntN(30) {
				w.at = w.at.Add(time.Second) // each in a block of its own
				o := Observed{Session: fmt.Sprint(session), Paired: true, Candidate: one("body.cart", Changed)}
				if !candidate {
					o.Candidate, o.Noise = o.Noise, o.Candidate
				}
				w.see(o)
			}
			ever = ever || w.ClassOf("GET /a", "body.cart", Changed) == Regression
		}
		if ever {
			found++
		}
	}
	t.Logf("%d of %d", found, runs)
	require.False(t, evidence.Excludes(uint64(found), runs, 0.05, 0.99), "%d of %d", found, runs)
}

// TestMoreThanNoiseIsNotLikeIt: a field that noise touches now and then, and the
// candidate nearly always, is undecided until it is certain.
func TestMoreThanNoiseIsNotLikeIt(t *testing.T) {
	for candidates, want := range map[int]string{4: "body.a changed noise", 9: "body.a changed undecided"} {
		w := newWatched(t, Rules{})
		w.see(Observed{Paired: true, Noise: one("body.a", Changed)})
		for range candidates {
			w.see(Observed{Paired: true, Candidate: one("body.a", Changed)})
		}
		require.Equal(t, []string{want}, classesOf(w.Findings))
	}
}

// TestSessionsThatThrewAreBounded, and each throws once until it is forgotten.
func TestSessionsThatThrewAreBounded(t *testing.T) {
	f, err := NewFindings(Rules{}, FindingOptions{})
	require.NoError(t, err)
	of := &field{}
	for n := range uint64(maxThrown + 10) {
		require.True(t, f.news(of, n))
	}
	require.False(t, f.news(of, maxThrown+5))
	require.LessOrEqual(t, len(f.thrown), maxThrown)
}

func TestFindingSaysItAll(t *testing.T) {
	w := newWatched(t, Rules{})
	w.see(Observed{
		Paired: true, Candidate: []Difference{{Place: "body.a", Kind: Missing, Baseline: "1"}},
		Request: Request{Method: "GET", Target: "/a?token=secret&page=2&secret"},
	})
	f := w.List()[0]
	require.Equal(t, "undecided: GET /a body.a missing in 1 of 1, noise in 0 of 1; GET /a?token=…&page=…&…: 1 -> nothing", f.String())
	require.NotContains(t, strings.Join([]string{f.String(), f.Examples[0].Request}, " "), "secret")
	w.see(Observed{Candidate: one("body.b", Changed), Hide: func(place, value string) string { return "hidden " + place + " " + value }})
	require.Equal(t, "hidden body.b 1", w.List()[1].Examples[0].Baseline)
	require.Equal(t, "hidden body.b 2", w.List()[1].Examples[0].Candidate)
}

func TestFindingOptionsThatAreWrong(t *testing.T) {
	_, err := NewFindings(Rules{}, FindingOptions{FalseAlarms: 1})
	require.ErrorContains(t, err, "the rate of false alarms must be between 0 and 1, not 1")
	_, err = NewFindings(Rules{}, FindingOptions{Block: -1})
	require.ErrorContains(t, err, "a block must be longer than 0, not -1ns")
	_, err = NewFindings(Rules{Ignore: []Where{{}}}, FindingOptions{})
	require.ErrorContains(t, err, "ignore 1")
}

// TestEachFieldHasItsShare wants the error rate to be that of all fields together: the
// nth that says anything gets the nth part.
func TestEachFieldHasItsShare(t *testing.T) {
	w := newWatched(t, Rules{})
	w.see(Observed{Paired: true, Candidate: one("body", Undecidable)})
	for i := range 40 {
		w.see(Observed{Paired: true, Candidate: one(fmt.Sprint("body.x", i), Changed)})
	}
	alphas := map[string]float64{}
	sum := 0.0
	for _, f := range w.List() {
		alphas[f.Place] = f.Alpha
		sum += f.Alpha
	}
	require.Zero(t, alphas["body"], "nothing can be said of it")
	for i := range 40 {
		require.InDelta(t, 0.01*evidence.FieldShare(uint64(i+1)), alphas[fmt.Sprint("body.x", i)], 1e-12)
	}
	require.Less(t, sum, 0.01)
}

// TestBlocksLastAQuarterOfASecond, also where exchanges are told of in another order
// than they began in.
func TestBlocksLastAQuarterOfASecond(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	blocks := func(at ...time.Duration) float64 {
		f, err := NewFindings(Rules{}, FindingOptions{})
		require.NoError(t, err)
		for _, after := range at {
			for range 10 {
				f.Add(Observed{At: start.Add(after), Route: "GET /a", Paired: true, Candidate: one("body.a", Changed)})
			}
		}
		return f.List()[0].Evidence.Log
	}
	once, twice := blocks(0, 0), blocks(0, time.Second)
	require.Greater(t, twice, 1.5*once)
	require.Equal(t, once, blocks(0, 249*time.Millisecond))
	require.Equal(t, twice, blocks(0, 250*time.Millisecond))
	require.Equal(t, once, blocks(0, -longAgo), "it ended late")
	require.Equal(t, twice, blocks(0, -longAgo-1), "of another clock")
}

// TestWhatIsNoCoin wants nothing to be made of what says nothing.
func TestWhatIsNoCoin(t *testing.T) {
	missing, added := one("body.a[]", Missing)[0], one("body.a[]", Added)[0]
	stranger := Difference{Place: "body.b", Kind: Changed, expected: 7}
	for name, c := range map[string]struct {
		o                Observed
		differing, noise uint64
		coins            uint64 // of the first of the list
	}{
		"of one kind":                  {Observed{Paired: true, Candidate: []Difference{missing}}, 1, 0, 1},
		"twice at one place":           {Observed{Paired: true, Candidate: []Difference{missing, missing}}, 1, 0, 1},
		"both differ":                  {Observed{Paired: true, Candidate: []Difference{missing}, Noise: []Difference{missing}}, 1, 1, 0},
		"noise that was not asked for": {Observed{Candidate: []Difference{missing}, Noise: []Difference{missing}}, 1, 0, 0},
		"items that are others":        {Observed{Candidate: []Difference{missing, added}}, 1, 0, 0},
		"of other rules":               {Observed{Paired: true, Candidate: []Difference{stranger}}, 1, 0, 1},
	} {
		w := newWatched(t, Rules{})
		w.see(c.o)
		w.see(Observed{Paired: c.o.Paired})
		f := w.List()[0]
		require.Equal(t, [3]uint64{c.differing, c.noise, c.coins}, [3]uint64{f.Differing, f.NoiseDiffering, f.Evidence.Seen.Candidate.N}, name)
	}
	w := newWatched(t, Rules{})
	for range 3 { // the first tells the direction, the last two have none: what was cut differs
		w.see(Observed{Candidate: []Difference{{Place: "body.t", Kind: Type, Baseline: "1", Candidate: "null"}}})
	}
	for range 2 {
		w.see(Observed{Candidate: []Difference{{Place: "body.t", Kind: Type, Baseline: "1…", Candidate: "1…"}}})
	}
	require.EqualValues(t, 2, w.List()[0].Evidence.Seen.Candidate.N)
	w = newWatched(t, Rules{})
	for range 100 {
		w.see(Observed{Candidate: []Difference{missing, added}})
	}
	require.Equal(t, []string{"body.a[] missing undecided", "body.a[] added undecided"}, classesOf(w.Findings))
}

// TestNoiseIsNotExpected wants an intended change to be one of the candidate's alone.
func TestNoiseIsNotExpected(t *testing.T) {
	rules := Rules{Expect: []Expectation{{Where: Where{Place: "body.a"}}}}
	w := newWatched(t, rules)
	d := one("body.a", Changed)
	d[0].expected = 1
	w.see(Observed{Paired: true, Candidate: d, Noise: d})
	require.Equal(t, []string{"body.a changed expected", "body.a changed noise"}, classesOf(w.Findings))
	list := w.List()
	require.Zero(t, list[0].Alpha, "nothing is tested")
	require.InDelta(t, 0.01*evidence.FieldShare(1), list[1].Alpha, 1e-12)
	require.Equal(t, []uint64{1, 0, 0, 1}, []uint64{list[0].Differing, list[0].NoiseDiffering, list[1].Differing, list[1].NoiseDiffering})
}

// TestFindingsAreSorted by how grave their kinds are, then by how frequent they are.
func TestFindingsAreSorted(t *testing.T) {
	w := newWatched(t, Rules{})
	for i := range 10 {
		o := Observed{Paired: true, Candidate: append(one("body.b", Changed), one("body.z", Order)...)}
		if i == 0 {
			o.Candidate = append(o.Candidate, append(one("body.y", Missing), one("body.a", Changed)...)...)
		}
		w.see(o)
	}
	require.Equal(t, []string{"body.y missing undecided", "body.b changed undecided", "body.a changed undecided", "body.z order undecided"}, classesOf(w.Findings))
}

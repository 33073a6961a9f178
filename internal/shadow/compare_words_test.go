package shadow

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates/evidence"
)

// TestWordsHavePlaces: values in one line, one element or one string of JSON have places
// of their own.
func TestWordsHavePlaces(t *testing.T) {
	for name, c := range map[string]struct {
		baseline, candidate string
		want                []string // places without body.p, body or body.text
	}{
		"words once":           {"Hello Ann, it is 10:31, total 12.00", "Hello Bob, it is 10:32, total 13.00", []string{"~Hello", "~is", "~total"}},
		"a word twice":         {"it is 10:31 and your total is 12.00", "it is 10:32 and your total is 13.00", []string{"~it~is", "~total~is"}},
		"two words twice":      {"from 10 on, from 11 on, from 12 on", "from 20 on, from 21 on, from 22 on", []string{"~from", "~on~from", "~on~from(2)"}},
		"very often":           {"a=1 x a=2 x a=3 x a=4 x a=5 x a=6 x a=7", "a=11 x a=12 x a=13 x a=14 x a=15 x a=16 x a=17", []string{"~a", "~a(2)", "~a(3)", "~a(4)", "~a(5)"}},
		"names of other sizes": {"Hello Ann Lee, 12.00 EUR, and bye", "Hello Bob, 13.00 EUR, and bye", []string{"~Hello", "~Hello+n"}},
		"words of a secret":    {"your password hunter is 5, it is 6", "your password hunter is 7, it is 8", []string{"~is", "~it~is"}},
	} {
		t.Run(name, func(t *testing.T) {
			c2 := newComparer(t, Rules{})
			for base, answers := range map[string][2]Response{
				"body.p":    {answered(200, "<p>"+c.baseline+"</p>", "Content-Type: text/html"), answered(200, "<p>"+c.candidate+"</p>", "Content-Type: text/html")},
				"body.text": {quoted(c.baseline), quoted(c.candidate)},
				"body":      {answered(200, c.baseline, "Content-Type: text/plain"), answered(200, c.candidate, "Content-Type: text/plain")},
			} {
				var want, got []string
				for _, place := range c.want {
					want = append(want, base+"."+place)
				}
				for _, d := range c2.Compare("GET /", answers[0], answers[1]) {
					got = append(got, d.Place)
				}
				require.Equal(t, want, slices.Compact(got))
			}
		})
	}
}

func quoted(text string) Response {
	body, _ := json.Marshal(map[string]string{"text": text}) // which can always be written
	return jsonAnswer(string(body))
}

// TestWordsOfStrings: strings of JSON are texts where they are, and one value else.
func TestWordsOfStrings(t *testing.T) {
	for name, c := range map[string]struct {
		baseline, candidate string
		want                []string
	}{
		"a sentence":              {"order 8127 will cost 12.00", "order 8128 will cost 13.00", []string{`changed body.text.~order: "order 8127 will cost 12.00" -> "order 8128 will cost 13.00"`, `changed body.text.~cost: "order 8127 will cost 12.00" -> "order 8128 will cost 13.00"`}},
		"a word more":             {"mug sold out today", "mug sold today", []string{`changed body.text.~sold: "mug sold out today" -> "mug sold today"`}},
		"a time in it":            {"made at 2026-01-02T15:04:05Z by us", "made at 2026-01-02T15:04:06Z by us", []string{`time body.text.~at: "made at 2026-01-02T15:04:05Z by us" -> "made at 2026-01-02T15:04:06Z by us"`}},
		"another sentence":        {"leave it at the door", "ring two times before noon", []string{`changed body.text: "leave it at the door" -> "ring two times before noon"`}},
		"a time":                  {"Fri, 02 Jan 2026 15:04:05 GMT", "Fri, 02 Jan 2026 15:04:06 GMT", []string{`time body.text: "Fri, 02 Jan 2026 15:04:05 GMT" -> "Fri, 02 Jan 2026 15:04:06 GMT"`}},
		"one word":                {"sold", "none", []string{`changed body.text: "sold" -> "none"`}},
		"white space":             {"sold out", "sold  out", []string{`changed body.text: "sold out" -> "sold  out"`}},
		"JSON":                    {`{"a": 1, "b": 2}`, `{"a": 1, "b": 3}`, []string{"changed body.text.b: 2 -> 3"}},
		"JSON, written otherwise": {`{"a": 1, "b": 2}`, `{"b":2,"a":1}`, []string{`format body.text: "{\"a\": 1, \"b\": 2}" -> "{\"b\":2,\"a\":1}"`}},
		"JSON in JSON in JSON":    {`{"a":"{\"b\":\"[{\\\"c\\\":1}]\"}"}`, `{"a":"{\"b\":\"[{\\\"c\\\":2}]\"}"}`, []string{"changed body.text.a.b[].c: 1 -> 2"}},
		"half of it":              {`{"a": 1}`, `{"a": 1`, []string{`changed body.text: "{\"a\": 1}" -> "{\"a\": 1"`}},
		"HTML":                    {"<b>mug</b> for <i>10</i>", "<b>mug</b> for <i>12</i>", []string{`changed body.text.i: "\u003cb\u003emug\u003c/b\u003e for \u003ci\u003e10\u003c/i\u003e" -> "\u003cb\u003emug\u003c/b\u003e for \u003ci\u003e12\u003c/i\u003e"`}},
		"a long one":              {strings.Repeat("on and ", 30) + "it costs 10", strings.Repeat("on and ", 30) + "it costs 12", []string{"changed body.text.~costs: 10 -> 12"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, told(newComparer(t, Rules{}).Compare("GET /", quoted(c.baseline), quoted(c.candidate))))
		})
	}
}

// TestRulesOfStrings: rules are of a string and of the words in it.
func TestRulesOfStrings(t *testing.T) {
	a, b := quoted("order 8127 will cost 12.00"), quoted("order 8128 will cost 12.01")
	for name, c := range map[string]struct {
		rules Rules
		want  int
	}{
		"all of it":          {Rules{Ignore: []Where{{Place: "body.text"}}}, 0},
		"a word":             {Rules{Ignore: []Where{{Place: "body.text.~order"}}}, 1},
		"an amount":          {Rules{Tolerate: []Tolerance{{Where: Where{Place: "body.text.~cost"}, Absolute: 0.02}}}, 1},
		"another":            {Rules{Ignore: []Where{{Place: "body.other"}}}, 2},
		"a changed string":   {Rules{Expect: []Expectation{{Where: Where{Place: "body.text"}, From: "order 8127 will cost 12.00", To: "order 8128 will cost 12.01", Why: "so"}}}, 0},
		"a changed word":     {Rules{Expect: []Expectation{{Where: Where{Place: "body.text"}, From: "12.00", Why: "so"}}}, 1},
		"a string of others": {Rules{Expect: []Expectation{{Where: Where{Place: "body.text"}, To: "order", Why: "so"}}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			unexpected := 0
			for _, d := range newComparer(t, c.rules).Compare("GET /", a, b) {
				if !d.Expected() {
					unexpected++
				}
			}
			require.Equal(t, c.want, unexpected)
		})
	}
}

// TestPlacesOfWordsAreRules: what reports show as a place can stand in a plan.
func TestPlacesOfWordsAreRules(t *testing.T) {
	for _, place := range []string{"body.p(greeting)", "body.message.~Hello", "body.p.~total~is", "body.~from(2)", "body.~price+n", "body[].text.~{key}"} {
		require.NoError(t, Rules{Ignore: []Where{{Place: place}}}.check())
	}
	text := func(times string, total int) Response {
		return answered(200, fmt.Sprintf("it is %s, your total is %d", times, total))
	}
	c := newComparer(t, Rules{Ignore: []Where{{Place: "body.~it~is"}}})
	require.Equal(t, []string{"changed body.~total~is: 12 -> 13"}, told(c.Compare("GET /", text("10:31", 12), text("10:32", 13))))
}

// TestPlacesTellNoSecret: no place tells a word of a string that is one, by its name or
// by what was declared.
func TestPlacesTellNoSecret(t *testing.T) {
	c, err := NewComparer(Rules{}, CompareOptions{Private: redactor(t, RedactionRules{Paths: []string{"user.note"}}).Private})
	require.NoError(t, err)
	text := `{"passphrase":"correct horse %d staple","user":{"note":"was ill %d days","public":"was here %d days"}}`
	var places []string
	for _, d := range c.Compare("GET /", jsonAnswer(fmt.Sprintf(text, 1, 1, 1)), jsonAnswer(fmt.Sprintf(text, 2, 2, 2))) {
		places = append(places, d.Place)
	}
	require.Equal(t, []string{"body.passphrase", "body.user.note", "body.user.public.~here"}, places)
}

// TestManyWordsMismatch: what is counted at the place of many words is known there when
// mismatches are counted, whenever the answers were compared.
func TestManyWordsMismatch(t *testing.T) {
	f, err := NewFindings(Rules{}, FindingOptions{})
	require.NoError(t, err)
	at := func(word string) []Difference { return []Difference{{Place: "body.p.~" + word, Kind: Changed}} }
	for i := range 60 {
		word := fmt.Sprintf("w%c%c", 'a'+i/26, 'a'+i%26)
		placed := f.placed("/", at(word))[0].Place
		require.Equal(t, i >= firstWords, placed == "body.p.~{key}", i)
		f.Add(Observed{At: time.Unix(int64(i), 0), Route: "/", Paired: true, Candidate: at(word)})
	}
	require.Equal(t, Regression, f.ClassOf("/", "body.p.~new", Changed))
	for range againWords {
		f.Add(Observed{At: time.Unix(100, 0), Route: "/", Paired: true, Candidate: at("again")})
	}
	require.Equal(t, "body.p.~again", f.placed("/", at("again"))[0].Place, "a word that comes again")
	verdicts := map[comparedField]comparedVerdict{{"/", comparedAt{"body.p.~{key}", Changed}}: {mismatched: true}}
	set := comparedSet{route: "/", all: []comparedAt{{"body.p.~new", Changed}}}
	require.True(t, set.judge(verdicts, f.Folded).mismatched)
}

// TestStringsRecorded: of a string that a recording has a pseudonym in, nothing is known.
func TestStringsRecorded(t *testing.T) {
	c, err := NewComparer(Rules{}, CompareOptions{Recorded: true})
	require.NoError(t, err)
	require.Empty(t, c.Compare("GET /", quoted("your token is "+pseudonymMark+strings.Repeat("0a", 16)+" now"), quoted("your token is correct horse 17 now")))
	found := c.Compare("GET /", quoted("your pin 1234 is 17 days old"), quoted("your pin 4711 is 18 days old"))
	require.Len(t, found, 1)
	require.Equal(t, "body.text.~is", found[0].Place)
}

// said are answers with a sentence that differs whenever one asks: names of one to three
// words, a time, a number; and a total, which is the user's, or wrong by some amount.
func said(rng *rand.Rand, user int, wrong float64) map[string]Response {
	name := []string{"Ann", "Bob Lee", "Cid van Dyk", "Dora", "Eve Fox"}[rng.IntN(5)]
	text := fmt.Sprintf("Hello %s, it is %d:%02d, you are visitor %d, user%c%c: your total is %.2f EUR.", name, rng.IntN(24), rng.IntN(60), rng.IntN(9000), 'a'+user%26, 'a'+user/26%26, float64(user%100)+wrong)
	return map[string]Response{
		"html": answered(200, "<p>"+text+"</p><b>"+name+"</b>", "Content-Type: text/html"),
		"json": quoted(text),
		"text": answered(200, "a line\n"+text+"\nanother line\n", "Content-Type: text/plain"),
		"list": answered(200, fmt.Sprintf(`[{"id":1,"text":%q},{"id":2,"text":%q}]`, text, "served to "+name+" for you"), "Content-Type: application/json"),
		// which has no word before the price that is always the same
		"named": quoted(fmt.Sprintf("%c%c%c%c: %.2f EUR, as always", 'a'+user%26, 'a'+user/26%26, 'a'+user%7, 'a'+user%5, float64(user%100)+wrong)),
	}
}

// sayings are findings of such answers, of which the candidate has some wrong.
func sayings(t *testing.T, seed uint64, requests int, options FindingOptions, wrong func(i int) float64) *Findings {
	rng := rand.New(rand.NewPCG(seed, 5))
	c := newComparer(t, Rules{})
	f, err := NewFindings(Rules{}, options)
	require.NoError(t, err)
	for i := range requests {
		user := rng.IntN(1000)
		first, candidate, second := said(rng, user, 0), said(rng, user, wrong(i)), said(rng, user, 0)
		for name := range first {
			f.Add(Observed{
				At: time.Unix(1_767_366_245+int64(i), 0), Route: name, Paired: true,
				Candidate: c.Compare(name, first[name], candidate[name]), Noise: c.Compare(name, first[name], second[name]),
			})
		}
	}
	return f
}

// TestNoiseBesideAChange: a total that is wrong now and then is found in a sentence of
// which all else differs whenever one asks.
func TestNoiseBesideAChange(t *testing.T) {
	for every, requests := range map[int]int{1: 200, 20: 1000} {
		got := map[string][]string{}
		f := sayings(t, 1, requests, FindingOptions{}, func(i int) float64 {
			if i%every == 0 {
				return 1.5
			}
			return 0
		})
		for _, found := range f.List() {
			if found.Class == Regression {
				got[found.Route] = append(got[found.Route], string(found.Kind)+" "+found.Place)
			}
		}
		require.Equal(t, map[string][]string{
			"html": {"changed body.p.~total~is"}, "json": {"changed body.text.~total~is"}, "text": {"changed body.~total~is"},
			"list": {"changed body[].text.~total~is"}, "named": {"changed body.text.~{key}"},
		}, got, "every %d", every)
	}
}

// TestHeavyNoiseInSentencesIsNoRegression: where the candidate is as good as the baseline, no
// more of 200 runs report anything than the rate of false alarms allows.
func TestHeavyNoiseInSentencesIsNoRegression(t *testing.T) {
	withoutRaceDetector(t)
	const runs, alpha = 200, 0.05
	found := 0
	for seed := range uint64(runs) {
		f := sayings(t, seed, 60, FindingOptions{FalseAlarms: alpha}, func(int) float64 { return 0 })
		if reported := regressionsOf(f); len(reported) > 0 {
			t.Logf("run %d: %v", seed, reported)
			found++
		}
	}
	t.Logf("%d of %d runs reported something", found, runs)
	require.False(t, evidence.Excludes(uint64(found), runs, alpha, 0.99), "%d of %d", found, runs)
}

// TestWordsAreLimited: texts of random words take no field from anything else, and what
// is wrong elsewhere is found.
func TestWordsAreLimited(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	c := newComparer(t, Rules{})
	f, err := NewFindings(Rules{}, FindingOptions{})
	require.NoError(t, err)
	answer := func(price int) Response {
		var b strings.Builder
		for i := range 20 {
			fmt.Fprintf(&b, `<p id="p%c">`, 'a'+i)
			for range 20 {
				fmt.Fprintf(&b, "w%c%c %d ", 'a'+rng.IntN(26), 'a'+rng.IntN(26), rng.IntN(3))
			}
		}
		return answered(200, fmt.Sprintf(`<p id="sum">the price %d</p>%s`, price, b.String()), "Content-Type: text/html")
	}
	for i := range 400 {
		first, wrong := answer(10), 10
		if i > 300 {
			wrong = 12
		}
		f.Add(Observed{At: time.Unix(1_767_366_245+int64(i), 0), Route: "/", Paired: true, Candidate: c.Compare("/", first, answer(wrong)), Noise: c.Compare("/", first, answer(10))})
	}
	require.Equal(t, []string{"/ body.p(sum).~{key} changed"}, regressionsOf(f))
	words := 0
	for _, found := range f.List() {
		if strings.Contains(found.Place, textMark) {
			words++
		}
	}
	require.Greater(t, words, 100)
	require.Less(t, words, maxFields)
}

// TestManySentences: of very many strings the last ones are compared as values.
func TestManySentences(t *testing.T) {
	list := func(number int) Response {
		return jsonAnswer("[" + strings.Repeat(fmt.Sprintf(`"it costs %d",`, number), maxSentences+1) + `"end"]`)
	}
	require.Equal(t, []string{`changed body[].~costs: "it costs 1" -> "it costs 2"`, `changed body[]: "it costs 1" -> "it costs 2"`}, told(newComparer(t, Rules{}).Compare("GET /", list(1), list(2))))
}

// TestHeavyHostileWords: a text of 100 MB, of which all words differ and each names a value,
// takes memory in proportion to its size, and few places.
func TestHeavyHostileWords(t *testing.T) {
	withoutRaceDetector(t)
	text := func(add int) string {
		var b strings.Builder
		for i := 0; b.Len() < 100<<20; i++ {
			fmt.Fprintf(&b, "w%c%c%c%c %d ", 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26, 'a'+i/17576%26, i+add)
		}
		return b.String()
	}
	a, b := answered(200, text(0), "Content-Type: text/plain"), answered(200, text(1), "Content-Type: text/plain")
	c := newComparer(t, Rules{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	found := c.Compare("GET /", a, b)
	runtime.ReadMemStats(&after)
	t.Logf("%v, %d MiB of memory, %v", time.Since(begin), (after.TotalAlloc-before.TotalAlloc)>>20, told(found)[:2])
	require.LessOrEqual(t, len(found), maxDifferences+1)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<30))
	places := map[string]bool{}
	for _, d := range found {
		places[d.Place] = true
	}
	require.LessOrEqual(t, len(places), 3, "%v", places)
}

// TestSentencesWithinTexts: strings of a script in a page are compared by words too, and
// what stands in a string is no page again.
func TestSentencesWithinTexts(t *testing.T) {
	c, err := NewComparer(Rules{}, CompareOptions{})
	require.NoError(t, err)
	page := func(visitor, total, after string) Response {
		return answered(200, `<p>Hello</p><script id="state" type="application/json">{"list":[{"say":"you are visitor `+visitor+` and pay `+total+` now"}],"html":"<b>one `+visitor+`</b> <script type=\"application/json\">{\"say\":\"a b `+visitor+`\"}<\/script> more of it"}</script><i>after `+after+` that</i>`, "Content-Type: text/html")
	}
	places := func(a, b Response) (out []string) {
		for _, d := range c.Compare("GET /", a, b) {
			out = append(out, d.Place)
		}
		return out
	}
	require.Equal(t, []string{"body.script(state).list[].say.~pay"}, places(page("1", "12.00", "x"), page("1", "13.00", "x")))
	require.Equal(t, []string{"body.script(state).list[].say.~pay", "body.i.~after"}, places(page("1", "12.00", "x"), page("1", "13.00", "y")))
	all := places(page("1", "12.00", "x"), page("2", "13.00", "y"))
	require.Subset(t, all, []string{"body.script(state).list[].say.~visitor", "body.script(state).list[].say.~pay", "body.i.~after"})
	require.Equal(t, all, places(page("2", "13.00", "y"), page("1", "12.00", "x")))
}

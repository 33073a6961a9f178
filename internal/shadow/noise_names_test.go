package shadow

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNamesThatAreData: where the names of an object are those of whoever is there, they
// are no fields: they are noise together, do not crowd out others, and what is wrong in
// one answer of 30 beside them is found.
func TestNamesThatAreData(t *testing.T) {
	c := newComparer(t, Rules{})
	for _, wrong := range []bool{false, true} {
		f := namelessFindings(t)
		rng := rand.New(rand.NewPCG(5, 5))
		answer := func(total int) Response {
			var b strings.Builder
			for i := range 5 {
				fmt.Fprintf(&b, `%q:{"n":%d,"at.home":%v},`, string(rune('a'+rng.IntN(26)))+string(rune('a'+rng.IntN(26)))+string(rune('a'+rng.IntN(26))), i, rng.IntN(2) == 0)
			}
			return jsonAnswer(fmt.Sprintf(`{"online":{%s},"total":%d}`, strings.TrimSuffix(b.String(), ","), total))
		}
		for n := range 2000 {
			baseline, again, total := answer(7), answer(7), 7
			if wrong && n%30 == 29 {
				total = 8
			}
			f.Add(Observed{
				At: time.Unix(1_800_000_000, int64(n)*int64(100*time.Millisecond)), Route: "GET /a", Paired: true,
				Candidate: c.Compare("GET /a", baseline, answer(total)), Noise: c.Compare("GET /a", baseline, again),
			})
		}
		want := []string{}
		if wrong {
			want = append(want, "GET /a body.total changed")
		}
		require.Equal(t, want, regressionsOf(f))
		all := f.List()
		require.Less(t, len(all), 10)
		for _, found := range all {
			require.True(t, found.Class == Noise || found.Class == Regression, found)
		}
		require.Equal(t, "body.online.{key}.n", f.Folded("GET /a", "body.online.somebody.n"))
		require.Equal(t, Noise, f.ClassOf("GET /a", "body.online.somebody", Added))
	}
}

// TestManyNewFieldsAreFound: more than a hundred names that the candidate adds are found,
// by the object they are in.
func TestManyNewFieldsAreFound(t *testing.T) {
	f := namelessFindings(t)
	for n := range 300 {
		var found []Difference
		for i := range 60 {
			found = append(found, one(fmt.Sprint("body.all.field", string(rune('a'+i/26)), string(rune('a'+i%26)), n%2), Added)...)
		}
		f.Add(Observed{At: time.Unix(1_800_000_000, int64(n)*int64(100*time.Millisecond)), Route: "GET /a", Paired: true, Candidate: found})
	}
	require.Equal(t, []string{"GET /a body.all.{key} added"}, regressionsOf(f))
}

// TestFolding: places are folded by their names, however those are written.
func TestFolding(t *testing.T) {
	r := &routeFields{folded: map[string]bool{"body": true, `body.x."a.b"`: true, "body.list[]": true, "body.{key}.deep": true}}
	for place, want := range map[string]string{
		"body":             "body",
		"body.a":           "body.{key}",
		"body.a[].b":       "body.{key}[].b",
		`body."a.b\".c"[]`: "body.{key}[]",
		"body.a.deep.b":    "body.{key}.deep.{key}",
		"header x":         "header x",
		`body."never ends`: "body.{key}",
		"body.":            "body.{key}",
		"body[].a":         "body[].a",
	} {
		require.Equal(t, want, r.fold(place), place)
	}
	for place, want := range map[string][2]string{
		"body.a.b": {"body.a", "b"}, `body."a.b"`: {"body", `"a.b"`}, "body[].a": {"body[]", "a"}, "body.a[]": {}, "status": {}, "body.~word": {}, "body": {},
	} {
		object, name := parentOf(place)
		require.Equal(t, want, [2]string{object, name}, place)
	}
}

func namelessFindings(t *testing.T) *Findings {
	t.Helper()
	f, err := NewFindings(Rules{}, FindingOptions{})
	require.NoError(t, err)
	return f
}

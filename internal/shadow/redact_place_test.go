package shadow

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// TestDeclaredPlaces wants places to be found that were declared as paths, however the
// comparison writes them.
func TestDeclaredPlaces(t *testing.T) {
	r := redactor(t, RedactionRules{Paths: []string{"user.Email", "cards[*].number", "[*].name", "by.*.phone", "e mail", "$.deep[*][*]"}, Headers: []string{"X-Declared"}})
	for _, place := range []string{
		"body.user.email", "body.user.email.local", "body.USER.EMAIL[]", "body.cards[].number", "body[].name", "body.by.{key}.phone", "body.by.anna.phone",
		"body.{key}.email", `body."e mail"`, "body.deep[][]", "header x-declared", "header authorization", "body." + strings.Repeat("x", maxPlace),
	} {
		_, all := r.hides(place)
		require.True(t, all, place)
	}
	for _, place := range []string{"status", "body", "body.user", "body.user.name", "body.cards", "body.cards[]", "body.number", "body.name", "body[]", "body.deep[]", "header etag", `body."e`, "body..", "other"} {
		_, all := r.hides(place)
		require.False(t, all, place)
	}
	_, all := redactor(t, RedactionRules{}).hides("body." + strings.Repeat("x", maxPlace))
	require.False(t, all, "nothing is declared")
}

// TestRedactsWhatBegins wants no secret in the beginning of a value, wherever it ends.
func TestRedactsWhatBegins(t *testing.T) {
	r := redactor(t, RedactionRules{Paths: []string{"user.name", "list[*]"}})
	text := ` {"id":17,"name":"anna","more":{"pin":4711,"b":[true,{"token":"s3cr3t"}]},"z":null}`
	nodes, _ := r.hides("body.user")
	for end := range len(text) + 1 {
		begin := text[:end]
		if end < len(text) {
			begin += "…"
		}
		got := (&redaction{r: r}).begun(begin, nodes)
		for _, secret := range []string{"anna", "4711", "s3cr3t", `"a`, `"s`, `:4`} {
			require.NotContains(t, got, secret, begin)
		}
		if end > len(`{"id":17,`) {
			require.Contains(t, got, `{"id":17`)
		}
	}
	whole := (&redaction{r: r}).begun(text, nodes)
	require.Equal(t, strings.NewReplacer("anna", r.Pseudonym("anna"), "4711", r.PseudonymOfNumber("4711"), "s3cr3t", r.Pseudonym("s3cr3t")).Replace(text), whole)
	nodes, _ = r.hides("body.list")
	require.Equal(t, `["`+r.Pseudonym("x")+`"]`, (&redaction{r: r}).begun(`["x"]`, nodes))
	require.Equal(t, "anna", (&redaction{r: r}).begun("anna", nodes))
}

// declaredTape is a recording that says what it was redacted of.
type declaredTape struct {
	tape
	declared Declared
}

func (s *declaredTape) Declared() Declared { return s.declared }

// TestReplayShowsNothingDeclared wants values that the plan or the recording declares in
// no event, wherever and however they differ.
func TestReplayShowsNothingDeclared(t *testing.T) {
	paths := []string{"user.email", "cards[*].number", "[*].phone", "note"}
	baseline := `{"user":{"email":"secret1@x","id":1},"cards":[{"id":1,"number":471147114711},{"id":2,"number":471147114712}],"gone":{"user":1},"note":"s1"}`
	answers := map[string][2]string{
		"a value":           {baseline, strings.NewReplacer("secret1", "secret2", "471147114711", "471147114713", "s1", "s2").Replace(baseline)},
		"another type":      {baseline, `{"user":{"email":{"a":"secret3"},"id":2},"cards":[{"id":1,"number":"471147114714"}],"gone":1,"note":["s3"]}`},
		"what it is in":     {baseline, `{"gone":{},"note":"s4"}`},
		"all of it":         {baseline, `[{"phone":"secret5"}]`},
		"a list":            {`[{"phone":"471147114715"},{"phone":"471147114716","id":3}]`, `[{"phone":"471147114717"}]`},
		"that is cut":       {`{"user":{"email":"secret6@x","id":1}`, `{"user":{"email":"secret7@x","id":1}`},
		"lines of no JSON":  {`{"user":{"email":"secret8"}` + "\nx", `{"user":{"email":"secret9"}` + "\ny"},
		"a word beside it":  {`{"note":"anna was secret 17 days"}`, `{"note":"anna was secret 18 days"}`},
		"what repeats it":   {`{"note":"secret10","debug":"it was secret10"}`, `{"note":"secret10","debug":"it was not"}`},
		"behind a long one": {`{"a":{"b":"` + strings.Repeat("x", 85) + `"},"user":{"email":"secret11"}}`, `{}`},
	}
	for name, texts := range answers {
		for where, declared := range map[string]Declared{"plan": {}, "recording": {Paths: paths}, "unknown": {Unknown: true}} {
			t.Run(name+" by "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := staged{test: shadowTest(), baseline: answering(texts[0], 0), candidate: answering(texts[1], 0)}
					if where == "plan" {
						s.test.Redact = paths
					}
					outside := s.outside()
					outside.Open = func(string) (Recording, error) {
						return &declaredTape{tape: tape{exchanges: recordedMany(5, 10*time.Millisecond)}, declared: declared}, nil
					}
					all := replayWith(t, s.stream(), outside)
					require.NotEmpty(t, happened(all, measure.EventDifference))
					said := regexp.MustCompile("pn-[0-9a-f]{32}").ReplaceAllString(fmt.Sprint(all.Events, all.Examples), "")
					for _, secret := range []string{"secret", "47114711", "s1", "s2", "s3", "s4", "736563726574"} {
						require.NotContains(t, said, secret)
					}
				})
			})
		}
	}
}

func replayWith(t *testing.T, s plan.Stream, outside Outside) (all measure.Batch) {
	t.Helper()
	r, err := NewReplay(s, outside)
	require.NoError(t, err)
	require.NoError(t, r.Run(t.Context(), func(b measure.Batch) error {
		all.Events, all.Examples = append(all.Events, b.Events...), append(all.Examples, b.Examples...)
		return nil
	}))
	return all
}

// TestRecordingsSayWhatTheyHide wants a recording to tell what was declared, and to say
// so when that is damaged.
func TestRecordingsSayWhatTheyHide(t *testing.T) {
	declared := Declared{Paths: []string{"user.email"}, Headers: []string{"X-Org"}, Query: []string{"code"}}
	path := filepath.Join(t.TempDir(), "declared")
	w, err := Create(path, Options{Declared: declared})
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, w.Write(Exchange{At: recordingStart.Add(time.Duration(i)), Request: Request{Method: http.MethodGet, Target: "/"}}))
		require.NoError(t, w.Flush())
	}
	require.NoError(t, w.Close())
	r := openRecording(t, path)
	require.Equal(t, declared, r.Declared())
	require.Equal(t, "user.email, header X-Org, query code", r.Declared().String())
	all, damage := readAll(t, r)
	require.Len(t, all, 3)
	require.Empty(t, damage)
	sum, err := r.Summarize()
	require.NoError(t, err)
	require.EqualValues(t, 3, sum.Exchanges)

	file, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, at := range map[string]int{"its frame": headerSize + syncSize + 3, "what it says": headerSize + frameSize + 2} {
		broken := append([]byte{}, file...)
		broken[at] ^= 1
		require.NoError(t, os.WriteFile(path, broken, 0o600))
		r := openRecording(t, path)
		require.True(t, r.Declared().Unknown, name)
		require.Contains(t, r.Declared().String(), "nobody knows", name)
		all, _ := readAll(t, r)
		require.Len(t, all, 3, name)
	}
	require.False(t, openRecording(t, record(t, Exchange{At: recordingStart})).Declared().Unknown)
	_, err = Create(path+"2", Options{Declared: Declared{Paths: []string{strings.Repeat("x", maxDeclared)}}})
	require.ErrorContains(t, err, "a recording keeps at most")
	_, err = os.Stat(path + "2")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestShown wants values that have the name of a secret, or are in what has, in no
// report, and to see what became of a cookie.
func TestShown(t *testing.T) {
	for _, place := range []string{"header x-api-key", "body.user.ssn", "body.card", "body.session.user", "body.tokens[].access_token", `body."api key"`, "body.cvv"} {
		require.Equal(t, redactedText, Shown(place, "v"), place)
		require.Empty(t, Shown(place, ""), place)
	}
	for _, place := range []string{"status", "header set-cookie", "body.card_type", "body.author", "body.items[].price"} {
		require.Equal(t, "v", Shown(place, "v"), place)
	}
	require.Equal(t, `"https://shop/a"`, Shown("body.link", `"https://shop/a"`))
	require.Equal(t, "https://shop/a", Shown("header location", "https://u:p@shop/a?code=1"))
}

// TestReplayShowsALostSecure wants a report to tell what a cookie lost.
func TestReplayShowsALostSecure(t *testing.T) {
	attrs := findingAttrs(Finding{Place: "header set-cookie", Examples: []Example{{
		Baseline: joined("Set-Cookie", []string{"sid=s3cr3t; Path=/; Secure"}), Candidate: joined("Set-Cookie", []string{"sid=s3cr4t; Path=/"}),
	}}})
	require.Equal(t, "sid; path=/; secure", attrs["baseline"])
	require.Equal(t, "sid; path=/", attrs["candidate"])
}

// TestLongPlacesAreShortened wants the beginning and the end of a place that is nested
// deeply, where it is shown.
func TestLongPlacesAreShortened(t *testing.T) {
	long := "body" + strings.Repeat(".ä", 600) + ".price"
	shown := findingAttrs(Finding{Place: long})["place"]
	require.LessOrEqual(t, len(shown), 2*shownPlaceEnd+len("…"))
	require.True(t, utf8.ValidString(shown))
	require.True(t, strings.HasPrefix(shown, "body.ä.ä") && strings.HasSuffix(shown, ".ä.price") && strings.Contains(shown, "…"), shown)
	require.Contains(t, Finding{Place: long}.String(), shown)
	require.Equal(t, "body.items[].price", ShownPlace("body.items[].price"))
}

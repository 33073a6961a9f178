package shadow

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// valued is a difference of two values.
func valued(place, a, b string) Difference {
	return Difference{Place: place, Kind: Changed, Baseline: a, Candidate: b}
}

// TestWarningsTellWhatIsOwnOfAnInstance: a name that each instance tells of itself is a
// regression to who asks one of them twice, and the findings say what to do.
func TestWarningsTellWhatIsOwnOfAnInstance(t *testing.T) {
	w := newWatched(t, Rules{})
	for i := range 2000 {
		o := Observed{Paired: true, Candidate: []Difference{valued("body.host", "a-1", "b-1"), valued("body.price", fmt.Sprint(i), fmt.Sprint(i+1))}}
		if i%2 == 0 { // one wrong value, of some answers
			o.Candidate = append(o.Candidate, valued("body.rare", "1", "2"))
		}
		w.see(o)
	}
	require.ElementsMatch(t, []string{"body.host changed regression", "body.price changed regression", "body.rare changed regression"}, classesOf(w.Findings))
	warnings := w.Warnings(true)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "GET /a body.host: all answers of the baseline have one value")
	require.Empty(t, w.Warnings(false), "a second instance tells what differs between two")
}

// TestWarningsTellWantOfTime: what differs in all answers of a moment is undecided for want
// of time, and what differs now and then is not, nor that the baseline alone failed: no
// time would decide that.
func TestWarningsTellWantOfTime(t *testing.T) {
	f, err := NewFindings(Rules{}, FindingOptions{})
	require.NoError(t, err)
	at := time.Unix(1_800_000_000, 0)
	for i := range 300 {
		o := Observed{At: at.Add(time.Duration(i) * 5 * time.Millisecond), Route: "GET /a", Paired: true, Candidate: []Difference{
			valued("body.a", "1", "2"), {Place: statusPlace, Kind: Unserved, Baseline: "503", Candidate: "200"},
		}}
		if i%60 == 0 {
			o.Candidate = append(o.Candidate, valued("body.seldom", "1", "2"))
		}
		f.Add(o)
	}
	require.ElementsMatch(t, []string{"body.a changed undecided", "body.seldom changed undecided", "status " + string(Unserved) + " undecided"}, classesOf(f))
	warnings := f.Warnings(true)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "GET /a body.a: seen in too short a time to be told from noise")
	require.NotContains(t, warnings[0], "seldom")
	require.NotContains(t, warnings[0], "status")
}

func TestSomeOfManyAreListed(t *testing.T) {
	require.Equal(t, "a, b", someOf([]string{"a", "b"}))
	require.Equal(t, "a, b, c, d, e and 2 more", someOf([]string{"a", "b", "c", "d", "e", "f", "g"}))
}

package shadow

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// TestAnswersTellTheMoment: two answers that tell when they were made are the same, whatever their
// clocks' resolution; a clock that is an hour off is not.
func TestAnswersTellTheMoment(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 120_000_000, time.UTC)
	text := func(layout string) func(time.Time) string {
		return func(t time.Time) string { return strconv.Quote(t.Format(layout)) }
	}
	const fraction = "2006-01-02T15:04:05.999Z07:00"
	for name, c := range map[string]struct {
		baseline, candidate func(time.Time) string
		later               time.Duration
		want                []Kind
	}{
		"a millisecond later":       {baseline: text(fraction), later: time.Millisecond},
		"without its last zeros":    {baseline: text(fraction), later: 3 * time.Millisecond},
		"a second later":            {baseline: text(time.RFC1123), later: time.Second},
		"seconds since 1970":        {baseline: func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }, later: time.Second},
		"floats of various lengths": {baseline: func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64) }, later: 3 * time.Millisecond},
		"an hour off":               {baseline: text(fraction), later: time.Hour, want: []Kind{Time}},
		"ten seconds off":           {baseline: text(fraction), later: -10 * time.Second, want: []Kind{Time}},
		"without its fraction":      {baseline: text(fraction), candidate: text(time.RFC3339), later: time.Second, want: []Kind{Format}},
		"without its zone":          {baseline: text(time.RFC3339), candidate: text("2006-01-02T15:04:05"), later: time.Second, want: []Kind{Format}},
		"in milliseconds": {
			baseline:  func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) },
			candidate: func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }, want: []Kind{Format},
		},
	} {
		if c.candidate == nil {
			c.candidate = c.baseline
		}
		x := jsonAnswer(`{"at":`+c.baseline(now)+`}`).during(now, now.Add(time.Millisecond))
		y := jsonAnswer(`{"at":`+c.candidate(now.Add(c.later))+`}`).during(now, now.Add(time.Millisecond))
		for _, pair := range [][2]Response{{x, y}, {y, x}} {
			var kinds []Kind
			for _, d := range newComparer(t, Rules{}).Compare("GET /now", pair[0], pair[1]) {
				require.Equal(t, "body.at", d.Place, name)
				kinds = append(kinds, d.Kind)
			}
			require.Equal(t, c.want, kinds, name)
		}
	}
}

// TestMomentsNeedAClock: where nobody knows when an answer was made, and of times of
// another day, a second is a difference.
func TestMomentsNeedAClock(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	x, y := jsonAnswer(`["2026-03-04T05:06:07Z"]`), jsonAnswer(`["2026-03-04T05:06:08Z"]`)
	c := newComparer(t, Rules{})
	require.Len(t, c.Compare("GET /", x, y), 1)
	require.Len(t, c.Compare("GET /", x.during(now, now), y), 1)
	require.Empty(t, c.Compare("GET /", x.during(now, now), y.during(now, now)))
	later := now.Add(time.Hour)
	require.Len(t, c.Compare("GET /", x.during(later, later), y.during(later, later)), 1)
}

// TestExpires is compared by how long an answer may be kept.
func TestExpires(t *testing.T) {
	made := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	answer := func(made time.Time, expires string) Response {
		return answered(200, "x", "Date: "+made.Format(http.TimeFormat), "Expires: "+expires)
	}
	in := func(d time.Duration) string { return made.Add(d).Format(http.TimeFormat) }
	for name, c := range map[string]struct {
		a, b Response
		want []string
	}{
		"a second later":   {answer(made, in(time.Hour)), answer(made.Add(time.Second), in(time.Hour+time.Second)), []string{}},
		"half of it":       {answer(made, in(time.Hour)), answer(made, in(time.Hour/2)), []string{"time header expires: " + in(time.Hour) + " -> " + in(time.Hour/2)}},
		"in no time":       {answer(made, in(time.Hour)), answer(made, "0"), []string{"changed header expires: " + in(time.Hour) + " -> 0"}},
		"it has none":      {answer(made, in(time.Hour)), answered(200, "x"), []string{"missing header expires: " + in(time.Hour) + " -> "}},
		"nobody says when": {answered(200, "x", "Expires: "+in(0)), answered(200, "x", "Expires: "+in(time.Second)), []string{"time header expires: " + in(0) + " -> " + in(time.Second)}},
	} {
		require.Equal(t, c.want, told(newComparer(t, Rules{}).Compare("GET /", c.a, c.b)), name)
	}
}

// TestClocksInAReplay: a candidate whose answers are made 20 ms later than the
// baseline's two is no regression for what its clock says by then; one whose clock is an
// hour off is, though the field differs in each pair of answers of the baseline.
func TestClocksInAReplay(t *testing.T) {
	clock := func(off time.Duration) *standIn {
		return counted(func(n int) string {
			at := time.Now().Add(off)
			return fmt.Sprintf(`{"nanos":%d,"millis":%q}`, at.UnixNano()+int64(n), at.UTC().Format("2006-01-02T15:04:05.000Z"))
		})
	}
	for off, want := range map[time.Duration]int{0: 0, 20 * time.Millisecond: 0, time.Hour: 2} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))) // numbers before 2001 are no times
			s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(100, 100*time.Millisecond)}, candidate: clock(off), baseline: clock(0), again: clock(time.Nanosecond)}
			found := 0
			for _, e := range happened(s.run(t, t.Context()), measure.EventDifference) {
				if e.Attrs["class"] == string(Regression) {
					found++
				}
			}
			require.Equal(t, want, found, off)
		})
	}
}

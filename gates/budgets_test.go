package gates

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// written makes a record of lines in the language of testdata.
func written(t *testing.T, lines string) *sheet {
	t.Helper()
	s := script{now: &sheet{}}
	for line := range strings.Lines(lines) {
		require.NoError(t, s.line(strings.TrimSpace(line)))
	}
	return s.now
}

// TestBudgets has an objective whose events are counted elsewhere, one that only
// this run tells of, and one of which nothing is known.
func TestBudgets(t *testing.T) {
	s := written(t, `test t 0..60
		requests t /a 0..60 count=100 failed=1
		event objective prod at=58 720h0m0s=999500/1000000 1h0m0s=9700/10000 5m0s=900/1000 6h0m0s=59900/60000 30m0s=4980/5000 72h0m0s=600000/600000`)
	revenue := &Revenue{PerMinute: 1000, Currency: "EUR"}
	s.objectives = []Objective{
		{Name: "prod", Share: 0.999, Over: 30 * day, Queried: true, Revenue: revenue},
		{Name: "here", Share: 0.999, Over: 28 * day, Revenue: revenue},
		{Name: "lost", Share: 0.95, Over: 28 * day, Queried: true},
		{Name: "none", Share: 1, Over: 28 * day},
	}
	all := Judge(nil, s.record()).Objectives
	require.Len(t, all, 4)

	prod := all[0]
	require.Equal(t, []any{"prod", 0.999, 2592000.0, 3.0, 2592.0}, []any{prod.Objective, prod.Share, prod.Over, prod.Nines, prod.Downtime})
	require.InDelta(t, 0.5, *prod.Left, 1e-9)
	require.Equal(t, []Fired{{Page, 14.4, 3600, 300}}, prod.Firing)
	require.Len(t, prod.Burns, 6)
	hour := prod.Burns[2]
	require.Equal(t, 3600.0, hour.Window)
	require.InDelta(t, 30, hour.Rate, 1e-9)
	require.InDelta(t, 30.0/720, hour.Spent, 1e-9, "an hour of 720")
	require.True(t, hour.Low < 30 && 30 < hour.High)
	require.InDelta(t, 43_200, prod.Cost.Budget, 1e-6, "43.2 minutes")
	require.InDelta(t, 21_600, *prod.Cost.Spent, 1e-6, "half of them")
	require.Nil(t, prod.Cost.Run)

	here := all[1]
	require.Nil(t, here.Left, "no run knows its budget")
	require.Len(t, here.Burns, 1)
	require.True(t, here.Burns[0].Run)
	require.InDelta(t, 10, here.Burns[0].Rate, 1e-9)
	require.InDelta(t, 60, here.Burns[0].Window, 1e-9)
	require.InDelta(t, 10*60/(28*day).Seconds(), here.Burns[0].Spent, 1e-12)
	require.InDelta(t, 10, *here.Cost.Run, 1e-9, "1 % of a minute at 1,000 a minute")
	require.Nil(t, here.Cost.Spent)

	require.Empty(t, all[2].Burns)
	require.Contains(t, all[2].Reason, "nothing in the record tells of them")
	soak := Budget{Cost: &Cost{}}
	soak.add(s.objectives[1], Tally{1, 1}, s.objectives[1].Over, true)
	require.Nil(t, soak.Left, "not even one that is as long as the window")
	require.Nil(t, soak.Cost.Spent)
	require.Equal(t, "the objective none promises nothing that can be judged", all[3].Reason)
	_, err := json.Marshal(all)
	require.NoError(t, err)
}

// TestCounted reads the attributes of an event as they were written.
func TestCounted(t *testing.T) {
	o := Objective{Name: "prod", Share: 0.999, Over: 28 * day, Queried: true}
	windows := map[time.Duration]Tally{}
	for i, w := range BurnWindows(o.Over) {
		windows[w] = Tally{uint64(i), 100}
	}
	line := readEvents("p", []measure.Event{{Kind: measure.EventObjective, Phase: "p", Name: "prod", Attrs: o.Counted(windows)}})
	require.Equal(t, counted{windows: windows}, line.objectives["prod"])
	require.Equal(t, "0.999", o.Counted(nil)["share"])
}

func TestModelSummary(t *testing.T) {
	s := written(t, `test t 0..60
		requests t /a 0..60 count=100 failed=2
		calls ledger 0..60 count=100 failed=1
		model {"series": [{"name": "front", "promised": 0.999}, {"dependency": "ledger"}]}`)
	m := Judge(nil, s.record()).Model
	require.InDelta(t, 0.999*0.99, *m.Availability, 1e-12)
	require.InDelta(t, 0.98, *m.Measured, 1e-12)
	require.Equal(t, "ledger", m.Weakest)
	require.True(t, *m.Low < *m.Availability && *m.Availability < *m.High)
	require.Contains(t, m.Note, "something outside of the model fails")
	require.Equal(t, "promised", m.Parts[0].Kind)
	require.Nil(t, m.Parts[0].Low)
	require.Equal(t, []any{"dependency", uint64(6000), uint64(60)}, []any{m.Parts[1].Kind, m.Parts[1].Samples, m.Parts[1].Failed})
	require.InDelta(t, 0.00999, *m.Parts[1].Gain, 1e-12)

	s.windows = s.windows[:60] // nothing of the ledger
	m = Judge(nil, s.record()).Model
	require.Nil(t, m.Availability)
	require.Equal(t, "the proxy of ledger saw nothing in this period", m.Reason)
	require.Nil(t, m.Parts[1].Availability)

	require.Nil(t, Judge(nil, Record{Phase: "p"}).Model)
	require.Zero(t, (spans{{1, 3}, {5, 9}, {10, always[0].to}}).length()-6*int64(time.Nanosecond))
}

func TestABudgetYoungerThanItsWindowIsTold(t *testing.T) {
	month, three, hour := 720*time.Hour, 72*time.Hour, time.Hour
	for name, tc := range map[string]struct {
		windows map[time.Duration]Tally
		young   time.Duration // 0 when it is not
	}{
		"an hour":               {map[time.Duration]Tally{month: {9990, 10000}, three: {9990, 10000}, hour: {9990, 10000}}, hour},
		"three days":            {map[time.Duration]Tally{month: {9990, 10000}, three: {9990, 10000}, hour: {100, 100}}, three},
		"extrapolated":          {map[time.Duration]Tally{month: {10150, 10150}, three: {10000, 10000}, hour: {100, 100}}, three},
		"a month":               {map[time.Duration]Tally{month: {10300, 10300}, three: {10000, 10000}, hour: {100, 100}}, 0},
		"nothing in short ones": {map[time.Duration]Tally{month: {10000, 10000}, three: {}, hour: {}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			young, is := promise{Objective: Objective{Over: month}, windows: tc.windows}.young()
			require.Equal(t, tc.young, young)
			require.Equal(t, tc.young > 0, is)
		})
	}
}

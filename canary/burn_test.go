package canary

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

const aDay = 24 * time.Hour

func promise() gates.Objective {
	return gates.Objective{Name: "orders", Share: 0.99, Over: 30 * aDay, Revenue: &gates.Revenue{PerMinute: 100, Currency: "EUR"}}
}

func attemptAt(at int64, transaction string, good bool) measure.Attempt {
	a := measure.Attempt{Series: measure.Series{Transaction: transaction}, At: at}
	if good {
		a.Found = measure.Accepted
	}
	return a
}

func TestBurnTrigger(t *testing.T) {
	for name, tt := range map[string]struct {
		severity string
		bad      map[time.Duration]uint64 // of 10,000 in each window; others have none
		want     string
	}{
		"calm":                       {gates.Page, nil, ""},
		"an hour at 15 and 20":       {gates.Page, map[time.Duration]uint64{time.Hour: 1600, 5 * time.Minute: 2000}, "the budget of orders burns 16 times as fast as it may over 1h, and 20 times over 5m; more than 14.4 is too fast"},
		"over already":               {gates.Page, map[time.Duration]uint64{time.Hour: 1600}, ""},
		"six hours":                  {gates.Page, map[time.Duration]uint64{6 * time.Hour: 700, 30 * time.Minute: 750}, "the budget of orders burns 7 times as fast as it may over 6h, and 7.5 times over 30m; more than 6 is too fast"},
		"three days are no page":     {gates.Page, map[time.Duration]uint64{72 * time.Hour: 200, 6 * time.Hour: 200}, ""},
		"three days are a ticket":    {gates.Ticket, map[time.Duration]uint64{72 * time.Hour: 200, 6 * time.Hour: 200}, "the budget of orders burns 2 times as fast as it may over 3d, and 2 times over 6h; more than 1 is too fast"},
		"what pages is a ticket too": {gates.Ticket, map[time.Duration]uint64{time.Hour: 1600, 5 * time.Minute: 2000}, "the budget of orders burns 16 times as fast as it may over 1h, and 20 times over 5m; more than 14.4 is too fast"},
	} {
		t.Run(name, func(t *testing.T) {
			words, fires := BurnTrigger(promise(), tt.severity, func(w time.Duration) (gates.Tally, bool) {
				return gates.Tally{Good: 10_000 - tt.bad[w], Total: 10_000}, true
			})
			require.Equal(t, tt.want, words)
			require.Equal(t, tt.want != "", fires)
		})
	}
}

// TestBurnMeter lets all attempts of one transaction fail for some minutes.
func TestBurnMeter(t *testing.T) {
	o := promise()
	o.Of = "order"
	m := NewBurnMeter(o, gates.Page, func(transaction string) bool { return transaction != "cart" })
	planned := attemptAt(atMinute(1), "order", false)
	planned.Planned = true
	m.Add(planned)
	for i := range 10_000 {
		at := epoch + int64(i)*int64(6*time.Second) // 1,000 minutes
		m.Add(attemptAt(at, "order", at < atMinute(960)))
		m.Add(attemptAt(at, "cart", false))
		m.Add(attemptAt(at, healthName, false))
		m.Add(attemptAt(at, "other", false))
		since, words, fires := m.Fires(at)
		switch {
		case at < atMinute(960):
			require.False(t, fires, words)
		case at > atMinute(975): // 15 of 60 minutes: a quarter of the hour, and all of the last five
			require.True(t, fires)
			require.Equal(t, atMinute(960), since)
		}
	}
	_, words, _ := m.Fires(atMinute(999))
	require.Equal(t, "the budget of orders burns 66.67 times as fast as it may over 1h, and 100 times over 5m; more than 14.4 is too fast", words)

	b := m.Budget(atMinute(999))
	require.Len(t, b.Burns, 6)
	require.Equal(t, []uint64{9600, 10_000}, []uint64{b.Burns[5].Good, b.Burns[5].Total})
	require.InDelta(t, 1-4.0, *b.Left, 1e-9, "four times as many as may")
	require.InDelta(t, 432*100, b.Cost.Budget, 1e-6, "7.2 hours")
	require.InDelta(t, 0.04*30*24*60*100, *b.Cost.Spent, 1e-6)
	require.Len(t, b.Firing, 3)

	// It is over: the short window is the first to know.
	_, _, fires := m.Fires(atMinute(1006))
	require.True(t, fires, "of six hours, which have a window of half an hour")
	_, _, fires = m.Fires(atMinute(1031))
	require.False(t, fires)
	m.Add(attemptAt(atMinute(1000), "order", false)) // late
	burns := m.Budget(atMinute(1031)).Burns
	require.EqualValues(t, 10_001, burns[len(burns)-1].Total)

	// And in the end all is too old.
	b = m.Budget(atMinute(1000) + int64(31*aDay))
	require.Empty(t, b.Burns)
	require.Nil(t, b.Left)
	_, err := json.Marshal(b)
	require.NoError(t, err)
}

func TestBurnSince(t *testing.T) {
	m := NewBurnMeter(promise(), gates.Page, nil)
	bad := map[int]bool{10: true, 40: true, 44: true, 49: true, 52: true, 53: true, 54: true, 55: true}
	for i := -300; i < 56; i++ {
		for range 10 {
			m.Add(attemptAt(atMinute(i), "order", !bad[i]))
		}
	}
	since, _, fires := m.Fires(atMinute(55))
	require.False(t, fires, "8 of the last 60 minutes")
	require.Zero(t, since)
	for i := 56; i < 60; i++ {
		for range 10 {
			m.Add(attemptAt(atMinute(i), "order", false))
		}
	}
	since, _, fires = m.Fires(atMinute(59))
	require.True(t, fires)
	require.Equal(t, atMinute(40), since, "there were never five good minutes since then")
}

// TestBurnMeterLikeCounting adds attempts in any order while time goes on, and
// wants what counting all of them anew gives.
func TestBurnMeterLikeCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := promise()
		o.Over = 2 * aDay
		m := NewBurnMeter(o, gates.Page, nil)
		type event struct {
			minute int
			good   bool
		}
		var all []event
		now := rapid.IntRange(-5000, 5000).Draw(t, "from")
		m.Fires(atMinute(now))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now += rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 4000)).Draw(t, "later")
			m.Fires(atMinute(now))
			for range rapid.IntRange(0, 5).Draw(t, "attempts") {
				e := event{now - rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, 5000)).Draw(t, "ago"), rapid.Bool().Draw(t, "good")}
				all = append(all, e)
				m.Add(attemptAt(atMinute(e.minute), "order", e.good))
			}
		}
		for _, w := range gates.BurnWindows(o.Over) {
			var want gates.Tally
			for _, e := range all {
				if e.minute > now-int(w/time.Minute) && e.minute <= now {
					want.Total++
					if e.good {
						want.Good++
					}
				}
			}
			got, known := m.tally(w)
			require.Equal(t, want, got, w)
			require.Equal(t, want.Total > 0, known)
		}
	})
}

// past is a state that knows nothing but history.
type past struct {
	State
	windows []measure.Window
	asked   int
	err     error
}

func (p *past) History(from, to int64, width time.Duration) ([]measure.Window, error) {
	p.asked++
	var all []measure.Window
	for _, w := range p.windows {
		if w.Width == int64(width) && w.Start >= from && w.Start < to {
			all = append(all, w)
		}
	}
	return all, p.err
}

// TestBurnsGoOn has a state with 40 days of hours and 14 of minutes, which say
// the same, and wants each attempt counted once.
func TestBurnsGoOn(t *testing.T) {
	now := atMinute(40*24*60) + int64(90*time.Second)
	p := &past{}
	for h := range 40 * 24 {
		hour := historic(measure.MetricGood, "order", "eu-1", 60, 6)
		hour.Start, hour.Width = atMinute(h*60), int64(time.Hour)
		other := hour
		other.Series.Cell = "us-1"
		accepted := hour
		accepted.Series.Metric = measure.MetricTransaction
		p.windows = append(p.windows, hour, other, accepted)
	}
	for i := 26 * 24 * 60; i <= 40*24*60+1; i++ {
		one := historic(measure.MetricGood, "order", "eu-1", 1, 0)
		one.Start = atMinute(i)
		p.windows = append(p.windows, one, one)
	}
	make, err := Burns([]gates.Objective{promise()}, p, now)
	require.NoError(t, err)
	require.Less(t, p.asked, 120, "by pages, and once for all rules")
	m := make(plan.CanaryRule{Severity: gates.Page}, "orders").(*BurnMeter)

	// What the daemon replays counts once, too.
	m.Add(attemptAt(now-int64(time.Hour), "order", false))
	m.Add(attemptAt(atMinute(40*24*60+1), "order", true))
	for window, want := range map[time.Duration]gates.Tally{
		5 * time.Minute: {Good: 9, Total: 9}, // four whole ones, and what there is of the fifth
		time.Hour:       {Good: 2*59 + 1, Total: 2*59 + 1},
		6 * time.Hour:   {Good: 2*359 + 1, Total: 2*359 + 1},
	} {
		got, known := m.tally(window)
		require.True(t, known)
		require.Equal(t, want, got, window)
	}
	whole, _ := m.tally(30 * aDay)
	require.InDelta(t, 30*24*120, float64(whole.Total), 121, "but for the hour at its edge")

	none := make(plan.CanaryRule{Severity: gates.Page, Of: plan.Names{"pay"}}, "orders").(*BurnMeter)
	_, known := none.tally(30 * aDay)
	require.False(t, known)
	_, _, fires := make(plan.CanaryRule{}, "no such objective").Fires(now)
	require.False(t, fires)

	p.err = errors.New("disk on fire")
	_, err = Burns([]gates.Objective{promise()}, p, now)
	require.ErrorContains(t, err, "the budgets of the canary: disk on fire")
	_, err = Burns(nil, p, now)
	require.NoError(t, err, "nothing has to be known for none")
}

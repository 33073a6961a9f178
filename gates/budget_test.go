package gates

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const day = 24 * time.Hour

// TestObjective has the numbers of the tables of availability in Site
// Reliability Engineering, appendix A, and others computed by hand.
func TestObjective(t *testing.T) {
	for name, tt := range map[string]struct {
		share    float64
		over     time.Duration
		nines    float64
		downtime time.Duration
	}{
		"99% over 30 days":     {0.99, 30 * day, 2, 7*time.Hour + 12*time.Minute},
		"99.5% over 30 days":   {0.995, 30 * day, 2.301, 3*time.Hour + 36*time.Minute},
		"99.9% over 30 days":   {0.999, 30 * day, 3, 43*time.Minute + 12*time.Second},
		"99.9% over 28 days":   {0.999, 28 * day, 3, 40*time.Minute + 19200*time.Millisecond},
		"99.95% over 28 days":  {0.9995, 28 * day, 3.301, 20*time.Minute + 9600*time.Millisecond},
		"99.99% over 30 days":  {0.9999, 30 * day, 4, 4*time.Minute + 19200*time.Millisecond},
		"99.999% over 30 days": {0.99999, 30 * day, 5, 25920 * time.Millisecond},
		"50% over a day":       {0.5, day, 0.301, 12 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			o := Objective{Share: tt.share, Over: tt.over}
			require.InDelta(t, tt.nines, o.Nines(), 0.0005)
			require.Equal(t, tt.downtime, o.Downtime())
		})
	}
}

func TestBudget(t *testing.T) {
	for name, tt := range map[string]struct {
		share      float64
		tally      Tally
		burn, left float64
	}{
		"none bad":         {0.999, Tally{1000, 1000}, 0, 1},
		"half of it":       {0.999, Tally{1_999_000, 2_000_000}, 0.5, 0.5},
		"just used up":     {0.999, Tally{999, 1000}, 1, 0},
		"14.4 times":       {0.999, Tally{98_560, 100_000}, 14.4, -13.4},
		"all bad":          {0.999, Tally{0, 10}, 1000, -999},
		"the nearest":      {0.9995, Tally{997, 1000}, 6, -5},
		"more good than n": {0.99, Tally{12, 10}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := Objective{Share: tt.share, Over: 28 * day}
			require.InDelta(t, tt.burn, o.Burn(tt.tally), 1e-9)
			require.InDelta(t, tt.left, o.Left(tt.tally), 1e-9)
		})
	}
	o := Objective{Share: 0.999, Over: 30 * day}
	require.True(t, math.IsNaN(o.Burn(Tally{})), "no events, no rate")
	require.True(t, math.IsNaN(o.Left(Tally{})))
	require.InDelta(t, 0.02, o.Spent(Tally{98_560, 100_000}, time.Hour), 1e-9, "an hour at 14.4 uses up 2 %")
	require.InDelta(t, 1, o.Spent(Tally{0, 5}, o.Downtime()), 1e-9, "the whole budget is its downtime")
}

func TestLost(t *testing.T) {
	r := Revenue{PerMinute: 1200, Currency: "EUR"}
	require.InDelta(t, 51_840, r.Lost(1, 43*time.Minute+12*time.Second), 1e-6, "an outage as long as 99.9 % over 30 days allows")
	require.InDelta(t, 600, r.Lost(0.1, 5*time.Minute), 1e-9, "a tenth fails for five minutes")
	for amount, want := range map[float64]string{51_840: "51,840 EUR", 0: "0 EUR", 0.5: "0.50 EUR", 99.994: "99.99 EUR", 1234.56: "1,234 EUR"} {
		require.Equal(t, want, r.amountText(amount))
	}
	require.Equal(t, "7", Revenue{}.amountText(7))
}

func TestSpanText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		28 * day: "28d", 40*time.Minute + 19200*time.Millisecond: "40m19s", 6 * time.Hour: "6h", 7*time.Hour + 12*time.Minute + time.Second: "7h12m",
		day + 5*time.Minute: "1d", 25920 * time.Millisecond: "26s", 0: "0s", 20 * time.Millisecond: "20ms",
	} {
		require.Equal(t, want, spanText(d))
	}
}

// TestBurnAlerts has the table of the workbook for 30 days, and what 28 and
// fewer days make of it.
func TestBurnAlerts(t *testing.T) {
	rules := BurnAlerts(30 * day)
	require.Equal(t, []BurnAlert{
		{Page, 0.02, 14.4, time.Hour, 5 * time.Minute},
		{Page, 0.05, 6, 6 * time.Hour, 30 * time.Minute},
		{Ticket, 0.10, 1, 72 * time.Hour, 6 * time.Hour},
	}, rules)
	for i, burn := range []float64{13.44, 5.6, 0.933333333} {
		require.Equal(t, burn, BurnAlerts(28 * day)[i].Burn)
	}
	require.Len(t, BurnAlerts(7*day), 2, "at a tenth in three of seven days the budget lasts")
	require.Empty(t, BurnAlerts(time.Hour))
	require.Equal(t, []time.Duration{5 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour, 72 * time.Hour, 28 * day}, BurnWindows(28*day))
}

func TestBurnRules(t *testing.T) {
	o := Objective{Share: 0.999, Over: 28 * day}
	require.Len(t, o.BurnRules(Page), 2)
	require.Len(t, o.BurnRules(Ticket), 3)
	o.Share = 0.9
	require.Len(t, o.BurnRules(Page), 1, "not even a total outage burns a tenth at 14.4")
	o.Over = day
	require.Empty(t, o.BurnRules(Ticket), "no rule of the workbook fits into a day")
}

// burning is a history of one bucket a minute, of n events each, of which the
// share fails.
func burning(end int64, minutes, n int, share float64) History {
	var h History
	for i := range minutes {
		to := end - int64(i)*int64(time.Minute)
		bad := uint64(math.Round(share * float64(n)))
		h = append(h, Bucket{From: to - int64(time.Minute), To: to, Tally: Tally{Good: uint64(n) - bad, Total: uint64(n)}})
	}
	return h
}

func TestFiring(t *testing.T) {
	now := epoch + 100*int64(day)
	ago := func(d time.Duration) int64 { return now - int64(d) }
	calm := burning(now, 4*24*60, 10_000, 0)
	for name, tt := range map[string]struct {
		history History
		want    []time.Duration // the long windows of those that fire
	}{
		"nothing known":                  {nil, nil},
		"calm":                           {calm, nil},
		"2 % for the last hour":          {append(burning(now, 60, 10_000, 0.02), calm[60:]...), []time.Duration{time.Hour}},
		"1 % for six hours":              {append(burning(now, 360, 10_000, 0.01), calm[360:]...), []time.Duration{6 * time.Hour}},
		"1 % for six hours, now over":    {slices.Concat(calm[:31], burning(ago(31*time.Minute), 360, 10_000, 0.01), calm[391:]), nil},
		"2 % for an hour, over for 6 m":  {slices.Concat(calm[:6], burning(ago(6*time.Minute), 60, 10_000, 0.02), calm[66:]), nil},
		"0.2 % for three days":           {burning(now, 72*60, 10_000, 0.002), []time.Duration{72 * time.Hour}},
		"all fails":                      {burning(now, 4*24*60, 100, 1), []time.Duration{time.Hour, 6 * time.Hour, 72 * time.Hour}},
		"one of ten, too few for a page": {History{{ago(time.Minute), now, Tally{9, 10}}}, []time.Duration{72 * time.Hour}},
		"what is to come does not count": {burning(now+int64(time.Hour), 60, 10_000, 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := Objective{Share: 0.999, Over: 30 * day}
			var got []time.Duration
			for _, r := range o.Firing(func(w time.Duration) (Tally, bool) { return tt.history.Counts(now, w) }, 0.95) {
				got = append(got, r.Long)
			}
			require.Equal(t, tt.want, got)
		})
	}
	low := Objective{Share: 0.9, Over: 30 * day}
	require.Len(t, low.Firing(func(time.Duration) (Tally, bool) { return Tally{0, 1000}, true }, 0.95), 2, "10 % can not burn at 14.4")
}

func TestBudgetProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Objective{Share: rapid.Float64Range(0.5, 0.99999).Draw(t, "share"), Over: 28 * day}
		total := rapid.Uint64Range(1, 1e9).Draw(t, "total")
		bad := rapid.Uint64Range(0, total-1).Draw(t, "bad")
		now, worse := Tally{total - bad, total}, Tally{total - bad - 1, total}
		require.Greater(t, o.Burn(worse), o.Burn(now))
		require.Less(t, o.Left(worse), o.Left(now))
		require.InDelta(t, 1, o.Burn(now)+o.Left(now), 1e-6)
		require.InDelta(t, o.Burn(now), o.Spent(now, o.Over), 1e-6*o.Burn(now)+1e-9, "the whole window")
	})
}

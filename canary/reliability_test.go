package canary

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/plan"
)

// epoch is the moment that the times of these tests are counted from.
var epoch = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC).UnixNano()

func after(d time.Duration) int64 { return epoch + int64(d) }

// an incident of a rule, from minute to minute; detected a minute after it began.
func lasting(rule string, start, end int) Incident {
	return Incident{Rule: rule, Start: atMinute(start), Detected: atMinute(start + 1), End: atMinute(end), Closed: atMinute(end + 2)}
}

// goingOn is one that is open.
func goingOn(rule string, start int) Incident {
	return Incident{Rule: rule, Start: atMinute(start), Detected: atMinute(start + 1)}
}

func atMinute(n int) int64 { return after(time.Duration(n) * time.Minute) }

func acked(i Incident, at int) Incident {
	i.Acked, i.AckedBy = atMinute(at), "ana"
	return i
}

// TestReliability has numbers worked out by hand: quantiles of chi-square from
// tables (2 degrees of freedom: 0.0506 at 2.5 %, 7.3778 at 97.5 %; 4: 0.4844 and
// 11.1433; 6: 14.4494), times in minutes.
func TestReliability(t *testing.T) {
	for name, tt := range map[string]struct {
		incidents                                            []Incident
		planned                                              []Span
		failures, raw                                        int
		down                                                 bool
		up, downtime, running, longest                       float64 // minutes
		mtbf, mtttf, mttr, mttd, mtta                        any     // minutes; nil for none
		mttfLow, mttfHigh, mttrLow, mttrHigh                 any
		repairsRunning, acknowledged, acknowledgementsOfNone int
	}{
		"nothing failed": {
			up: 600, running: 600,
			mttfLow: 2 * 600 / 7.3778,
		},
		"half an hour of ten": {
			incidents: []Incident{acked(lasting("a", 60, 90), 66)},
			failures:  1, raw: 1, up: 570, downtime: 30, running: 510, longest: 30,
			mtbf: 600.0, mtttf: 570.0, mttr: 30.0, mttd: 1.0, mtta: 5.0,
			mttfLow: 2 * 570 / 11.1433, mttfHigh: 2 * 570 / 0.050636, mttrLow: 2 * 30 / 11.1433, mttrHigh: 2 * 30 / 0.050636,
			acknowledged: 1,
		},
		"two, one of them open and never acknowledged": {
			incidents: []Incident{acked(lasting("a", 60, 90), 66), goingOn("a", 500)},
			failures:  2, raw: 2, down: true, up: 470, downtime: 130, longest: 100,
			mtbf: 300.0, mtttf: 235.0, mttr: 130.0, mttd: 1.0, mtta: 104.0, // 5 and, so far, 99 minutes for one
			mttfLow: 2 * 470 / 14.4494, mttfHigh: 2 * 470 / 0.484419, mttrLow: 2 * 130 / 11.1433, mttrHigh: 2 * 130 / 0.050636,
			repairsRunning: 1, acknowledged: 1, acknowledgementsOfNone: 1,
		},
		"open all the time": {
			incidents: []Incident{goingOn("a", -10)},
			down:      true, downtime: 600, longest: 600,
		},
		"two rules at once are one failure": {
			incidents: []Incident{acked(lasting("b", 70, 100), 75), acked(lasting("a", 60, 90), 80), lasting("a", 300, 310)},
			failures:  2, raw: 3, up: 550, downtime: 50, running: 290, longest: 40,
			mtbf: 300.0, mtttf: 275.0, mttr: 25.0, mttd: 1.0, mtta: 23.0, // 14, and 9 until it was over
			mttfLow: 2 * 550 / 14.4494, mttfHigh: 2 * 550 / 0.484419, mttrLow: 2 * 50 / 14.4494, mttrHigh: 2 * 50 / 0.484419,
			acknowledged: 1, acknowledgementsOfNone: 1,
		},
		"one that began before is time down, and no failure": {
			incidents: []Incident{lasting("a", -30, 30)},
			up:        570, downtime: 30, running: 570, longest: 30,
			mttfLow: 2 * 570 / 7.3778,
		},
		"one that is not yet known to end": {
			incidents: []Incident{acked(lasting("a", 590, 700), 650)},
			failures:  1, raw: 1, down: true, up: 590, downtime: 10, longest: 10,
			mtbf: 600.0, mtttf: 590.0, mttd: 1.0,
			mttfLow: 2 * 590 / 11.1433, mttfHigh: 2 * 590 / 0.050636, mttrLow: 2 * 10 / 7.3778,
			repairsRunning: 1, acknowledgementsOfNone: 1,
		},
		"those before and after": {
			incidents: []Incident{lasting("a", -30, 0), lasting("a", 600, 610)},
			up:        600, running: 600, mttfLow: 2 * 600 / 7.3778,
		},
		"maintenance is cut out": {
			incidents: []Incident{lasting("a", 90, 130), lasting("a", 300, 310)}, // 10 of the first are planned
			planned:   []Span{{atMinute(100), atMinute(110)}, {atMinute(105), atMinute(110)}, {atMinute(-5), atMinute(50)}, {atMinute(300), atMinute(320)}},
			failures:  1, raw: 1, up: 520 - 30, downtime: 30, running: 520 - 80 + 10, longest: 30,
			mtbf: 520.0, mtttf: 490.0, mttr: 30.0, mttd: 1.0,
			mttfLow: 2 * 490 / 11.1433, mttfHigh: 2 * 490 / 0.050636, mttrLow: 2 * 30 / 11.1433, mttrHigh: 2 * 30 / 0.050636,
			acknowledgementsOfNone: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := Observation{From: epoch, To: atMinute(600), Planned: tt.planned}.Reliability(tt.incidents)
			require.Equal(t, []any{tt.failures, tt.raw, tt.down}, []any{r.Failures, r.Incidents, r.Down})
			for what, pair := range map[string][2]float64{
				"up": {tt.up, r.UpTime}, "down": {tt.downtime, r.DownTime}, "running": {tt.running, r.Running}, "longest": {tt.longest, r.Longest},
			} {
				require.InDelta(t, pair[0]*60, pair[1], 1e-6, what)
			}
			require.InDelta(t, tt.up/(tt.up+tt.downtime), *r.Share, 1e-12)
			requireMinutes(t, "mtbf", tt.mtbf, r.MTBF.Seconds)
			requireMinutes(t, "mttf", tt.mtttf, r.MTTF.Seconds)
			requireMinutes(t, "mttr", tt.mttr, r.MTTR.Seconds)
			requireMinutes(t, "mttd", tt.mttd, r.MTTD.Seconds)
			requireMinutes(t, "mtta", tt.mtta, r.MTTA.Seconds)
			requireMinutes(t, "least mttf", tt.mttfLow, r.MTTF.Low)
			requireMinutes(t, "greatest mttf", tt.mttfHigh, r.MTTF.High)
			requireMinutes(t, "least mttr", tt.mttrLow, r.MTTR.Low)
			requireMinutes(t, "greatest mttr", tt.mttrHigh, r.MTTR.High)
			require.Equal(t, tt.repairsRunning, r.MTTR.Running)
			require.Equal(t, []int{tt.acknowledged, tt.acknowledgementsOfNone}, []int{r.MTTA.Ended, r.MTTA.Running})
		})
	}
}

func requireMinutes(t *testing.T, what string, want any, got *float64) {
	t.Helper()
	if want == nil {
		require.Nil(t, got, what)
		return
	}
	require.NotNil(t, got, what)
	require.InEpsilon(t, want, *got/60, 2e-4, what) // of tables with five digits
}

// TestMean has the factors of NIST's e-Handbook of Statistical Methods, 8.4.5.1,
// by which the estimate is multiplied for intervals of 80 % and 90 %.
func TestMean(t *testing.T) {
	for _, tt := range []struct {
		failures   int
		confidence float64
		low, high  float64
	}{
		{1, 0.90, 0.2108, 19.4958},
		{3, 0.90, 0.3869, 3.6689},
		{10, 0.90, 0.5895, 1.8432},
		{1, 0.80, 0.2571, 9.4912},
		{3, 0.80, 0.4490, 2.7222},
	} {
		m := durations{total: int64(1000 * time.Hour), ended: tt.failures, running: 1}.mean(tt.confidence)
		require.InDelta(t, 1000*3600/float64(tt.failures), *m.Seconds, 1e-6)
		require.InDelta(t, tt.low, *m.Low / *m.Seconds, 6e-5, tt)
		require.InDelta(t, tt.high, *m.High / *m.Seconds, 6e-4, tt)
	}
	none := durations{total: int64(time.Hour)}.mean(0.95)
	require.Nil(t, none.Seconds)
	require.Nil(t, none.High)
	require.InDelta(t, 3600/-math.Log(0.025), *none.Low, 1e-6, "no failure: T by the logarithm of what is left to chance")
	require.Equal(t, Mean{}, durations{}.mean(0.95))
	at := durations{ended: 2}.mean(0.95)
	require.Equal(t, []float64{0, 0, 0}, []float64{*at.Seconds, *at.Low, *at.High}, "two that took no time")
}

func TestReliabilityOfNothing(t *testing.T) {
	for name, o := range map[string]Observation{
		"no time":         {From: epoch, To: epoch},
		"backwards":       {From: epoch, To: epoch - 1},
		"all planned":     {From: epoch, To: atMinute(10), Planned: []Span{{epoch, atMinute(20)}}},
		"odd confidence":  {From: epoch, To: epoch, Confidence: 7},
		"none in a sense": {From: epoch, To: epoch, Confidence: math.NaN()},
	} {
		r := o.Reliability([]Incident{lasting("a", 1, 2), goingOn("b", 3)})
		require.Nil(t, r.Share, name)
		require.Zero(t, r.Failures, name)
		require.Equal(t, 0.95, r.Confidence)
		text, err := json.Marshal(r)
		require.NoError(t, err)
		require.NotContains(t, string(text), "uptime")
	}
}

func TestOfRule(t *testing.T) {
	all := []Incident{lasting("a", 1, 2), lasting("b", 3, 4), lasting("a", 5, 6)}
	require.Equal(t, []Incident{all[0], all[2]}, OfRule(all, "a"))
	require.Len(t, all, 3)
	require.Equal(t, "b", all[1].Rule, "what was given stays")
}

func TestPlannedSpans(t *testing.T) {
	span := func(of plan.Names, cell string) plan.Maintenance {
		return plan.Maintenance{From: plan.Instant(time.Unix(0, atMinute(1))), To: plan.Instant(time.Unix(0, atMinute(2))), Of: of, Cell: cell}
	}
	one := []Span{{atMinute(1), atMinute(2)}}
	for name, tt := range map[string]struct {
		m    plan.Maintenance
		of   []string
		want []Span
	}{
		"all of all":           {span(nil, ""), nil, one},
		"all of some":          {span(nil, ""), []string{"order"}, one},
		"some of all":          {span(plan.Names{"order"}, ""), nil, nil},
		"one of one":           {span(plan.Names{"order"}, ""), []string{"order"}, one},
		"one of two":           {span(plan.Names{"order"}, ""), []string{"order", "pay"}, nil},
		"another":              {span(plan.Names{"order"}, ""), []string{"pay"}, nil},
		"a cell, others go on": {span(nil, "eu-1"), nil, nil},
	} {
		require.Equal(t, tt.want, PlannedSpans([]plan.Maintenance{tt.m}, tt.of), name)
	}
}

func someIncidents(t *rapid.T) []Incident {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Incident {
		start := rapid.IntRange(-100, 700).Draw(t, "start")
		i := goingOn(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "rule"), start)
		if rapid.Bool().Draw(t, "over") {
			i = lasting(i.Rule, start, start+rapid.IntRange(0, 200).Draw(t, "for"))
		}
		if rapid.Bool().Draw(t, "acked") {
			i = acked(i, start+rapid.IntRange(-5, 300).Draw(t, "ack"))
		}
		return i
	}), 0, 12).Draw(t, "incidents")
}

func someSpans(t *rapid.T) []Span {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Span {
		from := rapid.IntRange(-50, 650).Draw(t, "from")
		return Span{atMinute(from), atMinute(from + rapid.IntRange(-10, 100).Draw(t, "for"))}
	}), 0, 4).Draw(t, "planned")
}

func TestReliabilityProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Observation{From: epoch, To: atMinute(600), Planned: someSpans(t), Confidence: rapid.Float64Range(0.01, 0.999).Draw(t, "confidence")}
		incidents := someIncidents(t)
		r := o.Reliability(incidents)
		_, err := json.Marshal(r)
		require.NoError(t, err, "nothing that JSON can not say")
		require.InDelta(t, 600*60, r.Observed+r.Planned, 1e-6)
		require.InDelta(t, r.Observed, r.UpTime+r.DownTime, 1e-6)
		require.True(t, r.UpTime >= 0 && r.DownTime >= 0 && r.Running >= 0 && r.Running <= r.UpTime+1e-6 && r.Longest <= r.DownTime+1e-6)
		require.GreaterOrEqual(t, r.Incidents, r.Failures)
		wide := o
		wide.Confidence = (1 + o.Confidence) / 2
		wider := wide.Reliability(incidents)
		for i, m := range []Mean{r.MTBF, r.MTTF, r.MTTR, r.MTTD, r.MTTA} {
			checkMean(t, m, []Mean{wider.MTBF, wider.MTTF, wider.MTTR, wider.MTTD, wider.MTTA}[i])
		}

		var sum float64
		for _, rule := range []string{"a", "b"} {
			one := o.Reliability(OfRule(incidents, rule))
			require.LessOrEqual(t, one.DownTime, r.DownTime+1e-6, "the whole is down when a part is")
			sum += one.DownTime
		}
		require.LessOrEqual(t, r.DownTime, sum+1e-6, "what is down twice counts once")
		more := o.Reliability(append(incidents, lasting("c", 200, 260)))
		require.GreaterOrEqual(t, more.DownTime, r.DownTime-1e-6)
	})
}

// checkMean wants bounds around the estimate, and those at a greater confidence
// around them.
func checkMean(t *rapid.T, m, wider Mean) {
	require.Equal(t, m.Ended == 0, m.Seconds == nil)
	require.Equal(t, m.Ended == 0, m.High == nil)
	require.Equal(t, m.Total > 0 || m.Ended > 0, m.Low != nil)
	if m.Low == nil {
		return
	}
	require.LessOrEqual(t, *wider.Low, *m.Low)
	if m.Seconds != nil {
		require.LessOrEqual(t, *m.Low, *m.Seconds)
		require.LessOrEqual(t, *m.High, *wider.High)
		require.LessOrEqual(t, *m.Seconds, *m.High)
	}
}

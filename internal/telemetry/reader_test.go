package telemetry

import (
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// at makes a series with values each five seconds from second 1000 on; -1 is
// none.
func at(label string, values ...float64) series {
	s := series{labels: map[string]string{"pod": label}}
	for i, v := range values {
		if v >= 0 {
			s.points = append(s.points, point{1000e9 + int64(i)*5e9, v})
		}
	}
	return s
}

// told is a window without what is the same in all.
type told struct {
	from, width   int64 // seconds
	count, failed uint64
	sum           float64
}

func toldBy(windows []measure.Window) (list []told) {
	for _, w := range windows {
		list = append(list, told{w.Start / 1e9, w.Width / 1e9, w.Count, w.Failed, w.Sum})
	}
	return list
}

func TestReading(t *testing.T) {
	gauge := plan.Query{Query: "x", Type: plan.Gauge}
	counter := plan.Query{Query: "x", Type: plan.Counter}
	stepped := plan.Query{Query: "x[${query.step}]", Type: plan.Count}
	share := plan.Query{Good: "g", Total: "t", Type: plan.Counter}
	for name, tc := range map[string]struct {
		query   plan.Query
		after   bool
		answers [][]series // one for each text, of one question
		want    []told
		warning string
	}{
		"a gauge is about its moment": {
			query: gauge, answers: [][]series{{at("a", 2, -1, 3)}},
			want: []told{{1000, 1, 1, 0, 2}, {1010, 1, 1, 0, 3}},
		},
		"times become milliseconds": {
			query: plan.Query{Query: "x", Type: plan.Gauge, Unit: "s"}, answers: [][]series{{at("a", 2)}},
			want: []told{{1000, 1, 1, 0, 2000}},
		},
		"percentages become shares": {
			query: plan.Query{Query: "x", Type: plan.Gauge, Unit: "%"}, answers: [][]series{{at("a", 50)}},
			want: []told{{1000, 1, 1, 0, 0.5}},
		},
		"a gauge over a step ends at its point": {
			query: plan.Query{Query: "x[${query.step}]", Type: plan.Gauge}, answers: [][]series{{at("a", 2)}},
			want: []told{{995, 5, 1, 0, 2}},
		},
		"in InfluxDB it begins there": {
			query: plan.Query{Query: "time(${query.step})", Type: plan.Gauge}, after: true, answers: [][]series{{at("a", 2)}},
			want: []told{{1000, 5, 1, 0, 2}},
		},
		"a gauge is one series": {
			query: gauge, answers: [][]series{{at("a", 2, 2), at("b", 3, -1)}},
			want: []told{{1005, 1, 1, 0, 2}}, warning: "gives 2 series where one value is wanted",
		},
		"nothing is nothing": {query: gauge, answers: [][]series{{}}},

		"a counter grows": {
			query: counter, answers: [][]series{{at("a", 10, 10, 13)}},
			want: []told{{1000, 5, 1, 0, 0}, {1005, 5, 1, 0, 3}},
		},
		"counters are added up, each by itself": {
			query: counter, answers: [][]series{{at("a", 10, 12), at("b", 100, 103)}},
			want: []told{{1000, 5, 1, 0, 5}},
		},
		"one that is less began again": {
			query: counter, answers: [][]series{{at("a", 10, 2, 3), at("b", 100, 100, 100)}},
			want: []told{{1000, 5, 1, 0, 2}, {1005, 5, 1, 0, 1}},
		},
		"one that was not there began": {
			query: counter, answers: [][]series{{at("a", 10, 10, 10), at("b", -1, 1, 1)}},
			want: []told{{1000, 5, 1, 0, 1}, {1005, 5, 1, 0, 0}},
		},
		"one that comes back goes on": {
			query: counter, answers: [][]series{{at("a", 1, 1, 1), at("b", 100, -1, 102)}},
			want: []told{{1000, 5, 1, 0, 0}, {1005, 5, 1, 0, 2}},
		},
		"a short gap is counted over": {
			query: counter, answers: [][]series{{at("a", 10, -1, 13)}},
			want: []told{{1000, 10, 1, 0, 3}},
		},
		"a long one is not": {
			query: counter, answers: [][]series{{at("a", 10, -1, -1, -1, 13, 14)}},
			want: []told{{1020, 5, 1, 0, 1}},
		},
		"a total at the end of its step": {
			query: plan.Query{Query: "last(x) time(${query.step})", Type: plan.Counter}, after: true, answers: [][]series{{at("a", 10, 13)}},
			want: []told{{1005, 5, 1, 0, 3}},
		},

		"counts are those of their step": {
			query: stepped, answers: [][]series{{at("a", 2, 0), at("b", 1.5, -1)}},
			want: []told{{995, 5, 1, 0, 3.5}, {1000, 5, 1, 0, 0}},
		},

		"a share of what counters grew by": {
			query: share, answers: [][]series{{at("a", 90, 189)}, {at("a", 100, 200)}},
			want: []told{{1000, 5, 100, 1, 0}},
		},
		"a share needs both": {query: share, answers: [][]series{{at("a", 90, -1, 190)}, {at("a", 100, 200, 300)}}},
		"a share is at most all": {
			query: share, answers: [][]series{{at("a", 0, 11)}, {at("a", 0, 10)}},
			warning: "gives more for good: than for total:",
		},
		"fractions are carried": {
			query:   plan.Query{Good: "g[${query.step}]", Total: "t", Type: plan.Count},
			answers: [][]series{{at("a", 0.4, 0.4, 0.4)}, {at("a", 0.4, 0.4, 0.4)}},
			want:    []told{{995, 5, 0, 0, 0}, {1000, 5, 1, 0, 0}, {1005, 5, 0, 0, 0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &heard{}
			tc.query.Every, tc.query.Stale = plan.Duration(5e9), plan.Duration(12e9)
			r := newReader("q", tc.query, plan.Arm{Name: "candidate"}, "beta", 5e9, tc.after, h.outlet())
			r.take(tc.answers)
			require.Equal(t, tc.want, toldBy(h.windows))
			parts := map[uint32]bool{}
			for _, w := range h.windows {
				require.Equal(t, measure.Series{Metric: "q", Phase: "beta", Arm: "candidate"}, w.Series)
				parts[w.Part] = true
			}
			require.Len(t, parts, len(h.windows), "each has a part of its own")
			if tc.warning == "" {
				require.Empty(t, h.details())
				return
			}
			require.Len(t, h.details(), 1)
			require.Contains(t, h.details()[0], "query q: "+tc.warning)
		})
	}
}

// What counters grew by is the same however the answers are cut.
func TestCountersAreRememberedBetweenAnswers(t *testing.T) {
	h := &heard{}
	q := plan.Query{Query: "x", Type: plan.Counter, Every: plan.Duration(5e9), Stale: plan.Duration(30e9)}
	r := newReader("q", q, plan.Arm{}, "beta", 5e9, false, h.outlet())
	whole := at("a", 10, 12, 15)
	for i := range whole.points {
		r.take([][]series{{{labels: whole.labels, points: whole.points[i : i+1]}}})
	}
	require.Equal(t, []told{{1000, 5, 1, 0, 2}, {1005, 5, 1, 0, 3}}, toldBy(h.windows))
}

func TestWhatAQueryDoesNotGiveIsTold(t *testing.T) {
	gauge := plan.Query{Query: "x", Type: plan.Gauge}
	share := plan.Query{Good: "g", Total: "t", Type: plan.Counter}
	odd := series{labels: map[string]string{"pod": "a"}, odd: 2}
	for name, tc := range map[string]struct {
		query   plan.Query
		answers [][][]series // of one question after the other
		want    []string
	}{
		"all is well":    {gauge, [][][]series{{{at("a", 2)}}, {nil}}, nil},
		"no numbers":     {gauge, [][][]series{{{odd}}, {{odd}}}, []string{"query q: gives values that are NaN or infinite, such as after a division by zero: they are left out"}},
		"nothing":        {gauge, [][][]series{{nil}, {nil}}, []string{"query q: never gave a series: nothing matches it"}},
		"no question":    {gauge, nil, []string{"query q: never gave a series: nothing matches it"}},
		"none of it":     {share, [][][]series{{nil, nil}}, []string{"query q: good never gave a series: nothing matches it", "query q: total never gave a series: nothing matches it"}},
		"nothing good":   {share, [][][]series{{nil, {at("a", 2)}}}, []string{"query q: good never gave a series: nothing matches it"}},
		"later than all": {share, [][][]series{{nil, {at("a", 2)}}, {{at("a", 2)}, {at("a", 2)}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := &heard{}
			r := newReader("q", tc.query, plan.Arm{Name: measure.Candidate}, "beta", 5e9, false, h.outlet())
			for _, answers := range tc.answers {
				r.take(answers)
			}
			require.Subset(t, tc.want, h.details(), "nothing is said too early")
			r.done()
			require.Equal(t, tc.want, h.details())
		})
	}
}

package canary

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
)

// historic is a window of a canary's history.
func historic(metric, transaction, cell string, count, failed uint64) measure.Window {
	return measure.Window{
		Series: measure.Series{Metric: metric, Transaction: transaction, Cell: cell, Region: cell[:2], Class: "gold"},
		Start:  epoch, Width: 60e9, Count: count, Failed: failed,
	}
}

func TestServe(t *testing.T) {
	windows := []measure.Window{
		historic(measure.MetricTransaction, "pay", "eu-1", 10, 1),
		historic(measure.MetricTransaction, "order", "eu-1", 100, 10),
		historic(measure.MetricOutcome, "order", "eu-1", 90, 9),
		historic(measure.MetricRetried, "order", "eu-1", 81, 27),
		historic(measure.MetricGood, "order", "eu-1", 100, 20),
		historic(measure.MetricTransaction, "order", "us-1", 100, 0),
		historic(measure.MetricGood, "order", "us-1", 100, 0),
		historic(measure.MetricTransaction, healthName, "eu-1", 500, 500),
	}
	windows[1].Unfinished = 4

	all := Serve(windows)
	require.Len(t, all, 1)
	require.Equal(t, Group{}, all[0].Group)
	requireShare(t, 199, 210, all[0].Availability)
	requireShare(t, 81, 90, all[0].Reliability)
	requireShare(t, 180, 200, all[0].Good)
	requireShare(t, 27, 81, all[0].Degraded)
	require.EqualValues(t, 4, all[0].Unfinished)

	cells := Serve(windows, "cell", "transaction", "nonsense")
	require.Equal(t, []Group{{Transaction: "order", Cell: "eu-1"}, {Transaction: "order", Cell: "us-1"}, {Transaction: "pay", Cell: "eu-1"}},
		[]Group{cells[0].Group, cells[1].Group, cells[2].Group})
	requireShare(t, 100, 100, cells[1].Availability)
	require.Nil(t, cells[1].Reliability.Share, "nobody looked, so nobody knows")
	text, err := json.Marshal(cells[1])
	require.NoError(t, err)
	require.JSONEq(t, `{"transaction": "order", "cell": "us-1", "unfinished": 0, "availability": {"part": 100, "of": 100, "share": 1},
		"good": {"part": 100, "of": 100, "share": 1}, "reliability": {"part": 0, "of": 0}, "degraded": {"part": 0, "of": 0}}`, string(text))
	require.Equal(t, []Served{}, Serve(nil, "cell"))
}

func requireShare(t *testing.T, part, of uint64, got Share) {
	t.Helper()
	require.Equal(t, []uint64{part, of}, []uint64{got.Part, got.Of})
	require.InDelta(t, float64(part)/float64(of), *got.Share, 1e-12)
}

// TestServeAddsUp has groups add up to all, whatever they are made by.
func TestServeAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		windows := rapid.SliceOf(rapid.Custom(func(t *rapid.T) measure.Window {
			count := rapid.Uint64Range(0, 1000).Draw(t, "count")
			return historic(rapid.SampledFrom([]string{measure.MetricTransaction, measure.MetricGood, measure.MetricOutcome}).Draw(t, "metric"),
				rapid.SampledFrom([]string{"a", "b"}).Draw(t, "transaction"), rapid.SampledFrom([]string{"eu-1", "us-1"}).Draw(t, "cell"),
				count, rapid.Uint64Range(0, count).Draw(t, "failed"))
		})).Draw(t, "windows")
		for _, keys := range [][]string{{"transaction"}, {"cell"}, {"region", "class"}, {"transaction", "cell", "tenant"}} {
			var sum Served
			for _, s := range Serve(windows, keys...) {
				sum.Availability.add(s.Availability.Part, s.Availability.Of)
				sum.Good.add(s.Good.Part, s.Good.Of)
				require.True(t, s.Good.Share == nil || *s.Good.Share >= 0 && *s.Good.Share <= 1)
			}
			if all := Serve(windows); len(all) > 0 {
				require.Equal(t, all[0].Availability, sum.Availability)
				require.Equal(t, all[0].Good, sum.Good)
			}
		}
	})
}

package telemetry

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// firingAt is an alert that fires in some seconds from 1000 on.
func firingAt(name, pod string, seconds ...int64) series {
	s := series{labels: map[string]string{"alertname": name, "pod": pod}}
	for _, at := range seconds {
		s.points = append(s.points, point{(1000 + at) * 1e9, 1})
	}
	return s
}

func TestAlertsBeginAndEnd(t *testing.T) {
	h := &heard{}
	a := &hearer{from: "main", out: h.outlet(), on: map[string]string{}}
	first := stretch{1000e9, 1004e9, 1e9}
	a.take([]series{firingAt("Old", "a", 0, 1), firingAt("High", "a", 2, 3), firingAt("High", "b", 3), firingAt("", "x", 0)}, first)
	a.take([]series{firingAt("High", "a", 4), firingAt("High", "b", 4, 5)}, stretch{1004e9, 1006e9, 1e9})
	a.take(nil, stretch{1006e9, 1008e9, 1e9})

	var told []string
	ids := map[string]bool{}
	for _, e := range h.events {
		if e.Kind == measure.EventAlert {
			told = append(told, e.Name+" "+e.Attrs["state"])
			ids[e.Attrs["id"]] = true
			require.Equal(t, "main", e.Attrs["by"])
		}
		require.Equal(t, "beta", e.Phase)
	}
	require.Equal(t, []string{"Old firing", "Old resolved", "High firing", "High firing", "High resolved", "High resolved"}, told)
	require.Len(t, ids, 3, "those of one name are told apart")
	require.Equal(t, measure.EventListening, h.events[0].Kind)
	var at []int64
	for _, e := range h.events {
		at = append(at, e.At/1e9-1000)
	}
	require.Equal(t, []int64{0, 0, 2, 2, 3, 5, 6}, at, "each at the second in which it did")
}

func TestAlertsThatCouldNotBeAskedFor(t *testing.T) {
	h := &heard{}
	a := &hearer{from: "main", out: h.outlet(), on: map[string]string{}}
	a.done(1000e9, errors.New("main can not be reached"))
	a.done(1000e9, nil)
	require.Len(t, h.events, 2)
	require.Equal(t, map[string]string{"state": measure.ListeningLost}, h.events[1].Attrs)
	require.Equal(t, measure.ListeningLost, h.events[0].Attrs["state"])
	require.Equal(t, int64(1000e9), h.events[0].At)
	require.Contains(t, h.events[0].Attrs["detail"], "after 00:16:40: main can not be reached")
}

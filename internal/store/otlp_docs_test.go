package store

import (
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

// The page about OTLP names every metric that is sent, and no other.
func TestDocsOfOTLP(t *testing.T) {
	text, err := os.ReadFile("../../docs/otlp.md")
	require.NoError(t, err)
	var documented []string
	for _, found := range regexp.MustCompile("(?m)^\\| `(resilience[a-z.]+)`").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, found[1])
	}
	value := 1.0
	sent := metricsOf(gates.Run{}, map[measure.Series]*measure.Window{
		requests:          {Series: requests, Count: 1, Sketch: measure.NewSketch(1)},
		{Metric: "items"}: {Series: measure.Series{Metric: "items"}, Count: 1, Sketch: measure.NewSketch(1)},
	}, map[fault]bool{{"beta", "slow"}: true}, []gates.Verdict{{Phase: "beta", Checks: []gates.Check{{Value: &value, Limit: &value}}}}, time.Now())
	var names []string
	for _, m := range sent.ScopeMetrics[0].Metrics {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	slices.Sort(documented)
	require.Equal(t, names, documented)
}

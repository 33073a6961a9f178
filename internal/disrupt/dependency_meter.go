package disrupt

import (
	"time"

	"resilience/internal/measure"
)

// addAs counts something that began at start and ends now, with a status in
// words; there should be few different ones.
func (m *meter) addAs(start time.Time, status string, fate measure.Fate) {
	value := float64(time.Since(start)) / float64(time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	series := m.series
	series.Status = status
	m.aggregator.Ref(series).Add(start.UnixNano(), value, fate)
}

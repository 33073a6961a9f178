package store

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// busy is a second of a run with many series, each with a sketch of some values.
func busy(series int) measure.Batch {
	var batch measure.Batch
	for i := range series {
		values := make([]float64, 20)
		for j := range values {
			values[j] = float64(1 + (i*31+j*17)%500)
		}
		w := window("beta", 0, values...)
		w.Series.Step = fmt.Sprint("step ", i)
		batch.Windows = append(batch.Windows, w)
	}
	return batch
}

// TestMemoryInAnOutage: while InfluxDB hangs, 2,000 series each second, more of
// them than 20 MB could hold, stay within 20 MB: what lives on between batches,
// and all that is allocated for one, whatever of that may be collected meanwhile.
func TestMemoryInAnOutage(t *testing.T) {
	const limit, series, seconds = 20e6, 2000, 30
	hanging := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-hanging
	}))
	defer server.Close()
	defer close(hanging)
	dir := filepath.Join(t.TempDir(), "s")
	s := streamTo(t, Influx{URL: server.URL, Bucket: "b"}, dir, someRun())
	batch := busy(series)
	before := memory()
	var live, once uint64
	for i := range seconds {
		for j := range batch.Windows {
			batch.Windows[j].Start, batch.Windows[j].Part = int64(1_700_000_000+i)*measure.Second, uint32(i+1)
		}
		start := memory()
		require.NoError(t, s.Append(batch))
		var end runtime.MemStats
		runtime.ReadMemStats(&end)
		once = max(once, end.TotalAlloc-start.TotalAlloc)
		live = max(live, memory().HeapAlloc)
	}
	grown := int64(live) - int64(before.HeapAlloc)
	t.Logf("%.1f MB live on, %.1f MB are allocated for a batch, %.1f MB are on disk", float64(grown)/1e6, float64(once)/1e6, float64(s.spool.size)/1e6)
	require.Less(t, grown+int64(once), int64(limit))
	require.EqualValues(t, series*seconds, s.spool.waiting(), "all of it is on disk")
	require.Greater(t, s.spool.size, int64(limit))
}

// memory is what is allocated once garbage is collected.
func memory() (m runtime.MemStats) {
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

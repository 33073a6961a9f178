package canary_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/canary"
	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/store"
)

// allIsWell is a system in which all goes well but one attempt in a thousand.
type allIsWell struct{}

func (allIsWell) Run(ctx context.Context, due <-chan measure.Probe, done func(measure.Probed)) error {
	for {
		select {
		case p := <-due:
			found := measure.Accepted | measure.Completed
			a := measure.Attempt{
				Series: measure.Series{Transaction: p.Transaction, Tenant: p.Tenant}, At: time.Now().UnixNano(),
				Took: 20 + float64(p.Seq%97), Found: found,
			}
			if p.Seq%1000 == 0 {
				a.Found, a.Message = 0, fmt.Sprintf("status 503 of request %d", p.Seq)
			}
			done(measure.Probed{Seq: p.Seq, Attempt: a})
		case <-ctx.Done():
			return nil
		}
	}
}

// TestDay has a daemon with its real state work through 24 hours of 1,000 tries a
// minute: neither memory nor the file may grow beyond bounds. CANARY_DAY=1 runs it;
// `make canary-trials` does.
func TestDay(t *testing.T) {
	if os.Getenv("CANARY_DAY") == "" {
		t.Skip("takes minutes: CANARY_DAY=1 or make canary-trials runs it")
	}
	path := filepath.Join(t.TempDir(), "day.db")
	synctest.Test(t, func(t *testing.T) {
		state, err := store.OpenState(path, store.Keep{})
		require.NoError(t, err)
		var who []plan.Identity
		for i := range 200 {
			who = append(who, plan.Identity{Name: fmt.Sprintf("t%03d", i), Cell: fmt.Sprintf("c%d", i%10), Region: fmt.Sprintf("r%d", i%3), Class: "gold"})
		}
		var tasks []canary.Task
		rule := plan.CanaryRule{By: "cell", Open: []plan.Trigger{{Row: 3}}, Close: plan.Trigger{Row: 3}, Quiet: plan.Duration(2 * time.Minute), To: plan.Names{"ops"}}
		for _, name := range []string{"order", "browse", "refund", "search", "sign-in"} {
			tasks = append(tasks, canary.Task{Name: name, Tenants: who, Plan: plan.CanaryTask{
				Exec: name, Every: plan.Duration(time.Minute), Timeout: plan.Duration(20 * time.Second), Tries: 1,
			}})
		}
		d, err := canary.New(canary.Options{
			Plan: "shop", Tasks: tasks, Prober: allIsWell{}, State: state, Wake: func() {}, Warn: func(text string) { t.Error(text) }, Event: func(measure.Event) {},
			Canary: plan.Canary{Alerts: map[string]plan.CanaryRule{"all": rule}, Keep: plan.CanaryKeep{Attempts: plan.Retention(6 * time.Hour)}},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		var least, most uint64
		for hour := range 24 {
			time.Sleep(time.Hour - 100*time.Millisecond)
			require.NoError(t, state.Prune(time.Now().UnixNano()))
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if hour == 1 {
				least, most = m.HeapInuse, m.HeapInuse
			} else if hour > 1 {
				least, most = min(least, m.HeapInuse), max(most, m.HeapInuse)
			}
		}
		s, err := d.Status()
		require.NoError(t, err)
		require.NoError(t, <-ended)
		require.InDelta(t, 24*60*1000, s.Probes.Done, 1500)
		require.NoError(t, state.Close())
		t.Logf("heap in use %d to %d KiB", least>>10, most>>10)
		require.Less(t, most-least, uint64(20<<20))
	})
	file, err := os.Stat(path)
	require.NoError(t, err)
	t.Logf("%d MB on disk", file.Size()/1e6)
	require.Less(t, file.Size(), int64(1e9))
}

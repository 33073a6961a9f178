package canary

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

func never(string, string) int64 { return 0 }

func tenants(n int) []plan.Identity {
	all := make([]plan.Identity, n)
	for i := range all {
		all[i] = plan.Identity{Name: fmt.Sprintf("t%03d", i), Cell: fmt.Sprintf("c%d", i%5)}
	}
	return all
}

func task(name string, every time.Duration, of []plan.Identity) Task {
	return Task{Name: name, Tenants: of, Plan: plan.CanaryTask{
		Exec: name, Every: plan.Duration(every), Timeout: plan.Duration(every / 2), Tries: 1,
	}}
}

// play hands out what is due, answers it at once, and gives when each slot was
// begun.
func play(s *Scheduler, from, to int64) map[string][]int64 {
	begun := map[string][]int64{}
	for now := from; now < to; {
		if p, due := s.Due(now); due {
			s.Begin(now)
			begun[p.Transaction+"/"+p.Tenant] = append(begun[p.Transaction+"/"+p.Tenant], now)
			s.Done(p.Seq)
			continue
		}
		wait, _ := s.Wait(now)
		now += max(1, int64(wait))
	}
	return begun
}

// Everybody has one turn in each interval, at a moment that is always the same,
// and all moments are spread over the interval.
func TestSchedule(t *testing.T) {
	tasks := []Task{task("order", time.Minute, tenants(200)), task("browse", 10*time.Second, tenants(5))}
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).UnixNano()
	begun := play(NewScheduler(tasks, "shop", start, never), start, start+int64(10*time.Minute))
	require.Len(t, begun, 205)
	var seconds [60]int
	for name, times := range begun {
		every, want := int64(time.Minute), 10
		if name[:1] == "b" {
			every, want = int64(10*time.Second), 60
		}
		require.Len(t, times, want, name)
		for _, at := range times {
			require.Equal(t, times[0]%every, at%every, name)
		}
		if name[:1] == "o" {
			seconds[times[0]%every/int64(time.Second)]++
		}
	}
	for second, n := range seconds {
		require.LessOrEqual(t, n, 12, "at second %d", second) // 3.3 are to be expected
	}
	again := play(NewScheduler(tasks, "shop", start+12345, never), start+12345, start+int64(2*time.Minute))
	for name, times := range again {
		require.Contains(t, begun[name], times[len(times)-1], "a restart keeps the beat of %s", name)
	}
	other := play(NewScheduler(tasks, "other", start, never), start, start+int64(time.Minute))
	require.NotEqual(t, begun["order/t000"][0], other["order/t000"][0])
}

// What was due while nobody was there is tried soon, spread out, and not again
// at once.
func TestScheduleAfterAGap(t *testing.T) {
	tasks := []Task{task("report", time.Hour, tenants(100))}
	start := time.Date(2026, 1, 2, 3, 30, 0, 0, time.UTC).UnixNano()
	before := play(NewScheduler(tasks, "shop", start-int64(time.Hour), never), start-int64(time.Hour), start)
	gone := start - int64(10*time.Minute) // since then there was no daemon
	s := NewScheduler(tasks, "shop", start, func(_, tenant string) int64 {
		if at := before["report/"+tenant][0]; at < gone {
			return at
		}
		return before["report/"+tenant][0] - int64(time.Hour)
	})
	after := play(s, start, start+int64(time.Hour))
	soon := 0
	for tenant, times := range after {
		missed := before[tenant][0] >= gone
		require.Equal(t, map[bool]int{true: 2, false: 1}[missed], len(times), tenant)
		if missed {
			soon++
			require.Less(t, times[0], start+int64(catchUp))
		}
		require.Equal(t, before[tenant][0]+int64(time.Hour), times[len(times)-1])
	}
	require.InDelta(t, 17, soon, 10)
}

func TestScheduleOfWhatTakesLong(t *testing.T) {
	s := NewScheduler([]Task{task("order", time.Second, tenants(1))}, "shop", 0, never)
	wait, _ := s.Wait(0)
	now := int64(wait)
	p, due := s.Due(now)
	require.True(t, due)
	s.Begin(now)
	_, due = s.Due(now + int64(1500*time.Millisecond))
	require.False(t, due, "it is still under way")
	require.EqualValues(t, 1, s.skipped)
	s.Lost(p.Seq, now)
	again, due := s.Due(now)
	require.True(t, due, "nobody knows what became of it")
	require.Equal(t, p.Seq, again.Seq)
	s.Begin(now)
	_, due = s.Due(now)
	require.False(t, due)
	_, known := s.Done(p.Seq)
	require.True(t, known)
	_, known = s.Done(p.Seq)
	require.False(t, known, "twice")
	_, due = s.Due(now + int64(2*time.Second))
	require.True(t, due)
	s.Begin(now + int64(10*time.Second))
	require.EqualValues(t, 1, s.late)
	require.EqualValues(t, 8, s.skipped) // the seconds that went by, up to the present one
	wait, _ = s.Wait(now + int64(10*time.Second))
	require.LessOrEqual(t, wait, time.Second)
}

package xk6resilience

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/metrics"

	"resilience/internal/measure"
)

func TestStarved(t *testing.T) {
	for name, test := range map[string]struct {
		load load
		want bool
	}{
		"idle":             {load{elapsed: time.Second, used: time.Millisecond}, false},
		"busy, not full":   {load{elapsed: time.Second, used: 3500 * time.Millisecond}, false},
		"all cores":        {load{elapsed: time.Second, used: 3600 * time.Millisecond}, true},
		"others had them":  {load{elapsed: time.Second, used: 1200 * time.Millisecond, queued: 2500 * time.Millisecond}, true},
		"queued a little":  {load{elapsed: time.Second, used: 1200 * time.Millisecond, queued: 2300 * time.Millisecond}, false},
		"a little late":    {load{elapsed: time.Second, late: starvedTick}, false},
		"woken late":       {load{elapsed: time.Second, late: starvedTick + 1}, true},
		"goroutines wait":  {load{elapsed: time.Second, waited: true}, true},
		"late in one part": {load{elapsed: time.Second, late: time.Second}.and(load{elapsed: time.Second}), true},
	} {
		require.Equal(t, test.want, test.load.starved(4), name)
	}
}

// dropOne is an arrival that finds all ten VUs taken, of which some wait for the
// target, and the stretch in which that happens.
func dropOne(s *session, waiting int64, starved bool) {
	s.active.Store(10)
	s.waiting.Store(waiting)
	s.samples.dropped(metrics.Sample{Time: time.Unix(1, 0), Value: 1})
	stretch := load{elapsed: watchEvery}
	if starved {
		stretch.used = watchEvery * time.Duration(runtime.GOMAXPROCS(0))
	}
	s.watch(time.Now(), stretch)
}

func TestWhoseDrops(t *testing.T) {
	for name, test := range map[string]struct {
		waiting   int64
		starved   []bool // one arrival in each stretch
		generator uint64
	}{
		"the target hangs":            {10, []bool{false, false}, 0},
		"half of the VUs wait":        {5, []bool{false}, 0},
		"the script holds them":       {4, []bool{false, false}, 2},
		"no CPU to read answers":      {10, []bool{true, true}, 2},
		"no CPU, then a hang":         {10, []bool{true, false, false, false}, 2},
		"a hang, then no CPU for one": {10, []bool{false, true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSession()
			for _, starved := range test.starved {
				dropOne(s, test.waiting, starved)
			}
			s.finish(time.Now())
			by := map[string]uint64{}
			for _, w := range s.take().Windows {
				by[w.Series.Status] += w.Dropped
			}
			require.Equal(t, test.generator, by[measure.StatusGenerator])
			require.Equal(t, uint64(len(test.starved))-test.generator, by[""])
		})
	}
}

func TestDropsOfTheLastMomentCount(t *testing.T) {
	s := newSession()
	s.samples.dropped(metrics.Sample{Time: time.Unix(1, 0), Value: 3})
	s.finish(time.Now())
	windows := s.take().Windows
	require.Len(t, windows, 1)
	require.EqualValues(t, 3, windows[0].Dropped)
}

func TestSpoiledAttempts(t *testing.T) {
	s, now := newSession(), time.Now()
	at := func(stretches float64) time.Time {
		return now.Add(time.Duration(stretches * float64(watchEvery)))
	}
	spoils := func(start, end float64) bool { return s.starvation.spoils(at(start), at(end)) }
	pass := func(end float64, starved bool) {
		stretch := load{elapsed: watchEvery}
		if starved {
			stretch.used = watchEvery * time.Duration(runtime.GOMAXPROCS(0))
		}
		s.watch(at(end), stretch)
	}
	require.False(t, spoils(0, 0), "not starved")
	pass(1, true)
	pass(2, true)
	require.True(t, spoils(0, 2.5))
	require.False(t, spoils(-1, 2), "it began when there was CPU")
	pass(3, false)
	pass(4, false)
	pass(5, false)
	require.True(t, spoils(1, 2.5), "given up in the stretch in which the load ended, looked at later")
	require.False(t, spoils(1, 4), "there was CPU at its end")
	require.False(t, spoils(4, 5), "not any more")
	pass(6, true)
	require.True(t, spoils(5.5, 6.5), "again")
	require.False(t, spoils(1, 6), "there was CPU between")
	s.finish(now)
	events := s.take().Events
	require.Len(t, events, 1)
	require.Equal(t, "cpu", events[0].Name)
	require.Contains(t, events[0].Attrs["detail"], "0 arrivals found no free VU and 3 attempts were cut off")
}

func TestWatchSeesItsOwnWork(t *testing.T) {
	w := newWatch()
	began := time.Now()
	for n := 0; time.Since(began) < 50*time.Millisecond; n++ { // CPU time is what is measured
		_ = n
	}
	l := w.look(time.Now(), began)
	require.Positive(t, l.used)
	require.GreaterOrEqual(t, l.elapsed, 50*time.Millisecond)
	require.GreaterOrEqual(t, l.late, 50*time.Millisecond)
}

func TestWatchSeesThatOthersHaveTheCores(t *testing.T) {
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skip("this system does not tell how long a thread was ready and did not run")
	}
	threads := 2 * runtime.NumCPU()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	w, began := newWatch(), time.Now()
	var all sync.WaitGroup
	for range threads {
		all.Go(func() {
			for own := time.Now(); time.Since(own) < 100*time.Millisecond; { // more of them than there are cores
				continue
			}
		})
	}
	all.Wait()
	require.Positive(t, w.look(time.Now(), began).queued)
}

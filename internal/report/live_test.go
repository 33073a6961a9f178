package report

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// output is a writer that can be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func schedules() []Schedule {
	return []Schedule{{
		Phase: "beta", Length: 75 * time.Second,
		Tests:       []Span{{Name: "checkout", For: 70 * time.Second}},
		Disruptions: []Span{{Name: "payments-slow", At: 30 * time.Second, For: 15 * time.Second}},
	}}
}

func event(kind, name string, attrs ...string) measure.Batch {
	e := measure.Event{At: time.Now().UnixNano(), Kind: kind, Phase: "beta", Test: "checkout", Name: name, Attrs: map[string]string{}}
	for i := 0; i < len(attrs); i += 2 {
		e.Attrs[attrs[i]] = attrs[i+1]
	}
	return measure.Batch{Events: []measure.Event{e}}
}

// traffic is what 50 transactions of two requests each in the last second
// look like.
func traffic(failed uint64, ms float64) measure.Batch {
	w := measure.Window{
		Series: measure.Series{Metric: measure.MetricTransaction, Test: "checkout", Arm: measure.Candidate},
		Start:  time.Now().Add(-time.Second).Truncate(time.Second).UnixNano(), Width: int64(time.Second),
		Count: 50, Failed: failed, Sketch: measure.NewSketch(ms, ms, ms),
	}
	requests, noise := w, w
	requests.Series.Metric, requests.Count, requests.Sketch = measure.MetricRequest, 100, measure.NewSketch(1)
	noise.Series.Metric, noise.Count = "http_req_waiting", 9999
	return measure.Batch{Windows: []measure.Window{w, requests, noise}}
}

// play goes through a phase of 75 seconds in virtual time.
func play(l *Live) {
	l.Heard(event(measure.EventService, "shop", "state", "ready"))
	l.Heard(event(measure.EventPhase, "", "candidate", "staging"))
	l.Heard(event(measure.EventTest, "", "kind", "load", "warmup", "5s"))
	time.Sleep(50 * time.Millisecond) // nothing happens just when something is drawn
	for second := 1; second <= 70; second++ {
		time.Sleep(time.Second)
		switch second {
		case 30:
			l.Heard(event(measure.EventDisruption, "payments-slow", "fault", "latency", "on", "payments", "share", "0.5"))
		case 35, 36:
			l.Heard(event(measure.EventException, "", "message", "x is \x1b[31mundefined"))
		case 40:
			l.Heard(event(measure.EventService, "payments", "state", "died", "detail", "exit status 2"))
		case 45:
			l.Heard(event(measure.EventLifted, "payments-slow", "touched", "375", "matched", "750"))
		}
		if second > 30 && second <= 45 {
			l.Heard(traffic(2, 412))
		} else {
			l.Heard(traffic(0, 41))
		}
	}
	l.Heard(event(measure.EventTestEnd, "", "complete", "true"))
	l.Heard(event(measure.EventPhaseEnd, ""))
	time.Sleep(5 * time.Second)
	l.Judged(failing())
	l.Close()
}

func TestLivePlainLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		play(NewLive(&out, LiveOptions{Schedules: schedules()}))
		require.NotContains(t, out.String(), "\x1b")
		golden(t, "live-plain", out.String())
	})
}

// screen shows what a terminal shows after the sequences that Live uses.
func screen(t *testing.T, raw string) []string {
	lines, row := []string{""}, 0
	for i := 0; i < len(raw); i++ {
		rest := raw[i:]
		switch {
		case strings.HasPrefix(rest, "\x1b[A"):
			row--
			i += 2
		case strings.HasPrefix(rest, "\x1b[J"):
			lines = lines[:row+1]
			lines[row] = ""
			i += 2
		case rest[0] == '\r':
		case rest[0] == '\n':
			lines = append(lines, "")
			row++
		default:
			require.NotEqual(t, byte('\x1b'), rest[0], "only known sequences")
			lines[row] += rest[:1]
		}
		require.GreaterOrEqual(t, row, 0)
	}
	return lines
}

func TestLiveTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		l := NewLive(&out, LiveOptions{Terminal: true, Schedules: schedules(), Width: func() int { return 60 }})
		var shots []string
		go func() {
			for _, wait := range []time.Duration{10, 25, 20, 17} {
				time.Sleep(wait*time.Second + 310*time.Millisecond) // nor is anything then
				shots = append(shots, strings.Join(screen(t, out.String()), "\n"))
			}
		}()
		play(l)
		shots = append(shots, strings.Join(screen(t, out.String()), "\n"))
		golden(t, "live-terminal", strings.Join(shots, "\n=====\n"))
		require.True(t, strings.HasSuffix(out.String(), "\n"), "the prompt begins on a line of its own")
		for _, shot := range shots[:4] {
			lines := strings.Split(shot, "\n")
			for _, line := range lines[len(lines)-2:] {
				require.Less(t, len([]rune(line)), 60, "the status does not wrap")
			}
		}
	})
}

// stuck is a terminal that takes nothing until it is released.
type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	<-s.release
	return len(p), nil
}

func TestLiveNeverWaitsForItsWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := stuck{make(chan struct{})}
		l := NewLive(w, LiveOptions{Terminal: true, Schedules: schedules()})
		began := time.Now()
		for range 10_000 {
			l.Heard(event(measure.EventTest, "", "kind", "load"))
			l.Heard(traffic(1, 5))
		}
		l.Judged(passing())
		require.Zero(t, time.Since(began), "in virtual time any wait would show")
		require.LessOrEqual(t, len(l.pending), livePending)
		l.Close()
		require.Equal(t, liveClosing, time.Since(began))
		close(w.release)
		synctest.Wait()
	})
}

func TestLiveTellsOfRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		l := NewLive(&out, LiveOptions{Schedules: schedules()})
		l.Heard(event(measure.EventPhase, "", "candidate", "staging"))
		l.Heard(event(measure.EventRunner, "", "runner", "1", "of", "2", "host", "beta-1"))
		l.Heard(event(measure.EventRunner, "", "runner", "laptop", "host", "laptop"))
		l.Heard(event(measure.EventRunnerEnd, "", "runner", "1", "complete", "true"))
		l.Heard(event(measure.EventRunnerEnd, "", "runner", "laptop", "complete", "false", "reason", "signal: terminated"))
		l.Close()
		require.Contains(t, out.String(), "runner 1 of 2 of checkout is there: beta-1")
		require.Contains(t, out.String(), "runner laptop of checkout is there: laptop")
		require.Equal(t, 1, strings.Count(out.String(), "did not run to its end"))
		require.Contains(t, out.String(), "! runner laptop of checkout did not run to its end: signal: terminated")
	})
}

func TestLiveSaysWhatItLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		l := NewLive(&out, LiveOptions{})
		l.mu.Lock() // the drawing goroutine waits, as for a slow writer
		for range livePending + 7 {
			l.say("line")
		}
		l.mu.Unlock()
		l.Close()
		require.Contains(t, out.String(), "7 lines left out: the output is too slow\n")
	})
}

type failingWriter struct{ writes int }

func (f *failingWriter) Write([]byte) (int, error) {
	f.writes++
	return 0, errors.New("closed pipe")
}

func TestLiveGivesUpOnABrokenWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &failingWriter{}
		play(NewLive(w, LiveOptions{Terminal: true}))
		require.Equal(t, 1, w.writes)
	})
}

func TestLiveAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		l := NewLive(&out, LiveOptions{})
		l.Close()
		l.Close()
		l.Heard(event(measure.EventPhase, ""))
		l.Judged(passing())
		time.Sleep(time.Minute)
		require.Empty(t, out.String())
	})
}

func TestPulse(t *testing.T) {
	now := time.Unix(1000, 500)
	window := func(metric, test string, at int64, count uint64) measure.Window {
		return measure.Window{Series: measure.Series{Metric: metric, Test: test}, Start: at * int64(time.Second), Count: count}
	}
	p := newPulse()
	require.Equal(t, "no attempts yet", p.summary(now))
	p.add(window(measure.MetricRequest, "a", 999, 10))
	p.add(window(measure.MetricRequest, "a", 1000, 3))
	require.Equal(t, "10/s · 13 attempts · 0 failed", p.summary(now), "it began a second ago, and the current one is not over")
	p.add(window(measure.MetricRequest, "a", 996, 40))
	require.Equal(t, "13/s · 53 attempts · 0 failed", p.summary(now), "windows may come late: 50 in 4 s")
	p.add(window(measure.MetricTransaction, "a", 999, 6))
	p.add(window(measure.MetricRequest, "b", 999, 4))
	require.Equal(t, "10/s · 10 attempts · 0 failed", p.summary(now), "transactions of a and requests of b")
	require.Equal(t, "2/s · 10 attempts · 0 failed", p.summary(now.Add(6*time.Second)), "997 to 1003: nothing comes any more")
	require.Equal(t, "0/s · 10 attempts · 0 failed", p.summary(now.Add(8*time.Second)))
	p.add(window(measure.MetricRequest, "b", 2000, 1))
	require.Len(t, p[stream{"b", measure.MetricRequest}].seconds, 1, "old seconds are forgotten")
}

// TestPulseCountsAsTheVerdictDoes wants arrivals that could not start to be
// failed attempts, unless the generator is to blame, and the baseline left out.
func TestPulseCountsAsTheVerdictDoes(t *testing.T) {
	now := time.Unix(1000, 500)
	p := newPulse()
	add := func(s measure.Series, count, dropped uint64) {
		s.Test = "a"
		p.add(measure.Window{Series: s, Start: 999 * int64(time.Second), Count: count, Failed: dropped, Dropped: dropped})
	}
	p.add(measure.Window{Series: measure.Series{Metric: measure.MetricTransaction, Test: "a"}, Start: 1000 * int64(time.Second)}) // 999 is over
	add(measure.Series{Metric: measure.MetricTransaction, Arm: measure.Candidate}, 10, 0)
	add(measure.Series{Metric: measure.MetricTransaction, Arm: measure.Baseline}, 40, 0)
	require.Equal(t, "10/s · 10 attempts · 0 failed", p.summary(now))
	add(measure.Series{Metric: measure.MetricIteration, Arm: measure.Candidate}, 16, 6)
	add(measure.Series{Metric: measure.MetricIteration, Arm: measure.Candidate, Status: measure.StatusGenerator}, 5, 5)
	add(measure.Series{Metric: measure.MetricIteration, Arm: measure.Baseline}, 9, 9)
	require.Equal(t, "16/s · 16 attempts · 6 failed (37.5 %)", p.summary(now))
}

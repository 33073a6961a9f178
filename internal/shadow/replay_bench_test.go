package shadow

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// benchServer tells a process of this test binary to be the target of a benchmark.
const benchServer = "RESILIENCE_BENCH_SERVER"

// TestBenchServer is no test, but the target of benchmarks: in a process of its
// own, so that its work is not counted as that of who sends.
func TestBenchServer(t *testing.T) {
	if os.Getenv(benchServer) == "" {
		t.Skip("only for benchmarks")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fmt.Println("listening " + l.Addr().String())
	go func() { // ends with who started it
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	var n atomic.Uint64
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(benchAnswer(n.Add(1)))
	}))
}

// benchAnswer is an answer of some size, with a field that differs each time.
func benchAnswer(n uint64) []byte {
	return fmt.Appendf(nil, `{"request":%d,"items":[%s{"sku":"a-2","price":1}]}`, n, benchItems)
}

var benchItems = strings.Repeat(`{"sku":"a-1","price":12.5,"tags":["red","small"]},`, 19)

// startBenchServer starts it and gives its address.
func startBenchServer(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBenchServer$")
	cmd.Env = append(os.Environ(), benchServer+"=1")
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, is := strings.CutPrefix(lines.Text(), "listening "); is {
			return "http://" + addr
		}
	}
	b.Fatal("the server did not listen")
	return ""
}

// benchReplay is a replay of many exchanges of a session each.
func benchReplay(b *testing.B, url string, n int, change func(*plan.Shadow)) *Replay {
	b.Helper()
	s := shadowTest()
	s.Noise = plan.NoiseTwice
	s.MaxVUs = 64
	change(&s)
	target := plan.Target{URL: url, Accept: []string{"2xx"}}
	exchanges := recordedMany(n, time.Millisecond/2)
	for i := range exchanges {
		exchanges[i].Response.Body = jsonBody(string(benchAnswer(uint64(i))))
	}
	transport := func() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 64} }
	r, err := NewReplay(plan.Stream{
		Run: "bench", Phase: "beta", Target: target, Beside: &target, Again: &target, Test: plan.Test{Name: "users", Shadow: &s},
	}, Outside{
		Open: func(string) (Recording, error) { return &tape{exchanges: exchanges}, nil },
		Sender: func(plan.Target, []string, string, int) (Sender, error) {
			own := transport()
			return Sender{Transport: own, Ready: func(context.Context) error { return nil }, Status: func(error) string { return "error" }, Close: own.CloseIdleConnections}, nil
		},
		Busy: func() string { return "" },
	})
	require.NoError(b, err)
	return r
}

// replayOnce runs it and gives what was measured.
func replayOnce(b *testing.B, r *Replay) (all measure.Batch) {
	b.Helper()
	require.NoError(b, r.Run(b.Context(), func(batch measure.Batch) error {
		all.Events, all.Windows = append(all.Events, batch.Events...), append(all.Windows, batch.Windows...)
		return nil
	}))
	return all
}

// spent is what a function takes: of the clock, and of this process's processors.
func spent(f func()) (wall, cpu time.Duration) {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	began, before := time.Now(), used()
	f()
	return time.Since(began), used() - before
}

// BenchmarkReplay sends as fast as it goes, each exchange to the candidate and
// twice to the baseline, and compares the answers, which differ in a field each
// time. Beside it vegeta sends as many of the same requests by as many workers.
func BenchmarkReplay(b *testing.B) {
	const exchanges = 2000
	url := startBenchServer(b)
	var ours, theirs struct{ wall, cpu time.Duration }
	n := 0
	for b.Loop() {
		r := benchReplay(b, url, exchanges, func(s *plan.Shadow) { require.NoError(b, s.Speed.UnmarshalText([]byte("max"))) })
		wall, cpu := spent(func() {
			all := replayOnce(b, r)
			require.EqualValues(b, exchanges, replaySummed(all, measure.MetricComparison)[measure.Candidate].Count)
		})
		ours.wall, ours.cpu = ours.wall+wall, ours.cpu+cpu
		wall, cpu = spent(func() { vegetaOnce(b, url, 3*exchanges) })
		theirs.wall, theirs.cpu = theirs.wall+wall, theirs.cpu+cpu
		n += 3 * exchanges
	}
	b.ReportMetric(float64(n)/ours.wall.Seconds(), "requests/s")
	b.ReportMetric(float64(n)/theirs.wall.Seconds(), "vegeta-requests/s")
	b.ReportMetric(float64(theirs.wall)/float64(ours.wall), "of-vegeta's-rate")
	b.ReportMetric(float64(ours.cpu.Microseconds())/float64(n), "cpu-us/request")
	b.ReportMetric(float64(ours.cpu)/float64(theirs.cpu), "of-vegeta's-cpu")
}

// vegetaOnce sends so many requests by 192 workers: as many as 64 exchanges have
// requests. Both have a limit to the time of a request, as vegeta's command has.
func vegetaOnce(b *testing.B, url string, n int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 192}, Timeout: vegeta.DefaultTimeout}
	defer client.CloseIdleConnections()
	attacker := vegeta.NewAttacker(vegeta.Client(client), vegeta.Workers(192), vegeta.MaxWorkers(192))
	header := http.Header{"Accept-Encoding": {"identity"}, "User-Agent": {"resilience"}, "Baggage": {"synthetic=true"}, ShadowHeader: {"1"}}
	var left atomic.Int64
	left.Store(int64(n))
	done := 0
	for result := range attacker.Attack(func(t *vegeta.Target) error {
		if left.Add(-1) < 0 {
			return vegeta.ErrNoTargets
		}
		t.Method, t.URL, t.Header = "GET", url+"/items", header
		return nil
	}, vegeta.Rate{}, 0, "") {
		if result.Code == http.StatusOK {
			done++
		} else if result.Error != vegeta.ErrNoTargets.Error() {
			b.Fatal(result.Error)
		}
	}
	require.Equal(b, n, done)
}

// BenchmarkReplayTiming replays 2,000 exchanges a second of a file, and reports how
// late they were sent.
func BenchmarkReplayTiming(b *testing.B) {
	url := startBenchServer(b)
	path := filepath.Join(b.TempDir(), "users.shadow")
	w, err := Create(path, Options{})
	require.NoError(b, err)
	for i, e := range recordedMany(4000, time.Millisecond/2) {
		e.Response.Body = jsonBody(string(benchAnswer(uint64(i))))
		require.NoError(b, w.Write(e))
	}
	require.NoError(b, w.Close())
	for b.Loop() {
		r := benchReplay(b, url, 0, func(s *plan.Shadow) { s.Noise = plan.NoNoise })
		r.outside.Open = func(string) (Recording, error) { return Open(path) }
		r.stream.Again = nil
		all := replayOnce(b, r)
		for _, name := range []string{"lag p50", "lag p99"} {
			ms, err := strconv.ParseFloat(strings.TrimSuffix(happened(all, measure.EventReplay)[0].Attrs[name], "ms"), 64)
			require.NoError(b, err)
			b.ReportMetric(ms, strings.ReplaceAll(name, " ", "-")+"-ms")
		}
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/servers"
	"resilience/gates"
)

// Traffic of each run that is compared.
const (
	benchRate    = 2000 // requests each second
	benchSeconds = 10
	benchRounds  = 5
)

const benchScript = `
import http from 'k6/http';
%s
export default function () { http.get(__ENV.TARGET_URL); }
`

// benchOptions are those that the plan's profile becomes.
const benchOptions = `export const options = { scenarios: { s: {
  executor: 'ramping-arrival-rate', startRate: %[1]d, timeUnit: '1s', preAllocatedVUs: 200, stages: [{ target: %[1]d, duration: '%[2]ds' }],
} } };`

const benchPlan = `
name: bench
targets: {web: {url: %q}}
phases:
  - name: beta
    candidate: web
    tests: [{name: get, load: {script: get.js, rate: %d/s, duration: %ds, max_vus: 200}}]
    gates: [availability >= 1%%]
`

// relay stands before an InfluxDB and counts the bytes that it is sent.
type relay struct {
	net.Listener
	to   string
	sent atomic.Int64
	rate atomic.Int64 // bytes each second that pass, of all connections together; 0: as many as come
	line sync.Mutex   // held by whose bytes pass, where that takes time
}

func newRelay(b *testing.B, to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	r := &relay{Listener: l, to: strings.TrimPrefix(to, "http://")}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go r.pass(client)
		}
	}()
	return r
}

// pass relays a connection until either side ends it.
func (r *relay) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	_, _ = io.Copy(server, io.TeeReader(client, r))
	_ = server.Close()
}

// Write counts what passes, and returns when a slow link would have passed it.
func (r *relay) Write(some []byte) (int, error) {
	r.sent.Add(int64(len(some)))
	if rate := r.rate.Load(); rate > 0 {
		r.line.Lock()
		defer r.line.Unlock()
		<-time.After(time.Duration(len(some)) * time.Second / time.Duration(rate)) // so slow is the link
	}
	return len(some), nil
}

// influxBench is what all runs of the benchmark share.
type influxBench struct {
	*testing.B
	influx  *servers.InfluxProcess
	relay   *relay
	address string // host:port that the runs know InfluxDB by
	seconds int    // of traffic in each run
	target  *httptest.Server
	served  atomic.Int64
}

// way is one to run the same traffic.
type way struct {
	name  string
	args  func(i *influxBench) []string
	asked string // InfluxQL for how many requests InfluxDB knows of; "" where it is told of none
}

var ways = []way{
	{"k6", func(*influxBench) []string { return bareK6() }, ""},
	{"k6 --out influxdb", func(i *influxBench) []string {
		user, password := "any", i.influx.Token // version 2 takes its token as a password
		if i.influx.Version == 1 {
			user, password, _ = strings.Cut(password, ":")
		}
		to := url.URL{Scheme: "http", User: url.UserPassword(user, password), Host: i.address, Path: i.influx.Bucket}
		return bareK6("--out", "influxdb="+to.String())
	}, `SELECT sum("value") FROM "http_reqs"`},
	{"resilience", func(*influxBench) []string { return []string{"run", "plan.yaml", "--phase", "beta"} }, ""},
	{"resilience --influx", func(i *influxBench) []string {
		return []string{"run", "plan.yaml", "--phase", "beta", "--influx", "http://" + i.address}
	}, `SELECT sum("count") - sum("dropped") FROM "resilience_windows" WHERE "metric" = 'request'`},
}

func bareK6(more ...string) []string {
	return append([]string{"k6", "run", "--quiet", "--no-usage-report", "--summary-mode=disabled", "--no-thresholds", "bare.js"}, more...)
}

// spending is what one run came to.
type spending struct {
	cpu      time.Duration // of all its processes
	took     time.Duration
	requests int64 // that the target saw
	sent     int64 // bytes, to InfluxDB
	known    int64 // requests that InfluxDB knows of
}

func (s spending) perRequest() float64 { return float64(s.cpu.Microseconds()) / float64(s.requests) }

// run makes the traffic in one way; meanwhile is done beside it.
func (i *influxBench) run(w way, meanwhile func()) (s spending) {
	dir := i.TempDir()
	options := fmt.Sprintf(benchOptions, benchRate, i.seconds)
	for name, text := range map[string]string{
		"bare.js": fmt.Sprintf(benchScript, options), "get.js": fmt.Sprintf(benchScript, ""),
		"plan.yaml": fmt.Sprintf(benchPlan, i.target.URL, benchRate, i.seconds),
	} {
		require.NoError(i, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.Command("resilience", w.args(i)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TARGET_URL="+i.target.URL, "K6_AUTO_EXTENSION_RESOLUTION=false", "INFLUX_URL=",
		"INFLUX_TOKEN="+i.influx.Token, "INFLUX_ORG="+i.influx.Org, "INFLUX_BUCKET="+i.influx.Bucket)
	served, sent, known := i.served.Load(), i.relay.sent.Load(), i.known(w)
	said, err := os.Create(filepath.Join(dir, "said"))
	require.NoError(i, err)
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	began := time.Now()
	require.NoError(i, cmd.Start())
	meanwhile()
	err = cmd.Wait()
	took := time.Since(began)
	state := cmd.ProcessState                                  // with the processes that it waited for
	if err != nil && state.ExitCode() != gates.ExitGenerator { // a busy machine sends less, of which each request costs the same
		text, _ := os.ReadFile(said.Name())
		require.NoError(i, err, string(text))
	}
	return spending{state.UserTime() + state.SystemTime(), took, i.served.Load() - served, i.relay.sent.Load() - sent, i.known(w) - known}
}

// known asks InfluxDB how many requests it knows of.
func (i *influxBench) known(w way) int64 {
	if w.asked == "" {
		return 0
	}
	form := url.Values{"db": {i.influx.Bucket}, "q": {w.asked}}
	req, err := http.NewRequest(http.MethodGet, i.influx.URL+"/query?"+form.Encode(), http.NoBody)
	require.NoError(i, err)
	req.Header.Set("Authorization", "Token "+i.influx.Token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(i, err)
	defer resp.Body.Close()
	var got struct {
		Results []struct {
			Series []struct{ Values [][]float64 }
		}
	}
	var text json.RawMessage
	require.NoError(i, json.NewDecoder(resp.Body).Decode(&text))
	text = json.RawMessage(strings.ReplaceAll(string(text), `"1970-01-01T00:00:00Z"`, "0"))
	require.NoError(i, json.Unmarshal(text, &got), string(text))
	require.Len(i, got.Results, 1, string(text))
	if len(got.Results[0].Series) == 0 {
		return 0
	}
	return int64(got.Results[0].Series[0].Values[0][1])
}

func newInfluxBench(b *testing.B) *influxBench {
	i := &influxBench{B: b, influx: servers.StartInfluxDB(b), seconds: benchSeconds}
	i.relay = newRelay(b, i.influx.URL)
	i.address = i.relay.Addr().String()
	i.target = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.served.Add(1)
		_, _ = w.Write([]byte("hello"))
	}))
	b.Cleanup(i.target.Close)
	return i
}

// BenchmarkInflux compares a run that is written to InfluxDB to k6's own output,
// at the same rate and to the same server: the processor time that each request
// costs more than with k6 alone, and the bytes that InfluxDB is sent. It takes
// minutes.
func BenchmarkInflux(b *testing.B) {
	i := newInfluxBench(b)
	for b.Loop() {
		i.compareCost()
	}
}

// BenchmarkInfluxRestart compares how many requests InfluxDB knows of that was
// killed and started again meanwhile.
func BenchmarkInfluxRestart(b *testing.B) {
	i := newInfluxBench(b)
	for b.Loop() {
		i.compareRestart()
	}
}

// compareCost runs all ways in turns, so that what else the machine does hits
// them alike, and takes the median.
func (i *influxBench) compareCost() {
	costs := make([][]spending, len(ways))
	for range benchRounds {
		for n, w := range ways {
			costs[n] = append(costs[n], i.run(w, func() {}))
		}
	}
	fmt.Printf("\nInfluxDB %d, %d requests/s for %d s\n%-20s %12s %8s %16s %12s\n", i.influx.Version, benchRate, benchSeconds, "", "us/request", "added", "bytes/request", "known")
	added, sent := make([]float64, len(ways)), make([]float64, len(ways))
	for n, w := range ways {
		var each, more, bytes, known []float64
		for round, s := range costs[n] {
			each, more = append(each, s.perRequest()), append(more, s.perRequest()-costs[0][round].perRequest())
			bytes, known = append(bytes, float64(s.sent)/float64(s.requests)), append(known, float64(s.known)/float64(s.requests))
		}
		added[n], sent[n] = middle(more), middle(bytes)
		fmt.Printf("%-20s %12.1f %8.1f %16.2f %11.1f%%\n", w.name, middle(each), added[n], sent[n], 100*middle(known))
	}
	i.ReportMetric(added[3]/added[1], "cpu-added-ratio")
	i.ReportMetric((added[3]-added[2])/added[1], "cpu-streaming-ratio")
	i.ReportMetric(sent[1]/sent[3], "times-fewer-bytes")
}

// compareRestart kills InfluxDB in the middle of the traffic and starts it again.
func (i *influxBench) compareRestart() {
	fmt.Printf("\nInfluxDB %d is killed and started again meanwhile\n%-20s %12s %12s\n", i.influx.Version, "", "requests", "known")
	for _, n := range []int{1, 3} {
		s := i.run(ways[n], func() {
			for before := i.served.Load(); i.served.Load() == before; {
				<-time.After(10 * time.Millisecond)
			}
			<-time.After(time.Duration(i.seconds) * time.Second / 2) // of the traffic
			i.influx.Kill()
			<-time.After(time.Second)
			i.influx.Start()
		})
		fmt.Printf("%-20s %12d %12d\n", ways[n].name, s.requests, s.known)
		if n == 3 {
			i.ReportMetric(float64(s.requests-s.known), "requests-missing")
		}
	}
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

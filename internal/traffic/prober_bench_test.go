package traffic

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// ordering asks for another order each time: k6 keeps apart what has another URL.
const ordering = `
import http from 'k6/http';
import { transaction } from 'k6/x/resilience';
export const options = { iterations: 1 };
export default function () {
  transaction('order', (tx) => {
    const r = http.post(__ENV.TARGET_URL + '/orders/' + Math.floor(Math.random() * 1e12), '{"item":"tea"}');
    tx.completed(r.json('item') === 'tea');
  });
}
`

// many is a stream for a canary of a thousand tenants.
func many(b *testing.B) plan.Stream {
	server := serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"item":"tea"}`)) })
	s := canaryTo(b, server.URL, ordering)
	s.Tenants = nil
	for i := range 1000 {
		name := fmt.Sprintf("tenant-%d", i)
		s.Tenants = append(s.Tenants, plan.Identity{
			Name: name, Class: "gold", Cell: fmt.Sprintf("cell-%d", i%10), Region: "eu", Prefix: "synthetic-", Token: "token-of-" + name,
			Marks:   map[string]string{"X-Synthetic-Tenant": name, "Baggage": "synthetic=true"},
			Headers: map[string]string{"Authorization": "Bearer token-of-" + name},
		})
	}
	return s
}

// order is a probe as one of many.
func (c *canaried) order() {
	c.ask(measure.Probe{Transaction: "order", Exec: "default", Tenant: fmt.Sprintf("tenant-%d", c.seq%1000)})
}

// ordered takes so many answers, and sees that all went well.
func (c *canaried) ordered(n int) {
	for range n {
		probed := c.answer()
		require.Equal(c.t, measure.Accepted|measure.Completed, probed.Attempt.Found, probed.Attempt.Message)
	}
}

const checksPerMinute = 500

// BenchmarkProber compares a canary of 1,000 tenants and 20 VUs, at 500 checks a
// minute, to one k6 process for each check: processor time for each, and the most
// memory that the canary's k6 ever had.
func BenchmarkProber(b *testing.B) {
	const checks, processes = 125, 5
	for b.Loop() {
		s := many(b)
		c := canary(b, s, 20, "default")
		c.order()
		c.ordered(1)
		pid := only(b)
		before := cpuOf(b, pid)
		tick := time.NewTicker(time.Minute / checksPerMinute)
		for range checks {
			<-tick.C
			c.order()
		}
		tick.Stop()
		c.ordered(checks)
		each := (cpuOf(b, pid) - before) / checks
		memory := statusOf(b, pid, "VmHWM")
		c.ended()
		var alone time.Duration
		for range processes {
			state := bareK6()(b, s, 1).ProcessState
			alone += (state.UserTime() + state.SystemTime()) / processes
		}
		b.ReportMetric(float64(each.Microseconds())/1000, "ms/check")
		b.ReportMetric(float64(alone.Microseconds())/1000, "ms/process")
		b.ReportMetric(float64(alone)/float64(each), "cpu-ratio")
		b.ReportMetric(mib(memory), "MiB-resident")
	}
}

// BenchmarkProberMemory sends 100,000 probes as fast as 20 VUs can, and reports
// what memory k6 had when 20,000 of them were answered, and in the end.
func BenchmarkProberMemory(b *testing.B) {
	const first, all = 20_000, 100_000
	for b.Loop() {
		c := tuned(b, many(b), 20, func(p *Prober) { p.emit = func(measure.Batch) error { return nil } }, "default")
		sent := 0
		send := func(until int) {
			for asked := sent; sent < until; {
				if asked < until {
					c.order()
					asked++
				}
				if asked-sent >= 100 || asked == until {
					c.ordered(1)
					sent++
				}
			}
		}
		send(first)
		pid := only(b)
		few := statusOf(b, pid, "VmRSS")
		send(all)
		many := statusOf(b, pid, "VmRSS")
		c.ended()
		b.ReportMetric(mib(few), "MiB-at-20000")
		b.ReportMetric(mib(many), "MiB-at-100000")
		b.ReportMetric(mib(many-few), "MiB-growth")
	}
}

// cpuOf is the processor time that a process has used (proc(5), fields 14 and 15 of
// stat), in ticks of 10 ms.
func cpuOf(b *testing.B, pid int) time.Duration {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	require.NoError(b, err, "wants Linux")
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		require.NoError(b, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// statusOf is a size in a process's status, in bytes.
func statusOf(b *testing.B, pid int, name string) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	require.NoError(b, err, "wants Linux")
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			n, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			require.NoError(b, err)
			return n << 10
		}
	}
	b.Fatalf("no %s of process %d", name, pid)
	return 0
}

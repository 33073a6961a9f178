package traffic

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What counts as evidence against the generator itself.
const (
	lagLimit   = 50 * time.Millisecond // a start later than this, with a free worker, is late
	lagShare   = 0.01                  // of the arrivals of lagSpan that may be late
	lagLeast   = 3                     // late arrivals in lagSpan before anything is said
	lagSpan    = 10 * time.Second
	cpuShare   = 0.9 // of the cores we may use
	stealShare = 0.1 // of the machine's time that its host gave to others
	cpuSpan    = 5 * time.Second
)

// lagWatch looks for arrivals that started late although nothing of the target
// held them up.
type lagWatch struct {
	span     time.Duration // the number of the span that is counted
	arrivals int
	late     int
	worst    time.Duration
}

// see counts an arrival that is due after at and started lag later. When that
// begins another span, it gives the evidence of the one before, if any.
func (w *lagWatch) see(at, lag time.Duration, delayed bool) (evidence string) {
	if span := at / lagSpan; span > w.span {
		evidence = w.finish()
		w.span = span
	}
	w.arrivals++
	if !delayed && lag > lagLimit {
		w.late++
		w.worst = max(w.worst, lag)
	}
	return evidence
}

// finish judges what was counted and begins anew.
func (w *lagWatch) finish() (evidence string) {
	if w.late >= lagLeast && float64(w.late) > lagShare*float64(w.arrivals) {
		evidence = fmt.Sprintf("%d of %d arrivals in %s started more than %s late although connections were free; the worst was %s late",
			w.late, w.arrivals, lagSpan, lagLimit, w.worst.Round(time.Millisecond))
	}
	*w = lagWatch{span: w.span}
	return evidence
}

// cpuTimes are what the machine and this process had used up at a moment.
type cpuTimes struct {
	at           time.Time
	own          time.Duration
	total, steal float64 // of the machine, in ticks; zero where it does not tell
}

func readCPU() cpuTimes {
	c := cpuTimes{at: time.Now()}
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		c.own = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	if file, err := os.Open("/proc/stat"); err == nil {
		defer file.Close()
		first, _ := bufio.NewReader(file).ReadString('\n')
		c.total, c.steal = machineTicks(first)
	}
	return c
}

// machineTicks reads the first line of /proc/stat: cpu, user, nice, system,
// idle, iowait, irq, softirq, steal (proc_stat(5)).
func machineTicks(line string) (total, steal float64) {
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0
	}
	for i, field := range fields[1:9] {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, 0
		}
		total += ticks
		if i == 7 {
			steal = ticks
		}
	}
	return total, steal
}

// cpuWatch looks for a processor that was too busy for too long.
type cpuWatch struct {
	last        cpuTimes
	busy, stole time.Duration // how long without a break
}

// see compares with the time before and gives evidence once a span was full.
func (w *cpuWatch) see(now cpuTimes) (evidence string) {
	wall := now.at.Sub(w.last.at)
	share := float64(now.own-w.last.own) / (float64(wall) * float64(runtime.GOMAXPROCS(0)))
	stolen := 0.0
	if total := now.total - w.last.total; total > 0 {
		stolen = (now.steal - w.last.steal) / total
	}
	w.last = now
	if tally(&w.busy, wall, share > cpuShare) {
		return fmt.Sprintf("this process used %.0f %% of its %d cores for %s", 100*share, runtime.GOMAXPROCS(0), cpuSpan)
	}
	if tally(&w.stole, wall, stolen > stealShare) {
		return fmt.Sprintf("the machine's host kept %.0f %% of its time for others for %s", 100*stolen, cpuSpan)
	}
	return ""
}

// tally adds up time while a condition holds and tells when it is a span.
func tally(sum *time.Duration, wall time.Duration, holds bool) bool {
	if !holds {
		*sum = 0
		return false
	}
	*sum += wall
	if *sum < cpuSpan {
		return false
	}
	*sum = 0
	return true
}

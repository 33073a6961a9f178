package xk6resilience

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.k6.io/k6/v2/metrics"
	"go.k6.io/k6/v2/output"
)

// flushEvery is how often windows are handed on.
const flushEvery = time.Second

// atATime is how many samples are aggregated before VUs get their turn at the
// lock.
const atATime = 64

// Output aggregates k6's samples and hands the windows on. It implements k6's
// output interfaces.
//
// It also tunes the garbage collector: see headroom. Measured with small requests
// and ten VUs on two cores, k6 with this output uses 8 % more processor time for
// each request than without when it does not, and 2 % more when it does.
type Output struct {
	session *session
	sink    sink
	stopRun func(error)
	done    chan struct{}
	ended   sync.WaitGroup
	unused  []byte // of headroom's size
}

// headroom is how many bytes later than otherwise the garbage collector runs.
// It collects when the heap has doubled, so k6's small heap (about 5 MB for ten
// VUs) is collected some fifty times a second under load, for about a seventh of
// its processor time. A block that is held and never touched counts as heap and
// takes no memory itself. Unlike a higher GOGC it is bounded: a script with a
// large heap is collected as before, for no more than this much memory.
const headroom = 4 << 20

// frugal is by how much the heap of a canary's k6 may grow before it is collected,
// in percent: it sends little and stays for long, so it spends processor time on
// having less memory.
const frugal = 40

// sink takes batches to where they go. Send never blocks; Close waits until
// everything has been written, or is known to be lost.
type sink interface {
	start(o *Output) error
	send(o *Output)
	close(o *Output, testErr error) error
	describe() string
}

// newOutput makes the output for `--out resilience=ARGUMENT`: fd:N is an
// inherited socket to the harness, influx is InfluxDB, anything else the name of
// a file.
func newOutput(s *session, p output.Params) (o *Output, err error) {
	o = &Output{session: s, done: make(chan struct{})}
	fd, isLink := strings.CutPrefix(p.ConfigArgument, "fd:")
	switch {
	case p.ConfigArgument == "":
		return nil, errors.New(`the output needs a file to write windows to, or influx: --out resilience=windows.jsonl`)
	case p.ConfigArgument == "influx":
		o.sink, err = newInfluxSink(p)
		return o, err
	case !isLink:
		o.sink = &fileSink{path: p.ConfigArgument}
		return o, nil
	}
	n, err := strconv.ParseUint(fd, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("output resilience=%s: want fd:NUMBER: %w", p.ConfigArgument, err)
	}
	file := os.NewFile(uintptr(n), "harness")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("output resilience=%s: %w", p.ConfigArgument, err)
	}
	o.sink = &link{conn: conn, gone: func() { os.Exit(1) }}
	return o, nil
}

// Description implements [output.Output].
func (o *Output) Description() string { return "resilience (" + o.sink.describe() + ")" }

// SetTestRunStopCallback implements [output.WithTestRunStop].
func (o *Output) SetTestRunStopCallback(stop func(error)) { o.stopRun = stop }

// Start implements [output.Output].
func (o *Output) Start() error {
	if err := o.sink.start(o); err != nil {
		return err
	}
	if o.session.grown.Load() == nil {
		o.unused = make([]byte, headroom)
	} else {
		debug.SetGCPercent(frugal)
	}
	o.session.attached.Store(true)
	o.ended.Go(o.flush)
	return nil
}

// AddMetricSamples implements [output.Output]. It aggregates at once: that
// takes about a microsecond for a request, and nothing piles up.
func (o *Output) AddMetricSamples(samples []metrics.SampleContainer) {
	for few := range slices.Chunk(samples, atATime) {
		o.session.keep(func() { o.session.samples.add(few) })
	}
}

// flush hands on what was measured once a second, and watches whether this
// process has the CPU it needs.
func (o *Output) flush() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	watch, second := newWatch(), load{}
	for {
		select {
		case <-o.done:
			return
		case due := <-ticker.C:
			now := time.Now()
			stretch := watch.look(now, due)
			second = second.and(stretch)
			o.session.watch(now, stretch)
			if second.elapsed >= flushEvery-watchEvery/2 {
				o.session.second(second)
				second = load{}
				o.sink.send(o)
			}
		}
	}
}

// Stop implements [output.Output].
func (o *Output) Stop() error { return o.StopWithTestError(nil) }

// StopWithTestError implements [output.WithStopWithTestError].
func (o *Output) StopWithTestError(testErr error) error {
	close(o.done)
	o.ended.Wait()
	o.session.finish(time.Now())
	return o.sink.close(o, testErr)
}

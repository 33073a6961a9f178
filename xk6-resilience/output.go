package xk6resilience

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
type Output struct {
	session *session
	sink    sink
	stopRun func(error)
	done    chan struct{}
	ended   sync.WaitGroup
	ballast []byte
}

// ballastSize is memory that is asked for and never touched, so that it costs
// address space alone. It makes k6's heap, which is small, look larger to the
// garbage collector, which then runs a few times less often: that saves more
// processor time than all our counting takes.
const ballastSize = 24 << 20

// sink takes batches to where they go. Send never blocks; Close waits until
// everything has been written, or is known to be lost.
type sink interface {
	start(o *Output) error
	send(o *Output)
	close(o *Output, testErr error) error
	describe() string
}

// newOutput makes the output for `--out resilience=ARGUMENT`: fd:N is an
// inherited socket to the harness, anything else the name of a file.
func newOutput(s *session, p output.Params) (*Output, error) {
	o := &Output{session: s, done: make(chan struct{})}
	fd, isLink := strings.CutPrefix(p.ConfigArgument, "fd:")
	switch {
	case p.ConfigArgument == "":
		return nil, errors.New(`the output needs a file to write windows to: --out resilience=windows.jsonl`)
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
	o.ballast = make([]byte, ballastSize)
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

// flush hands on what was measured once a second, and watches how late this
// process is woken for it.
func (o *Output) flush() {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-o.done:
			return
		case due := <-ticker.C:
			now := time.Now()
			o.session.mu.Lock()
			o.session.blame.second(o.session, now.Sub(last)-flushEvery, now.Sub(last), cpuTime())
			o.session.mu.Unlock()
			last = due
			o.sink.send(o)
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

// cpuTime is what this process has used so far, in user and system mode.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

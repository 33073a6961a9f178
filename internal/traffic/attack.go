package traffic

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"resilience/internal/measure"
)

// stopBound is how long requests under way may take after an interrupt.
const stopBound = time.Second

// flushEvery is how often what was measured is handed on.
const flushEvery = time.Second

// attack is one run of a Requests.
type attack struct {
	*Requests
	attacker *vegeta.Attacker
	tracer   *tracer
	recorder *recorder
	table    table
	began    time.Time
	arrivals *arrivals
	sending  context.Context // ends when nothing more may start
	halt     context.CancelFunc
	flight   context.Context // ends when what is under way is given up
	cut      context.CancelFunc
	cutAt    atomic.Int64 // when that was, in nanoseconds after the beginning

	lagMu sync.Mutex
	lag   lagWatch
	own   atomic.Uint64 // attempts that our machine could not send
	asked float64
}

func newAttack(r *Requests, client *http.Client) *attack {
	a := &attack{Requests: r, recorder: newRecorder(r.stream), table: table{attempts: map[string]*attempt{}}, asked: -1}
	a.sending, a.halt = context.WithCancel(context.Background())
	a.flight, a.cut = context.WithCancel(context.Background())
	a.tracer = &tracer{next: client.Transport, table: &a.table, cut: a.flight}
	traced := *client
	traced.Transport, traced.CheckRedirect = a.tracer, a.tracer.redirect
	a.attacker = vegeta.NewAttacker(vegeta.Client(&traced), vegeta.MaxBody(r.mix.maxBody()), vegeta.MaxWorkers(uint64(r.workers)))
	return a
}

// run sends, waits for the end and accounts for everything that was asked.
func (a *attack) run(ctx context.Context, emit func(measure.Batch) error) error {
	defer a.cut()
	defer a.halt()
	if err := a.begin(); err != nil {
		return err
	}
	if err := emit(a.recorder.flush()); err != nil { // disruptions wait to hear that it began
		return err
	}
	results := a.attacker.Attack(a.target, a.arrivals, 0, "")
	var settlers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		settlers.Go(func() {
			for result := range results {
				a.settle(result)
			}
		})
	}
	settled := make(chan struct{})
	go func() { settlers.Wait(); close(settled) }()

	end, reason, err := a.watch(ctx, settled, emit)
	a.finish(end, reason)
	return errors.Join(err, emit(a.recorder.flush()))
}

// begin fixes the moment from which everything counts.
func (a *attack) begin() error {
	a.began = time.Now()
	a.recorder.event(a.began, measure.EventTest, "", map[string]string{
		"kind": a.kind, "warmup": time.Duration(a.profile.Warmup).String(), "engine": "vegeta",
	})
	a.tellAsked(a.began)
	schedule, err := newSchedule(a.curve, a.profile.Arrival, a.stream.Seed^int64(a.stream.First)) //nolint:gosec // any bits do
	a.arrivals = &arrivals{sending: a.sending, began: a.began, schedule: schedule, workers: a.workers}
	return err
}

// watch hands on what is measured until everything has settled. It gives the
// moment up to which arrivals were asked for, and why that was early. Arrivals
// that wait for a worker at the planned end may still start within the grace.
func (a *attack) watch(ctx context.Context, settled <-chan struct{}, emit func(measure.Batch) error) (end time.Time, reason string, failed error) {
	end = a.began.Add(a.profile.Length())
	over := time.After(time.Until(end))
	grace := time.After(time.Until(end) + time.Duration(a.profile.Grace))
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	cpu := cpuWatch{last: readCPU()}
	interrupted := ctx.Done()
	var bound <-chan time.Time
	stop := func(why string) {
		if now := time.Now(); now.Before(end) {
			end, reason = now, why
		}
		a.stopSending()
		interrupted, over = nil, nil
		bound = time.After(stopBound)
	}
	for settled != nil || over != nil {
		select {
		case <-settled:
			settled = nil
		case <-over:
			over = nil
		case <-interrupted:
			stop("interrupted")
		case <-grace:
			a.stopSending()
			a.giveUp()
		case <-bound:
			a.giveUp()
		case now := <-ticker.C:
			a.recorder.blame("cpu", cpu.see(readCPU()))
			if now.Before(end) {
				a.tellAsked(now)
			}
			if failed == nil {
				if failed = emit(a.recorder.flush()); failed != nil {
					stop("nobody took what was measured: " + failed.Error())
				}
			}
		}
	}
	return end, reason, failed
}

func (a *attack) stopSending() {
	a.halt()
	a.attacker.Stop()
}

func (a *attack) giveUp() {
	a.cutAt.CompareAndSwap(0, int64(time.Since(a.began)))
	a.cut()
}

// tellAsked records the rate asked for from now on, when it changed.
func (a *attack) tellAsked(now time.Time) {
	asked := a.curve.at(now.Sub(a.began).Seconds())
	if math.Abs(asked-a.asked) <= 1e-9*a.asked {
		return
	}
	a.asked = asked
	a.recorder.event(now, measure.EventAsked, "", map[string]string{"rate": strconv.FormatFloat(asked, 'g', 6, 64)})
}

// target is vegeta's Targeter: a worker calls it when it starts an attempt.
func (a *attack) target(t *vegeta.Target) error {
	due, ok := a.arrivals.take()
	if !ok {
		return errors.New("a worker without an arrival") // would be our mistake; vegeta stops
	}
	a.lagMu.Lock()
	evidence := a.lag.see(due.at, time.Since(a.began)-due.at, due.delayed)
	a.lagMu.Unlock()
	a.recorder.blame("lag", evidence)

	number := a.stream.First + due.seq
	try := &attempt{arrival: due, route: a.mix.pick(number), deadline: time.Now().Add(a.timeout)}
	var row map[string]string
	if a.feeder != nil {
		row = a.feeder.Row(number)
	}
	fragment := strconv.FormatUint(due.seq, 10)
	try.route.fill(t, row, fragment)
	try.trace = traceID(t.Header)
	a.table.put(fragment, try)
	return nil
}

// finish accounts for what never started, and ends the test.
func (a *attack) finish(end time.Time, reason string) {
	for _, at := range a.arrivals.missed(end.Sub(a.began)) {
		when := a.began.Add(at).UnixNano()
		a.recorder.add(measure.MetricIteration, "", "", when, 0, measure.Dropped)
		a.recorder.example(measure.Example{
			At: when, Kind: "dropped", Message: fmt.Sprintf("could not start: all %d connections (max_vus) were waiting on the target", a.workers),
		}, func() string { return "" })
	}
	a.lagMu.Lock()
	evidence := a.lag.finish()
	a.lagMu.Unlock()
	a.recorder.blame("lag", evidence)
	if n := a.own.Load(); n > 0 {
		a.recorder.blame("files", fmt.Sprintf("%d requests could not be sent: this machine ran out of file descriptors, ports or memory", n))
	}
	if n := a.tracer.resent.Load(); n > 0 {
		a.recorder.event(end, measure.EventWarning, "resent", map[string]string{"detail": measure.Resent(n)})
	}
	a.recorder.event(end, measure.EventTestEnd, "", map[string]string{"complete": strconv.FormatBool(reason == ""), "reason": reason})
}

package xk6resilience

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const (
	queueLength = 32              // batches, so seconds, that the harness may be behind
	farewell    = 5 * time.Second // for the last batches
)

// link is the conversation with the harness over an inherited socket. A full
// queue drops batches and counts what they held; k6 is never held up.
type link struct {
	conn  net.Conn
	gone  func() // ends the process when the harness does not exist any more
	queue chan measure.Batch
	lost  atomic.Uint64
	wrote sync.WaitGroup

	mu  sync.Mutex
	err error
}

func (l *link) describe() string { return "harness" }

// start says hello and waits for the settings, which come before any VU runs.
func (l *link) start(o *Output) error {
	if _, err := measure.ReadHello(l.conn); err != nil {
		return fmt.Errorf("harness: %w", err)
	}
	settings, err := l.settings()
	if err != nil {
		return err
	}
	o.session.apply(settings)
	if err := measure.WriteFrame(l.conn, measure.FrameHello, measure.Hello{Version: measure.WireVersion, Source: settings.Source}); err != nil {
		return fmt.Errorf("harness: %w", err)
	}
	l.queue = make(chan measure.Batch, queueLength)
	l.wrote.Go(l.write)
	l.wrote.Go(func() {
		if err := o.session.desk.deliver(l.conn); err != nil {
			l.fail(err)
		}
	})
	go l.listen(o)
	return nil
}

func (l *link) settings() (plan.Settings, error) {
	var settings plan.Settings
	frame, err := measure.ReadFrame(l.conn)
	if err != nil {
		return settings, fmt.Errorf("harness: %w", err)
	}
	if frame.Kind != measure.FrameSettings {
		return settings, fmt.Errorf("harness: want settings, got a frame of kind %d", frame.Kind)
	}
	return settings, frame.Decode(&settings)
}

// listen obeys the harness until it hangs up. Without a harness nobody would
// stop this load, so the process ends.
func (l *link) listen(o *Output) {
	for {
		frame, err := measure.ReadFrame(l.conn)
		if err != nil {
			l.hungUp(o, err)
			return
		}
		switch frame.Kind {
		case measure.FrameStop:
			var stop measure.Stop
			_ = frame.Decode(&stop) // a stop without a reason is a stop
			o.stopRun(errors.New(stop.Reason))
		case measure.FrameProbe:
			var probe measure.Probe
			if frame.Decode(&probe) == nil {
				o.session.desk.hand(probe)
			}
		case measure.FrameSettings:
			var settings plan.Settings
			if frame.Decode(&settings) == nil {
				o.session.apply(settings)
			}
		}
	}
}

func (l *link) hungUp(o *Output, err error) {
	select {
	case <-o.done: // we hung up ourselves
		return
	default:
	}
	o.stopRun(fmt.Errorf("the harness is gone: %w", err))
	time.AfterFunc(farewell, l.gone)
}

func (l *link) send(o *Output) {
	batch := o.session.takeOver()
	if len(batch.Windows)+len(batch.Events)+len(batch.Examples) == 0 {
		return
	}
	select {
	case l.queue <- batch:
	default:
		l.lose(batch)
		o.session.putBack(batch)
	}
}

func (l *link) lose(batch measure.Batch) {
	for _, w := range batch.Windows {
		l.lost.Add(w.Count)
	}
}

// write hands batches over. After a failure the other side does not know where
// a frame begins any more, so nothing else is written.
func (l *link) write() {
	for batch := range l.queue {
		if l.failed() != nil {
			l.lose(batch)
			continue
		}
		if err := measure.WriteBatch(l.conn, batch); err != nil {
			l.fail(err)
			l.lose(batch)
		}
	}
}

func (l *link) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf("harness: %w", err)
	}
}

// close hands over the rest and says how the test ended.
func (l *link) close(o *Output, testErr error) error {
	_ = l.conn.SetWriteDeadline(time.Now().Add(farewell)) // a socket has deadlines
	select {
	case l.queue <- o.session.take():
	case <-time.After(farewell):
		l.fail(errors.New("the harness does not read"))
	}
	close(l.queue)
	o.session.desk.close()
	l.wrote.Wait()
	end := measure.End{Complete: testErr == nil, Lost: l.lost.Load()}
	if testErr != nil {
		end.Reason = o.session.around.Load().said(testErr.Error())
	}
	if l.failed() == nil {
		if err := measure.WriteFrame(l.conn, measure.FrameEnd, end); err != nil {
			l.fail(err)
		}
	}
	return errors.Join(l.failed(), l.conn.Close())
}

package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// conversation is the harness's side of the frames exchanged with a k6
// process.
type conversation struct {
	conn        net.Conn
	settings    plan.Settings
	emit        func(measure.Batch) error
	credentials *Authorizer
	hear        func(measure.Frame) error // of kinds that are only for canaries; may be nil
	greeted     atomic.Bool               // the child has begun

	mu     sync.Mutex // writes
	began  int64      // when the test began to send, Unix nanoseconds; 0 when it did not
	end    measure.End
	ended  bool
	failed error // the first failure to hand on a batch
}

// run greets the child, sends the settings and hands on what it measures until
// it hangs up.
func (c *conversation) run(ctx context.Context) error {
	if err := c.greet(); err != nil {
		return err
	}
	c.greeted.Store(true)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go c.refresh(ctx)
	for {
		frame, err := measure.ReadFrame(c.conn)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("k6: %w", err)
		}
		if err := c.take(frame); err != nil {
			return fmt.Errorf("k6: %w", err)
		}
	}
}

func (c *conversation) greet() error {
	if err := c.write(measure.FrameHello, measure.Hello{Version: measure.WireVersion, Source: "harness"}); err != nil {
		return err
	}
	if err := c.write(measure.FrameSettings, c.settings); err != nil {
		return err
	}
	if _, err := measure.ReadHello(c.conn); err != nil {
		return fmt.Errorf("k6 did not begin: %w", err)
	}
	return nil
}

func (c *conversation) take(frame measure.Frame) error {
	switch frame.Kind {
	case measure.FrameBatch:
		var batch measure.Batch
		if err := frame.Decode(&batch); err != nil {
			return err
		}
		for _, e := range batch.Events {
			if e.Kind == measure.EventTest {
				c.began = e.At
			}
		}
		if err := c.emit(batch); err != nil && c.failed == nil {
			c.failed = err
			c.stop("what was measured can not be kept")
		}
	case measure.FrameEnd:
		c.ended = true
		return frame.Decode(&c.end)
	case measure.FrameFree, measure.FrameProbed:
		if c.hear != nil {
			return c.hear(frame)
		}
	}
	return nil
}

// stoppedSending is when a test that ran to its end sent its last request: where
// the plan says how long it sends, what comes after that is only waiting for
// answers.
func (c *conversation) stoppedSending(now int64) int64 {
	_, profile := c.settings.Stream.Test.Kind()
	if c.began == 0 || !profile.Shaped() {
		return now
	}
	return min(now, c.began+profile.Length().Nanoseconds())
}

// refresh sends the headers again when the credentials have been renewed.
func (c *conversation) refresh(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		headers, err := c.credentials.Headers(ctx)
		headers = merged(c.settings.Stream.Target.Headers, headers)
		if err != nil || maps.Equal(headers, c.settings.Headers) {
			continue // requests without good credentials will tell
		}
		c.settings.Headers = headers
		if c.write(measure.FrameSettings, c.settings) != nil {
			return
		}
	}
}

func (c *conversation) stop(reason string) {
	_ = c.write(measure.FrameStop, measure.Stop{Reason: reason}) // a child that is gone needs no telling
}

func (c *conversation) write(kind measure.FrameKind, payload any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(stopGrace)) // a child that hangs must not hold us up
	return measure.WriteFrame(c.conn, kind, payload)
}

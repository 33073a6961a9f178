package xk6resilience

import (
	"context"
	"io"
	"sync"

	"resilience/internal/measure"
)

// desk is where probes from the harness wait for a VU, and what became of them
// for the way back. It never holds a VU up: answers are few, one for each probe
// that the harness sent, and it sends only as many as there are free VUs.
type desk struct {
	probes chan measure.Probe

	mu   sync.Mutex
	out  []note
	over bool
	wake chan struct{}
}

// note is a frame on its way to the harness.
type note struct {
	kind    measure.FrameKind
	payload any
}

// maxWaiting is how many probes may wait for a VU: k6 has no more VUs that said
// they were free.
const maxWaiting = 4096

func newDesk() *desk {
	return &desk{probes: make(chan measure.Probe, maxWaiting), wake: make(chan struct{}, 1)}
}

// hand gives a probe to a VU that is free.
func (d *desk) hand(probe measure.Probe) {
	select {
	case d.probes <- probe:
	default:
		d.lose(probe, "k6 was sent more probes than it has VUs")
	}
}

// next waits for a probe, for a VU; there is none when the context ends first.
func (d *desk) next(ctx context.Context) (probe measure.Probe, ok bool) {
	d.post(measure.FrameFree, measure.Free{VUs: 1})
	select {
	case probe = <-d.probes:
		return probe, true
	case <-ctx.Done():
		return probe, false
	}
}

// lose answers a probe of which nobody knows what became of it.
func (d *desk) lose(probe measure.Probe, why string) {
	d.post(measure.FrameProbed, measure.Probed{Seq: probe.Seq, Lost: why})
}

// post puts a frame on its way.
func (d *desk) post(kind measure.FrameKind, payload any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	d.out = append(d.out, note{kind, payload})
	d.stir()
}

func (d *desk) stir() {
	select {
	case d.wake <- struct{}{}:
	default: // it is awake
	}
}

// close lets what is on its way leave, and nothing after that.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.stir()
}

// deliver writes frames until the desk is closed, or can not be written.
func (d *desk) deliver(w io.Writer) error {
	for range d.wake {
		d.mu.Lock()
		out, over := d.out, d.over
		d.out = nil
		d.mu.Unlock()
		for _, n := range out {
			if err := measure.WriteFrame(w, n.kind, n.payload); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
	}
	return nil
}

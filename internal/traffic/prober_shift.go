package traffic

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"resilience/internal/measure"
)

// shift is one k6 process of a [Prober], from its start to its end.
type shift struct {
	child    *child
	talk     *conversation
	done     func(measure.Probed)
	patience time.Duration
	exit     error  // of the process
	said     error  // of the conversation
	hung     error  // why it was ended
	over     bool   // no probe is taken any more
	wrong    string // why the plan and the script do not fit

	changed chan struct{} // a VU came free, or a probe was answered

	mu         sync.Mutex
	free       int              // VUs that wait for a probe
	under      map[uint64]taken // probes under way, by number
	quietSince time.Time        // since when nothing was heard of probes
}

// taken is a probe under way.
type taken struct {
	probe measure.Probe
	at    time.Time
}

// When a process counts as hung.
const (
	answerGrace = 10 * time.Second // after the time of a probe was over
	freeGrace   = 2 * time.Minute  // without any VU that came free, from its start too
)

// errHung is why a process is ended that goes on and does nothing.
var errHung = errors.New("k6 hung")

// work hands over what is due until the process ends or, when the context ends or
// nothing is due any more, until that has come to its end. Nothing of its process
// group is left afterwards. It says whether it was the latter.
func (s *shift) work(ctx context.Context, exited chan error, due <-chan measure.Probe, grace time.Duration) (over bool) {
	talking := make(chan error, 1)
	life, stop := context.WithCancel(context.WithoutCancel(ctx)) // credentials are renewed to the end
	defer stop()
	go func() { talking <- s.talk.run(life) }()
	ended := s.serve(ctx, exited, due)
	if !ended {
		s.over = true
		if ended = s.settle(exited, grace); !ended {
			s.talk.stop("the canary was stopped")
			s.exit = s.child.await(exited)
		}
	}
	s.child.kill() // what the script's process left in its group
	s.said = s.child.drain(talking)
	s.wrong, _ = s.child.log.planError()
	return s.over
}

// serve takes what is due; ended says that the process did.
func (s *shift) serve(ctx context.Context, exited chan error, due <-chan measure.Probe) (ended bool) {
	watch := time.NewTicker(time.Second)
	defer watch.Stop()
	for {
		var from <-chan measure.Probe
		if s.isFree() {
			from = due
		}
		select {
		case <-ctx.Done():
			return false
		case s.exit = <-exited:
			return true
		case now := <-watch.C:
			if why := s.check(now); why != nil {
				s.end(why)
			}
		case <-s.changed:
		case probe, open := <-from:
			if !open {
				return false
			}
			s.take(probe)
		}
	}
}

// settle waits until nothing is under way, for as long as the grace at most.
func (s *shift) settle(exited chan error, grace time.Duration) (ended bool) {
	patience := time.NewTimer(grace)
	defer patience.Stop()
	for s.busy() {
		select {
		case <-s.changed:
		case <-patience.C:
			return false
		case s.exit = <-exited:
			return true
		}
	}
	return false
}

func (s *shift) isFree() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free > 0
}

func (s *shift) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.under) > 0
}

// take hands a probe to a VU that is free. When it can not be written the process
// is of no use any more.
func (s *shift) take(probe measure.Probe) {
	s.mu.Lock()
	s.free--
	s.under[probe.Seq] = taken{probe, time.Now()}
	s.mu.Unlock()
	if err := s.talk.write(measure.FrameProbe, probe); err != nil {
		s.end(err)
	}
}

// end kills the process.
func (s *shift) end(why error) {
	if s.hung == nil {
		s.hung = why
	}
	s.child.kill()
}

// check says whether the process hangs: one that was stopped by a signal, say.
func (s *shift) check(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.under {
		if now.Sub(t.at) > t.probe.Timeout+s.patience {
			return fmt.Errorf("%w: it did not say what became of a probe within %s after its time was over", errHung, s.patience)
		}
	}
	if s.free == 0 && len(s.under) == 0 && now.Sub(s.quietSince) > freeGrace {
		return fmt.Errorf("%w: none of its VUs came free for %s", errHung, freeGrace)
	}
	return nil
}

// hear takes what the process says of probes.
func (s *shift) hear(frame measure.Frame) error {
	switch frame.Kind {
	case measure.FrameFree:
		var free measure.Free
		if err := frame.Decode(&free); err != nil {
			return err
		}
		s.mu.Lock()
		s.free += free.VUs
		s.quietSince = time.Now()
		s.mu.Unlock()
	case measure.FrameProbed:
		var probed measure.Probed
		if err := frame.Decode(&probed); err != nil {
			return err
		}
		s.answer(probed)
	}
	select {
	case s.changed <- struct{}{}:
	default: // it will look anyway
	}
	return nil
}

// answer hands on what became of a probe that was under way.
func (s *shift) answer(probed measure.Probed) {
	s.mu.Lock()
	_, known := s.under[probed.Seq]
	delete(s.under, probed.Seq)
	s.quietSince = time.Now()
	s.mu.Unlock()
	if known {
		s.done(probed)
	}
}

// loseAll answers what is still under way when the process has ended.
func (s *shift) loseAll(reason string) {
	s.mu.Lock()
	var lost []uint64
	for seq := range s.under {
		lost = append(lost, seq)
	}
	s.mu.Unlock()
	for _, seq := range lost {
		s.answer(measure.Probed{Seq: seq, Lost: reason})
	}
}

// reason says why the process ended, the most telling first.
func (s *shift) reason() string {
	message := s.child.log.lastError()
	switch {
	case s.hung != nil:
		return s.hung.Error()
	case s.over:
		return "the canary was stopped"
	case s.child.log.panicked() || message != "" && !s.talk.greeted.Load():
		return "k6: " + message
	case s.talk.ended && s.talk.end.Reason != "":
		return "k6: " + s.talk.end.Reason
	case s.exit != nil:
		return "k6 ended: " + s.exit.Error()
	case s.said != nil:
		return s.said.Error()
	}
	return "k6 ended without saying so"
}

// killed reports whether a signal ended the process.
func (s *shift) killed() bool {
	var exit *exec.ExitError
	if !errors.As(s.exit, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

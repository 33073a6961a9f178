package run

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"resilience/internal/plan"
)

// control is a service of the plan while a phase runs. It can be stopped,
// killed and started again; what it listens on, its environment and its log
// stay the same.
type control struct {
	c    *Conductor
	b    *bound
	name string
	plan plan.Service // bound

	over context.Context // ends when the phase stops the service for good
	end  context.CancelFunc
	turn chan struct{} // held while it is started or stopped

	mu       sync.Mutex
	current  *process      // nil when it does not run
	noted    chan struct{} // closed once the end of current was noted
	ready    bool          // whether current is, or was
	ended    bool          // whether current has
	stopping bool          // whether current was asked to end
	expected bool          // whether its death is part of a disruption
}

func (c *Conductor) newControl(b *bound, name string, bound plan.Service) *control {
	s := &control{c: c, b: b, name: name, plan: bound, turn: make(chan struct{}, 1)}
	s.over, s.end = context.WithCancel(context.Background())
	return s
}

// Pid implements Service.
func (s *control) Pid() int {
	if p := s.process(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

func (s *control) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Expect implements Service.
func (s *control) Expect(death bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected = death
}

// Start implements Service.
func (s *control) Start(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.over.Err() != nil {
		return fmt.Errorf("service %s: not started: the phase is over", s.name)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.over, cancel)()
	if s.process() == nil {
		if err := s.spawn(); err != nil {
			return err
		}
	}
	if s.plan.Ready == "" || s.isReady() {
		return nil
	}
	if s.b.tests == nil {
		return s.awaitReady(ctx)
	}
	// Once the tests are over nobody needs it: it is stopped, ready or not.
	defer context.AfterFunc(s.b.tests, cancel)()
	err := s.awaitReady(ctx)
	if s.b.tests.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Stop implements Service.
func (s *control) Stop(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.leave()
	if !s.halt(ctx) {
		return nil
	}
	return s.event("stopped", "")
}

// close stops the service for good, whether it is just being started or has
// ended already.
func (s *control) close() error {
	s.end()
	s.turn <- struct{}{}
	defer s.leave()
	s.halt(context.Background())
	return s.event("stopped", "")
}

func (s *control) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("service %s: %w", s.name, ctx.Err())
	}
}

func (s *control) leave() { <-s.turn }

// spawn starts its process and watches over it. Without a readiness URL it is
// ready at once.
func (s *control) spawn() error {
	p, err := s.c.spawn(s.name, s.plan.Command, plan.Locate(s.c.Plan.Dir, s.plan.Dir), s.c.serviceEnv(s.b, s.name, s.plan))
	if err != nil {
		return err
	}
	noted := make(chan struct{})
	s.mu.Lock()
	s.current, s.noted, s.ready, s.ended, s.stopping = p, noted, s.plan.Ready == "", false, false
	s.mu.Unlock()
	if s.plan.Ready == "" {
		err = s.event("started", "")
	}
	go s.watch(p, noted)
	return err
}

// watch notes how a process ended. Only then does the service count as not
// running: whoever waits for that finds it noted.
func (s *control) watch(p *process, noted chan<- struct{}) {
	defer close(noted)
	<-p.exited
	s.mu.Lock()
	s.ended = true
	state := ""
	switch {
	case s.stopping || !s.ready: // whoever stopped or started it tells
	case s.expected:
		state = "killed"
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what it left would be in the way of the next
	default:
		state = "died"
	}
	s.mu.Unlock()
	if state != "" {
		_ = s.event(state, ending(p.err)) // the next batch fails the same way
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = nil
}

// halt ends its process; false when there was none.
func (s *control) halt(ctx context.Context) bool {
	s.mu.Lock()
	p, noted := s.current, s.noted
	s.stopping = true
	s.mu.Unlock()
	if p == nil {
		return false
	}
	s.c.stopWithin(ctx, p, time.Duration(s.plan.StopTimeout))
	<-noted
	return true
}

// awaitReady waits until the service's readiness URL answers 2xx.
func (s *control) awaitReady(ctx context.Context) error {
	p := s.process()
	if p == nil {
		return fmt.Errorf("service %s died before it was ready", s.name)
	}
	url := s.plan.Ready
	if strings.HasPrefix(url, "/") {
		url = "http://127.0.0.1:" + strconv.Itoa(s.b.ports[s.name]) + url
	}
	limit := time.Duration(s.plan.ReadyTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errNotReady)
	defer cancel()
	last := errors.New("no answer")
	for {
		err := ask(ctx, url)
		if err == nil {
			return s.nowReady()
		}
		if ctx.Err() == nil { // or the end of the wait would hide what it waited for
			last = err
		}
		select {
		case <-p.exited:
			return fmt.Errorf("service %s died before it was ready (%s):\n%s", s.name, ending(p.err), p.log.tail())
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errNotReady) {
				return ctx.Err()
			}
			return fmt.Errorf("service %s was not ready after %s: %s: %w:\n%s", s.name, limit, url, last, p.log.tail())
		case <-time.After(readyPoll):
		}
	}
}

func (s *control) isReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// nowReady notes that the service can be used. From now on its death is one.
func (s *control) nowReady() error {
	if err := s.event("ready", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return fmt.Errorf("service %s died as soon as it was ready", s.name)
	}
	s.ready = true
	return nil
}

func (s *control) event(state, detail string) error {
	return s.c.serviceEvent(s.b, s.name, state, detail)
}

package disrupt

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"resilience/internal/plan"
)

// onServices makes disruptions of the plan's services. A service that dies of
// one of them is expected to: its death is no failure of its own, unless it
// dies again after it was started.
func onServices(d plan.Disruption, s Site) (Disruption, error) {
	return newLifecycle(d, s, "services", func(context.Context) ([]life, bool, error) {
		var group []life
		for _, name := range slices.Sorted(maps.Keys(s.Services)) {
			if slices.ContainsFunc(d.Services, func(pattern string) bool { return fits(pattern, name) }) {
				group = append(group, &serviceLife{named: name, service: s.Services[name]})
			}
		}
		if len(group) == 0 {
			return nil, false, plan.Misfitf("no services are called %s", strings.Join(d.Services, " or "))
		}
		return group, len(d.Services) == 1 && !isPattern(d.Services[0]), nil
	})
}

// isPattern tells shop-* from a name.
func isPattern(name string) bool { return strings.ContainsAny(name, `*?[\`) }

func fits(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil || pattern == name
}

// serviceLife is the life of a service: of all the processes of its group.
type serviceLife struct {
	named   string
	service Service
}

func (s *serviceLife) name() string { return s.named }
func (s *serviceLife) key() any     { return s.service }

func (s *serviceLife) group() ([]proc, error) {
	pid := s.service.Pid()
	if pid == 0 {
		return nil, nil
	}
	return members(pid)
}

func (s *serviceLife) look(context.Context) (vitals, error) {
	pid := s.service.Pid()
	group, err := s.group()
	if pid == 0 || err != nil {
		return vitals{}, err
	}
	moves := slices.ContainsFunc(group, func(p proc) bool { return !p.stopped() })
	return vitals{id: strconv.Itoa(pid), running: true, paused: slices.ContainsFunc(group, proc.stopped), still: !moves}, nil
}

func (s *serviceLife) kill(ctx context.Context, name string) error {
	signal, err := signalNamed(name)
	if err != nil {
		return err
	}
	pid := s.service.Pid()
	if pid == 0 {
		return nil
	}
	s.service.Expect(true)
	if err := signalTo(-pid, signal); err != nil {
		return err
	}
	return eventually(ctx, signalLimit, fmt.Sprintf("service %s was sent %s but runs on", s.named, signal), func() (bool, error) {
		return s.service.Pid() != pid, nil
	})
}

func (s *serviceLife) stop(ctx context.Context) error {
	s.service.Expect(true)
	return s.service.Stop(ctx)
}

// start also ends the time in which the service may die without blame.
func (s *serviceLife) start(ctx context.Context) error {
	if err := s.service.Start(ctx); err != nil {
		return err
	}
	s.service.Expect(false)
	return nil
}

func (s *serviceLife) freeze(ctx context.Context) error {
	return s.signal(ctx, freeze)
}

func (s *serviceLife) thaw(ctx context.Context) error {
	return s.signal(ctx, thaw)
}

func (s *serviceLife) signal(ctx context.Context, do func(context.Context, int, func() ([]proc, error)) error) error {
	pid := s.service.Pid()
	if pid == 0 { // it ended by itself
		return nil
	}
	return do(ctx, -pid, func() ([]proc, error) { return members(pid) })
}

// serviceTrace finds a paused service when the harness is gone.
type serviceTrace struct {
	Name    string `json:"name"`
	Group   int    `json:"group"`
	Members []mark `json:"members"`
}

// trace is for pauses only: a service that was killed or restarted ends with
// the harness, but what stands still would stand still for ever.
func (s *serviceLife) trace(_ context.Context, fault string) (any, error) {
	group, err := s.group()
	if fault != "pause" || err != nil {
		return nil, err
	}
	return serviceTrace{s.named, s.service.Pid(), marks(group)}, nil
}

func undoServices(ctx context.Context, d plan.Disruption, undo json.RawMessage, _ Site) error {
	return undoEach(d, undo, func(_ string, t serviceTrace) error {
		left, err := still(t.Members)
		if err != nil || len(left) == 0 {
			return err
		}
		// As long as one of them lives nobody else can have their group.
		pid := -t.Group
		if t.Group <= 1 || t.Group == syscall.Getpgrp() {
			return fmt.Errorf("service %s: %d can not be its process group", t.Name, t.Group)
		}
		if err := thaw(ctx, pid, func() ([]proc, error) { return members(t.Group) }); err != nil {
			return fmt.Errorf("service %s: %w", t.Name, err)
		}
		return nil
	})
}

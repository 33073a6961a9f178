package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"resilience/internal/plan"
)

// onProcess makes disruptions of a process that somebody else started.
func onProcess(d plan.Disruption, s Site) (Disruption, error) {
	one := &processLife{path: plan.Locate(s.Dir, d.Process.PIDFile), restart: d.Process.Start, site: s}
	if d.Pause == nil && d.Process.Start == "" {
		return nil, fmt.Errorf("disruption %q: process wants start: nothing else can bring it back", d.Name)
	}
	return newLifecycle(d, s, "processes", func(context.Context) ([]life, bool, error) {
		_, err := one.find()
		return []life{one}, true, err
	})
}

// processLife is the life of the process whose id is in a file. Where it leads
// a group of its own, all of the group is meant.
type processLife struct {
	path    string // of the pid file
	restart string // the command that starts it again
	site    Site
}

func (p *processLife) name() string { return p.path }
func (p *processLife) key() any     { return "process " + p.path }

// find gives the process that the file names now. Its state is Z when there is
// none.
func (p *processLife) find() (proc, error) {
	text, err := os.ReadFile(p.path)
	if err != nil {
		return proc{}, fmt.Errorf("the pid file can not be read: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return proc{}, fmt.Errorf("the pid file %s holds no process id: %.40q", p.path, text)
	}
	if pid <= 1 {
		return proc{}, plan.Misfitf("the pid file %s says %d, which is never a process to harm", p.path, pid)
	}
	line, err := ownLine()
	if err != nil {
		return proc{}, err
	}
	if slices.Contains(line, pid) {
		return proc{}, plan.Misfitf("the pid file %s says %d, which is this program or one that started it", p.path, pid)
	}
	found, ok, err := process(pid)
	if err == nil && !ok {
		found = proc{pid: pid, state: 'Z'}
	}
	return found, err
}

// reach is what signals for a process are sent to: its group where it leads
// one, unless this program is in there.
func reach(p proc) int {
	if p.group == p.pid && p.group != syscall.Getpgrp() {
		return -p.pid
	}
	return p.pid
}

func (p *processLife) look(context.Context) (vitals, error) {
	now, err := p.find()
	if err != nil || !now.alive() {
		return vitals{}, err
	}
	return vitals{id: fmt.Sprint(now.mark()), running: true, paused: now.stopped()}, nil
}

func (p *processLife) kill(ctx context.Context, name string) error {
	signal, err := signalNamed(name)
	if err != nil {
		return err
	}
	now, err := p.find()
	if err != nil || !now.alive() {
		return err
	}
	if err := signalTo(reach(now), signal); err != nil {
		return err
	}
	return untilEnded(ctx, now, signalLimit)
}

// untilEnded waits until a process is no more.
func untilEnded(ctx context.Context, p proc, limit time.Duration) error {
	return eventually(ctx, limit, fmt.Sprintf("process %d was told to end but runs on", p.pid), func() (bool, error) {
		left, err := still([]mark{p.mark()})
		return err == nil && len(left) == 0, err
	})
}

func (p *processLife) stop(ctx context.Context) error {
	now, err := p.find()
	if err != nil || !now.alive() {
		return err
	}
	if err := signalTo(reach(now), syscall.SIGTERM); err != nil {
		return err
	}
	if untilEnded(ctx, now, signalLimit) == nil {
		return nil
	}
	if err := signalTo(reach(now), syscall.SIGKILL); err != nil {
		return err
	}
	return untilEnded(ctx, now, signalLimit)
}

func (p *processLife) freeze(ctx context.Context) error { return p.signal(ctx, freeze) }
func (p *processLife) thaw(ctx context.Context) error   { return p.signal(ctx, thaw) }

func (p *processLife) signal(ctx context.Context, do func(context.Context, int, func() ([]proc, error)) error) error {
	now, err := p.find()
	if err != nil || !now.alive() {
		return err
	}
	return do(ctx, reach(now), func() ([]proc, error) { return still([]mark{now.mark()}) })
}

// start runs the command that starts the process, unless it runs, and waits
// until the file names a live one. The command may end or become the process.
func (p *processLife) start(ctx context.Context) error {
	if p.lives() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lifeLimit)
	defer cancel()
	c, err := p.site.shell(p.restart, nil)
	if err != nil {
		return err
	}
	if err := c.detach(); err != nil {
		return err
	}
	defer c.output.Close() // the command has its own
	err = eventually(ctx, lifeLimit, "the pid file names no live process", func() (bool, error) {
		if p.lives() {
			return true, nil
		}
		if ended, err := c.ended(); ended && err != nil {
			return false, err
		}
		return false, nil
	})
	if err != nil {
		_ = signalTo(-c.cmd.Process.Pid, syscall.SIGKILL) // or the next try would start another
		<-c.done
		return fmt.Errorf("%q did not bring the process back: %w%s", p.restart, err, c.tail())
	}
	return nil
}

func (p *processLife) lives() bool {
	now, err := p.find()
	return err == nil && now.alive()
}

// processTrace finds the process, or starts another, when the harness is gone.
// It names none when another fault keeps the process down.
type processTrace struct {
	Mark mark `json:"process"`
}

func (p *processLife) trace(context.Context, string) (any, error) {
	now, err := p.find()
	switch {
	case err != nil:
		return nil, err
	case now.alive():
		return processTrace{now.mark()}, nil
	case harmed(p):
		return processTrace{}, nil
	}
	return nil, errors.New("does not run")
}

// comeback is how long what a harness began before it ended may take to show,
// so that nothing is started twice or left to end.
const comeback = time.Second

func undoProcess(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
	one := &processLife{path: plan.Locate(s.Dir, d.Process.PIDFile), restart: d.Process.Start, site: s}
	return undoEach(d, undo, func(fault string, t processTrace) error {
		if now, err := one.find(); err == nil && fault == "pause" && t.Mark.PID == 0 { // it was started meanwhile
			t.Mark = now.mark()
		}
		left, err := still([]mark{t.Mark})
		if err != nil {
			return err
		}
		for _, p := range left { // also one that was to be killed and stands still
			if err := thaw(ctx, reach(p), func() ([]proc, error) { return still([]mark{t.Mark}) }); err != nil {
				return fmt.Errorf("process %d: %w", p.pid, err)
			}
		}
		if fault == "pause" {
			return nil
		}
		// One that was asked to end may be about to.
		if len(left) > 0 && untilEnded(ctx, left[0], comeback) != nil {
			return nil
		}
		if eventually(ctx, comeback, "", func() (bool, error) { return one.lives(), nil }) == nil {
			return nil
		}
		return one.start(ctx)
	})
}

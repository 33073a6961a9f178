package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// onProcess makes disruptions of a process that somebody else started.
func onProcess(d plan.Disruption, s Site) (Disruption, error) {
	if d.Pause == nil && d.Process.Start == "" {
		return nil, fmt.Errorf("disruption %q: process wants start: nothing else can bring it back", d.Name)
	}
	return newLifecycle(d, s, "processes", func(context.Context) ([]life, bool, error) {
		one := processOf(d, s) // each injection has the process that it found
		var err error
		one.seen, err = one.find()
		return []life{one}, true, err
	})
}

// processLife is the life of the process whose id is in a file. Where it leads
// a group of its own, all of the group is meant.
type processLife struct {
	fault   string // the name of the disruption, for notes
	path    string // of the pid file
	restart string // the command that starts it again
	site    Site

	seen proc  // what the file named at first
	prey *prey // the process that is harmed; nil until there is a key
}

func processOf(d plan.Disruption, s Site) *processLife {
	return &processLife{fault: d.Name, path: plan.Locate(s.Dir, d.Process.PIDFile), restart: d.Process.Start, site: s}
}

func (p *processLife) name() string { return p.path }

// key is the process itself, not the file: two files may name one process, and
// a file another one later. It is asked for with grips locked.
func (p *processLife) key() any {
	if p.prey != nil && grips.of[p.prey] != nil {
		return p.prey
	}
	for key := range grips.of {
		if h, ok := key.(*prey); ok && h.claimed(p.path, p.seen) {
			h.namedBy(p.path)
			p.prey = h
			return h
		}
	}
	if p.prey == nil {
		p.prey = &prey{now: p.seen.mark(), paths: []string{p.path}}
	}
	return p.prey
}

// A pid file is empty for a moment while it is written anew: between the
// truncation and the write of a shell that may not get a CPU at once.
const (
	emptyTries = 20
	emptyPause = 10 * time.Millisecond
)

// find gives the process that the file names now. Its state is Z when there is
// none.
func (p *processLife) find() (proc, error) {
	text, err := readPIDFile(p.path)
	for tries := 0; err == nil && strings.TrimSpace(text) == "" && tries < emptyTries; tries++ {
		time.Sleep(emptyPause)
		text, err = readPIDFile(p.path)
	}
	if err != nil {
		return proc{}, err
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

// pidFileMost is more bytes than any pid file holds.
const pidFileMost = 64

// readPIDFile reads a small regular file. Anything else might keep the reader
// waiting, or never end.
func readPIDFile(path string) (string, error) {
	is, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("the pid file can not be read: %w", err)
	}
	if !is.Mode().IsRegular() {
		return "", plan.Misfitf("the pid file %s is no regular file (%s): name the file that the process writes its id to", path, is.Mode().Type())
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may have become a pipe just now
	if err != nil {
		return "", fmt.Errorf("the pid file can not be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, pidFileMost))
	if err != nil {
		return "", fmt.Errorf("the pid file can not be read: %w", err)
	}
	if len(text) == pidFileMost { // the rest of a number may be cut off
		return "", plan.Misfitf("the pid file %s holds no process id but %d bytes or more: %.40q", path, pidFileMost, text)
	}
	return string(text), nil
}

// target is the process that is harmed as long as it lives, and else the one
// that the file names now.
func (p *processLife) target() (proc, error) {
	if p.prey != nil {
		left, err := still([]mark{p.prey.is()})
		if err != nil {
			return proc{}, err
		}
		if len(left) > 0 {
			return left[0], nil
		}
	}
	return p.find()
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
	now, err := p.target()
	if err != nil || !now.alive() {
		return vitals{}, err
	}
	return vitals{id: fmt.Sprint(now.mark()), running: true, paused: now.stopped(), still: now.stopped()}, nil
}

func (p *processLife) kill(ctx context.Context, name string) error {
	signal, err := signalNamed(name)
	if err != nil {
		return err
	}
	now, err := p.doomed()
	if err != nil || !now.alive() {
		return err
	}
	if err := signalTo(reach(now), signal); err != nil {
		return err
	}
	return untilEnded(ctx, now, signalLimit)
}

// doomed is the process that is to be ended, after it was noted which one that
// is and when.
func (p *processLife) doomed() (proc, error) {
	now, err := p.target()
	if err != nil || !now.alive() || p.prey == nil {
		return now, err
	}
	since, err := youngest()
	if err == nil {
		p.prey.end(now.mark(), since)
	}
	return now, err
}

// untilEnded waits until a process is no more.
func untilEnded(ctx context.Context, p proc, limit time.Duration) error {
	return eventually(ctx, limit, fmt.Sprintf("process %d was told to end but runs on", p.pid), func() (bool, error) {
		left, err := still([]mark{p.mark()})
		return err == nil && len(left) == 0, err
	})
}

func (p *processLife) stop(ctx context.Context) error {
	now, err := p.doomed()
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

func (p *processLife) freeze(ctx context.Context) error {
	now, err := p.target()
	if err != nil || !now.alive() {
		return err
	}
	if p.prey != nil {
		p.prey.become(now.mark())
	}
	return freeze(ctx, reach(now), lone(now.mark()))
}

// thaw lets the process go on that was stopped, also when the file names another
// one by now.
func (p *processLife) thaw(ctx context.Context) error {
	if p.prey == nil {
		now, err := p.find()
		if err != nil || !now.alive() {
			return err
		}
		return thaw(ctx, reach(now), lone(now.mark()))
	}
	return p.release(ctx, p.prey.is())
}

// lone finds one process for as long as it lives.
func lone(m mark) func() ([]proc, error) {
	return func() ([]proc, error) { return still([]mark{m}) }
}

// release lets one process go on, and tells when the pid file led elsewhere.
func (p *processLife) release(ctx context.Context, frozen mark) error {
	left, err := still([]mark{frozen})
	if err != nil || len(left) == 0 {
		return err
	}
	if err := thaw(ctx, reach(left[0]), lone(frozen)); err != nil {
		return fmt.Errorf("process %d: %w", frozen.PID, err)
	}
	named, err := p.find()
	switch {
	case err != nil:
		p.tell(measure.EventWarning, "process %d goes on, but its pid file leads nowhere now: %v", frozen.PID, err)
	case named.pid != frozen.PID:
		p.tell(measure.EventWarning, "process %d goes on, but the pid file %s names process %d now", frozen.PID, p.path, named.pid)
	}
	return nil
}

func (p *processLife) tell(kind, format string, args ...any) {
	if p.site.Note != nil {
		p.site.Note(kind, p.fault, map[string]string{"detail": fmt.Sprintf(format, args...)})
	}
}

// start runs the command that starts the process, unless it runs, and waits
// until the file names a live one that was started since it was ended. The
// command may end or become the process.
func (p *processLife) start(ctx context.Context) error {
	if spared, err := p.spared(); err != nil || spared {
		return err
	}
	if now, back := p.lives(); back {
		if p.prey != nil {
			p.tell(measure.EventChange, "it was started again by somebody else, as process %d", now.pid)
		}
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
	err = eventually(ctx, lifeLimit, "the pid file names no live process that was started since", func() (bool, error) {
		if _, back := p.lives(); back {
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

// spared reports whether the process that was to be ended lives on.
func (p *processLife) spared() (bool, error) {
	if p.prey == nil {
		return false, nil
	}
	left, err := still([]mark{p.prey.is()})
	return len(left) > 0, err
}

// lives finds the process in the file, if it is back.
func (p *processLife) lives() (now proc, back bool) {
	now, err := p.find()
	if err != nil || !now.alive() {
		return proc{}, false
	}
	if p.prey == nil {
		return now, true
	}
	if !p.prey.backAs(now) {
		return proc{}, false
	}
	p.prey.become(now.mark())
	return now, true
}

// processTrace finds the process, or starts another, when the harness is gone.
// It names none when another fault keeps the process down.
type processTrace struct {
	Mark  mark   `json:"process"`
	Since string `json:"since,omitempty"` // the youngest start of a process before it was ended
}

func (p *processLife) trace(_ context.Context, fault string) (any, error) {
	now, err := p.target()
	switch {
	case err != nil:
		return nil, err
	case now.alive() && fault == "pause":
		return processTrace{Mark: now.mark()}, nil
	case now.alive():
		since, err := youngest()
		return processTrace{now.mark(), since}, err
	case harmed(p):
		return processTrace{}, nil
	}
	return nil, errors.New("does not run")
}

// comeback is how long what a harness began before it ended may take to show,
// so that nothing is started twice or left to end.
const comeback = time.Second

func undoProcess(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
	return undoEach(d, undo, func(fault string, t processTrace) error {
		one := processOf(d, s)
		if now, err := one.find(); err == nil && fault == "pause" && t.Mark.PID == 0 { // it was started meanwhile
			t.Mark = now.mark()
		}
		left, err := still([]mark{t.Mark})
		if err != nil {
			return err
		}
		// Also one that was to be killed may stand still.
		if err := one.release(ctx, t.Mark); err != nil || fault == "pause" {
			return err
		}
		// One that was asked to end may be about to.
		if len(left) > 0 && untilEnded(ctx, left[0], comeback) != nil {
			return nil
		}
		one.prey = &prey{now: t.Mark, since: t.Since}
		if eventually(ctx, comeback, "", func() (bool, error) { _, back := one.lives(); return back, nil }) == nil {
			return nil
		}
		return one.start(ctx)
	})
}

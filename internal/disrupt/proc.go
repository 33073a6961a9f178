package disrupt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// proc is a process of this machine as the system tells of it.
type proc struct {
	pid, parent, group int
	state              byte   // R, S, D, T (stopped), Z (ended) and others
	start              string // when it was started: with the pid it names a process for good
}

func (p proc) stopped() bool { return p.state == 'T' }

// alive is false for what has ended and only waits for its parent to look.
func (p proc) alive() bool { return p.state != 'Z' && p.state != 'X' }

// mark names one process for good: a pid alone may be used again.
type mark struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

func (p proc) mark() mark { return mark{p.pid, p.start} }

// members are the live processes of a group.
func members(group int) ([]proc, error) {
	all, err := processes()
	return slices.DeleteFunc(all, func(p proc) bool { return p.group != group || !p.alive() }), err
}

func marks(procs []proc) []mark {
	var out []mark
	for _, p := range procs {
		out = append(out, p.mark())
	}
	return out
}

// still gives those of the marked processes that are alive. A process that got
// the pid of one of them is another one.
func still(marked []mark) ([]proc, error) {
	var out []proc
	for _, m := range marked {
		p, found, err := process(m.PID)
		if err != nil {
			return nil, err
		}
		if found && p.alive() && p.start == m.Start {
			out = append(out, p)
		}
	}
	return out, nil
}

const (
	procPoll    = 5 * time.Millisecond
	signalLimit = 3 * time.Second // for a signal to do its work
)

// eventually asks until the answer is yes, for as long as a limit and the
// context last.
func eventually(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(procPoll):
		}
	}
}

// signals are those that a disruption may kill with.
var signals = map[string]syscall.Signal{
	"": syscall.SIGKILL, "KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT,
	"HUP": syscall.SIGHUP, "ABRT": syscall.SIGABRT, "SEGV": syscall.SIGSEGV, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

func signalNamed(name string) (syscall.Signal, error) {
	signal, ok := signals[strings.TrimPrefix(name, "SIG")]
	if !ok {
		return 0, fmt.Errorf("kill: there is no signal %q that ends a process: use KILL, TERM, INT, QUIT, HUP, ABRT, SEGV, USR1 or USR2", name)
	}
	return signal, nil
}

// signalTo signals a process, or a whole group when the pid is negative. What has
// ended already needs no signal.
func signalTo(pid int, signal syscall.Signal) error {
	err := syscall.Kill(pid, signal)
	if err == nil || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return fmt.Errorf("send %s to process %d: %w", signal, pid, err)
}

// freeze stops what find gives and returns once all of it stands still.
func freeze(ctx context.Context, pid int, find func() ([]proc, error)) error {
	if err := signalTo(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	return eventually(ctx, signalLimit, "it was told to stop but did not", func() (bool, error) {
		now, err := find()
		return err == nil && !slices.ContainsFunc(now, func(p proc) bool { return !p.stopped() }), err
	})
}

// thaw lets what find gives go on and returns once all of it does.
func thaw(ctx context.Context, pid int, find func() ([]proc, error)) error {
	return eventually(ctx, signalLimit, "it was told to go on but did not", func() (bool, error) {
		if err := signalTo(pid, syscall.SIGCONT); err != nil {
			return false, err
		}
		now, err := find()
		return err == nil && !slices.ContainsFunc(now, proc.stopped), err
	})
}

// ownLine is this process and everything above it.
func ownLine() ([]int, error) {
	line := []int{os.Getpid()}
	for pid := os.Getppid(); pid > 0 && !slices.Contains(line, pid); {
		line = append(line, pid)
		p, found, err := process(pid)
		if err != nil || !found {
			return line, err
		}
		pid = p.parent
	}
	return line, nil
}

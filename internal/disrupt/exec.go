package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"resilience/internal/plan"
)

// commands is a fault of commands for the shell.
type commands struct {
	exec plan.Exec
	site Site
	kept keptCommand
}

// keptCommand is the command that injects, until it ended well: when it fails,
// is given up or the harness is killed, nothing of it may go on after the fault
// was lifted. What one that ended well leaves in the background is the fault.
type keptCommand struct {
	Injecting *keptGroup `json:"injecting,omitempty"`
}

// keptGroup is a process group: that of the process with this mark.
type keptGroup struct {
	mark
	Boot string `json:"boot,omitempty"` // which one of the machine it was
}

func (c *commands) inject(ctx context.Context, keep func(any) error) error {
	c.kept = keptCommand{}
	cmd, err := c.site.held(c.exec.Inject, c.exec.Env)
	if err != nil {
		return err
	}
	if err := cmd.begin(childAttributes()); err != nil {
		return err
	}
	c.kept.Injecting = &keptGroup{cmd.is, booted()}
	err = keep(c.kept)
	if err == nil {
		err = cmd.goOn()
	}
	if err != nil {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		return errors.Join(err, cmd.wait(ended))
	}
	if err := cmd.wait(ctx); err != nil {
		if ctx.Err() != nil {
			return unsettled{err}
		}
		return err
	}
	c.kept = keptCommand{}
	return keep(c.kept)
}

// lift lifts also what can not be kept from being injected again, and says so.
func (c *commands) lift(ctx context.Context) error {
	return errors.Join(c.stopInjecting(ctx), c.site.run(ctx, c.exec.Lift, c.exec.Env, liftLimit))
}

// stopInjecting ends what is left of the command that injects, with all that it
// began, and returns when it is gone.
func (c *commands) stopInjecting(ctx context.Context) error {
	g := c.kept.Injecting
	if g == nil {
		return nil
	}
	err := eventually(ctx, signalLimit, "it was killed but runs on", func() (bool, error) {
		left, err := g.left()
		if err != nil || len(left) == 0 {
			return err == nil, err
		}
		return false, signalTo(-g.PID, syscall.SIGKILL)
	})
	if err != nil {
		return fmt.Errorf("what is left of the command that injects (process group %d): %w", g.PID, err)
	}
	return nil
}

// left are the processes of the group that live, whether its leader does or not.
// Its number can not be used again before all of them have ended. A group that
// has it later is told by its leader, or by the start of the machine.
func (g keptGroup) left() ([]proc, error) {
	if g.PID <= 1 || g.PID == syscall.Getpgrp() || g.Boot != booted() {
		return nil, nil
	}
	leader, found, err := process(g.PID)
	if err != nil || found && leader.mark() != g.mark {
		return nil, err
	}
	left, err := members(g.PID)
	if err != nil {
		return nil, err
	}
	for _, p := range left {
		at, known := began(p.start)
		first, since := began(g.Start)
		if known && since && at < first { // nothing of it is older than its leader
			return nil, nil
		}
	}
	return left, nil
}

// notInEffect is the status with which a command that verifies says no. Others
// but 0 are of commands that are missing, broken or killed.
const notInEffect = 1

func (c *commands) verify(ctx context.Context) (inEffect, known bool, err error) {
	if c.exec.Verify == "" {
		return false, false, nil
	}
	err = c.site.run(ctx, c.exec.Verify, c.exec.Env, verifyLimit)
	var failed *exec.ExitError
	if err == nil || errors.As(err, &failed) && failed.ExitCode() == notInEffect {
		return err == nil, true, nil
	}
	return false, true, fmt.Errorf("verify: %w", err)
}

func (c *commands) remember(kept json.RawMessage) (open bool, err error) {
	err = json.Unmarshal(kept, &c.kept)
	return c.kept.Injecting != nil, err
}

package run

import (
	"context"
	"fmt"
	"os"
	"time"

	"resilience/internal/plan"
)

// hookTimeout bounds the commands that a phase runs before and after;
// hookGrace does so once the run was interrupted, when a pipeline will not wait
// for longer.
const (
	hookTimeout = 10 * time.Minute
	hookGrace   = 5 * time.Second
)

// after runs the phase's after command, also when the run was interrupted.
func (c *Conductor) after(ctx context.Context, b *bound) error {
	if ctx.Err() == nil {
		return c.hook(context.WithoutCancel(ctx), b, "after", b.phase.After)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookGrace)
	defer cancel()
	return c.hook(ctx, b, "after", b.phase.After)
}

// hook runs the before or after command of a phase to its end. What the command
// leaves in the background is left alone: a before may start what an after
// stops. Its output is not kept for longer than the command.
func (c *Conductor) hook(ctx context.Context, b *bound, name, command string) error {
	command, err := plan.Bind(command, b.lookup)
	if err != nil {
		return fmt.Errorf("%s of phase %s: %w", name, b.phase.Name, err)
	}
	env := append(append(os.Environ(), listed(c.additions(b))...), "RESILIENCE_PHASE="+b.phase.Name)
	p, err := c.spawn(b.phase.Name+"-"+name, command, c.Plan.Dir, env)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	select {
	case <-p.exited:
	case <-ctx.Done():
		c.stop(p, time.Second)
		return fmt.Errorf("%s of phase %s: %q: %w", name, b.phase.Name, command, ctx.Err())
	case <-c.Hurry:
		c.stop(p, 0)
		return fmt.Errorf("%s of phase %s: %q: stopped by a second interrupt", name, b.phase.Name, command)
	}
	if p.err != nil {
		return fmt.Errorf("%s of phase %s: %q: %w:\n%s", name, b.phase.Name, command, p.err, p.log.tail())
	}
	return nil
}

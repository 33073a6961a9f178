package disrupt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// command is a command of the plan for the shell. What it says goes to a file
// that has no name, so that what it leaves in the background neither blocks nor
// breaks when this process is gone.
type command struct {
	text   string
	cmd    *exec.Cmd
	output *os.File
	done   chan struct{} // closed when it has ended
	err    error         // how; valid after done
}

// shell makes a command that runs in the plan's folder.
func (s Site) shell(text string, env map[string]string) (*command, error) {
	output, err := os.CreateTemp("", "resilience-command-")
	if err != nil {
		return nil, fmt.Errorf("a file for what %q says: %w", text, err)
	}
	if err := os.Remove(output.Name()); err != nil {
		return nil, errors.Join(err, output.Close())
	}
	cmd := exec.Command("/bin/sh", "-c", text) //nolint:gosec // the plan's own command
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.Dir, append([]string{}, s.Env...), output, output
	if s.Env == nil {
		cmd.Env = os.Environ()
	}
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	return &command{text: text, cmd: cmd, output: output, done: make(chan struct{})}, nil
}

// detach starts the command as one that lives on when this process ends.
func (c *command) detach() error {
	return c.begin(&syscall.SysProcAttr{Setsid: true})
}

func (c *command) begin(attributes *syscall.SysProcAttr) error {
	c.cmd.SysProcAttr = attributes
	if err := c.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start %q: %w", c.text, err), c.output.Close())
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	return nil
}

// ended reports whether the command has, and how.
func (c *command) ended() (bool, error) {
	select {
	case <-c.done:
		return true, c.err
	default:
		return false, nil
	}
}

// wait waits for the command, which is killed with all of its group when the
// context ends first. An error holds the last that it said.
func (c *command) wait(ctx context.Context) error {
	defer c.output.Close()
	select {
	case <-c.done:
	case <-ctx.Done():
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // it may have ended just now
		<-c.done
		return fmt.Errorf("%q did not end in time: %w%s", c.text, ctx.Err(), c.tail())
	}
	if c.err != nil {
		return fmt.Errorf("%q: %w%s", c.text, c.err, c.tail())
	}
	return nil
}

// tail gives the last that the command said, on lines of their own.
func (c *command) tail() string {
	const most = 2 << 10
	size, err := c.output.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return ""
	}
	text := make([]byte, min(size, most))
	if _, err := c.output.ReadAt(text, max(0, size-most)); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return ":\n  " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n  ")
}

// run runs a command of the plan to its end, within a limit.
func (s Site) run(ctx context.Context, text string, env map[string]string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := s.shell(text, env)
	if err != nil {
		return err
	}
	if err := c.begin(childAttributes()); err != nil {
		return err
	}
	return c.wait(ctx)
}

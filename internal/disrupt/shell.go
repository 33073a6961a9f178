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
	gate   *os.File      // a command that is held begins when it is told so here; nil: it is not held
	is     mark          // the shell, once it was begun
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

// held makes a command that begins only once goOn is called, and never when this
// process ends before: until then nothing of the plan has run.
func (s Site) held(text string, env map[string]string) (*command, error) {
	c, err := s.shell(text, env)
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, c.output.Close())
	}
	c.cmd.Args = []string{"sh", "-c", `read -r go <&3 || exit 1; exec /bin/sh -c "$1" 3<&-`, "sh", text}
	c.cmd.ExtraFiles, c.gate = []*os.File{read}, write
	return c, nil
}

// goOn lets a command that is held begin.
func (c *command) goOn() error {
	_, err := c.gate.WriteString("go\n")
	return errors.Join(err, c.gate.Close())
}

// detach starts the command as one that lives on when this process ends.
func (c *command) detach() error {
	return c.begin(&syscall.SysProcAttr{Setsid: true})
}

func (c *command) begin(attributes *syscall.SysProcAttr) error {
	c.cmd.SysProcAttr = attributes
	err := c.cmd.Start()
	for _, f := range c.cmd.ExtraFiles {
		_ = f.Close() // the command has its own
	}
	if err != nil {
		if c.gate != nil {
			_ = c.gate.Close()
		}
		return errors.Join(fmt.Errorf("start %q: %w", c.text, err), c.output.Close())
	}
	is, _, err := process(c.cmd.Process.Pid) // it is there, be it dead, until somebody waits for it
	c.is = is.mark()
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	if err != nil {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		return errors.Join(err, c.wait(ended))
	}
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

package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// process is a local process that was started, with its process group.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    *processLog
	exited chan struct{} // closed when it has ended
	err    error         // how; valid after exited
}

// readyPoll is how often a service is asked whether it is ready.
const readyPoll = 50 * time.Millisecond

// startServices starts the plan's services, each after those it names.
func (c *Conductor) startServices(ctx context.Context, b *bound, undo *undoing) error {
	for _, name := range c.serviceOrder() {
		bound, err := plan.Bind(c.Plan.Services[name], func(key string) (string, bool) {
			if key == "port" {
				return strconv.Itoa(b.ports[name]), true
			}
			return b.lookup(key)
		})
		if err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
		s := c.newControl(b, name, bound)
		undo.add(s.close)
		if err := s.Start(ctx); err != nil {
			return err
		}
		b.services[name] = s
	}
	return nil
}

// serviceOrder is an order in which every service comes after those it names;
// the plan was checked for cycles.
func (c *Conductor) serviceOrder() []string {
	var order []string
	placed := map[string]bool{}
	var place func(name string)
	place = func(name string) {
		if placed[name] {
			return
		}
		placed[name] = true
		for _, before := range c.Plan.Services[name].After {
			place(before)
		}
		order = append(order, name)
	}
	for _, name := range sorted(c.Plan.Services) {
		place(name)
	}
	return order
}

// serviceEnv is what a service sees: where it should listen, and the proxies
// in front of what it depends on.
func (c *Conductor) serviceEnv(b *bound, name string, service plan.Service) []string {
	env := append(c.environment(b), "PORT="+strconv.Itoa(b.ports[name]))
	for key, value := range service.Env {
		env = append(env, key+"="+value)
	}
	return env
}

// environment is what every process of the plan sees.
func (c *Conductor) environment(b *bound) []string {
	return append(os.Environ(), listed(c.shared(b))...)
}

// letGo is how long a process that has ended may keep its output open through
// what it left in the background.
const letGo = time.Second

// held is how a command waits for a line at its file 3 before it begins. It
// never does when this program dies before its group is in the journal: nobody
// would find what it starts.
const held = `read -r line <&3 || exit 1; exec 3<&- "$0" -c "$1"`

// spawn starts a command in a process group of its own; what it says is kept.
func (c *Conductor) spawn(name, command, dir string, env []string) (*process, error) {
	log, err := c.newLog(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", held, "/bin/sh", command) //nolint:gosec // the plan's own command
	hold, release, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), log.close())
	}
	defer hold.Close()
	defer release.Close()
	cmd.ExtraFiles = []*os.File{hold}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, env, log, log, letGo
	cmd.SysProcAttr = processAttributes()
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: start %q: %w", name, command, err), log.close())
	}
	p := &process{name: name, cmd: cmd, log: log, exited: make(chan struct{})}
	ended, err := c.Guard.started(cmd.Process.Pid, name)
	if err != nil {
		c.unguarded(name, err)
	}
	_, _ = fmt.Fprintln(release) // it may have ended
	go func() {
		defer close(p.exited)
		defer ended()
		p.err = cmd.Wait()
		if errors.Is(p.err, exec.ErrWaitDelay) {
			p.err = nil
		}
		p.err = errors.Join(p.err, log.close())
	}()
	return p, nil
}

var errNotReady = errors.New("not ready in time")

// ask sends one request and returns nil for a 2xx answer.
func ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

// stop ends a process and everything in its group: asked first, then told.
func (c *Conductor) stop(p *process, grace time.Duration) {
	c.stopWithin(context.Background(), p, grace)
}

// stopWithin is stop that asks for no longer than the context lasts.
func (c *Conductor) stopWithin(ctx context.Context, p *process, grace time.Duration) {
	group := -p.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM) // it may be gone already
	select {
	case <-p.exited:
	case <-c.Hurry:
	case <-ctx.Done():
	case <-time.After(grace):
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // also what it started and left
	<-p.exited
}

func (c *Conductor) serviceEvent(b *bound, name, state, detail string) error {
	return c.event(measure.Event{Kind: measure.EventService, Phase: b.phase.Name, Name: name, Attrs: map[string]string{"state": state, "detail": detail}})
}

func ending(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

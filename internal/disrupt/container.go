package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/internal/plan"
)

// onContainer makes disruptions of containers of Docker or Podman.
func onContainer(d plan.Disruption, s Site) (Disruption, error) {
	return newLifecycle(d, s, "containers", func(ctx context.Context) ([]life, bool, error) {
		e, err := findEngine(ctx, d.Container.Engine, s.getenv)
		if err != nil {
			return nil, false, err
		}
		group, err := selectContainers(ctx, e, *d.Container)
		if err == nil && d.Pause == nil {
			err = startable(ctx, group)
		}
		return group, d.Container.Name != "" && !isPattern(d.Container.Name), err
	})
}

// getenv looks a variable up in what commands see.
func (s Site) getenv(name string) string {
	for _, entry := range slices.Backward(s.Env) {
		if value, is := strings.CutPrefix(entry, name+"="); is {
			return value
		}
	}
	return os.Getenv(name)
}

// selectContainers gives the containers that a plan means, of those that run or
// that another fault of this process ended: never the one that this program
// runs in.
func selectContainers(ctx context.Context, e *engine, c plan.Container) ([]life, error) {
	all, err := e.list(ctx, c.Label)
	if err != nil {
		return nil, err
	}
	self := ownContainer()
	var group []life
	for _, is := range all {
		if len(is.Names) == 0 {
			is.Names = []string{is.ID}
		}
		name := strings.TrimPrefix(is.Names[0], "/")
		if c.Name != "" && !slices.ContainsFunc(is.Names, func(n string) bool { return fits(c.Name, strings.TrimPrefix(n, "/")) }) {
			continue
		}
		if self(is.ID) {
			if len(all) == 1 || c.Name == name {
				return nil, plan.Misfitf("the container %s is the one that this program runs in", name)
			}
			continue
		}
		l := &containerLife{engine: e, id: is.ID, named: name}
		if is.State == "running" || is.State == "paused" || harmed(l) {
			group = append(group, l)
		}
	}
	if len(group) == 0 {
		return nil, plan.Misfitf("no container that runs has the name or label %s", c.Name+c.Label)
	}
	return group, nil
}

// startable refuses containers that are gone once they end.
func startable(ctx context.Context, group []life) error {
	for _, l := range group {
		c := l.(*containerLife)
		is, err := c.engine.inspect(ctx, c.id)
		if err != nil {
			return err
		}
		if is.HostConfig.AutoRemove {
			return fmt.Errorf("the container %s is removed when it ends and could not be started again: run it without --rm", c.named)
		}
	}
	return nil
}

// ownContainer tells the container that this program runs in: its id is in the
// control groups or where its host name comes from, and its beginning is the
// host's name.
func ownContainer() (is func(id string) bool) {
	var seen []string
	for path, ids := range map[string]func(string) []string{"/proc/self/cgroup": idsAmongGroups, "/proc/self/mountinfo": idsAmongMounts} {
		if text, err := os.ReadFile(path); err == nil { // other systems run no containers
			seen = append(seen, ids(string(text))...)
		}
	}
	host, err := os.Hostname()
	return func(id string) bool {
		return slices.Contains(seen, id) || err == nil && len(host) == 12 && strings.HasPrefix(id, host)
	}
}

// containerID is what engines call containers.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

func idsAmongGroups(cgroup string) []string { return containerID.FindAllString(cgroup, -1) }

// idsAmongMounts reads /proc/PID/mountinfo (proc_pid_mountinfo(5)). Engines put
// files of their own in the place of some of each container; what else is
// mounted tells of other containers, too, where this program runs beside them.
func idsAmongMounts(mountinfo string) (ids []string) {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) > 4 && slices.Contains([]string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv"}, fields[4]) {
			ids = append(ids, containerID.FindAllString(fields[3], -1)...)
		}
	}
	return ids
}

// containerLife is the life of one container.
type containerLife struct {
	engine *engine
	id     string
	named  string
	owed   func(vitals) bool // how it will be once an order is carried out whose answer did not come
}

func (c *containerLife) name() string { return c.named }
func (c *containerLife) key() any     { return "container " + c.engine.socket + " " + c.id }

// look takes one that was removed for one that does not run.
func (c *containerLife) look(ctx context.Context) (vitals, error) {
	is, err := c.engine.inspect(ctx, c.id)
	if unknown(err) {
		return vitals{}, nil
	}
	if err != nil || !is.State.Running {
		return vitals{}, err
	}
	return vitals{id: fmt.Sprintf("%d since %s", is.State.Pid, is.State.StartedAt), running: true, paused: is.State.Paused, still: is.State.Paused}, nil
}

// until waits for a container to be as it should, or another than before.
func (c *containerLife) until(ctx context.Context, limit time.Duration, what string, so func(vitals) bool) error {
	return eventually(ctx, limit, fmt.Sprintf("container %s %s", c.named, what), func() (bool, error) {
		now, err := c.look(ctx)
		return err == nil && so(now), err
	})
}

func (c *containerLife) kill(ctx context.Context, signal string) error {
	before, err := c.look(ctx)
	if err != nil {
		return err
	}
	if signal == "" {
		signal = "KILL"
	}
	query := url.Values{"signal": {"SIG" + strings.TrimPrefix(signal, "SIG")}}
	return c.order(ctx, "kill", query, "was killed but runs on", func(now vitals) bool { return now.id != before.id })
}

// order tells the engine to harm the container and waits until it did. Engines
// carry out what they were told although nobody waits for the answer any more: so
// it is waited for when ctx is over, too, and one that does not come is owed.
func (c *containerLife) order(ctx context.Context, what string, query url.Values, failed string, done func(vitals) bool) error {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), underway)
	defer cancel()
	err := c.engine.tell(asking, c.id, what, query)
	var refused *engineError
	if err != nil && !errors.As(err, &refused) {
		c.owed = done
	}
	if err != nil {
		return err
	}
	return c.until(ctx, signalLimit, failed, done)
}

// collect waits for what is owed, as long as an engine may take for it.
func (c *containerLife) collect(ctx context.Context) error {
	if c.owed == nil {
		return nil
	}
	err := c.outlast(ctx, c.owed)
	if err == nil {
		c.owed = nil
	}
	return err
}

// stopGrace is what a container gets to end by itself.
const stopGrace = 3 * time.Second

func (c *containerLife) stop(ctx context.Context) error {
	before, err := c.look(ctx)
	if err != nil {
		return err
	}
	query := url.Values{"t": {strconv.Itoa(int(stopGrace.Seconds()))}}
	return c.order(ctx, "stop", query, "was stopped but runs on", func(now vitals) bool { return now.id != before.id })
}

// start also waits for a container that a restart policy started already.
func (c *containerLife) start(ctx context.Context) error {
	if err := c.collect(ctx); err != nil {
		return err
	}
	err := c.insist(ctx, lifeLimit, "start", "was started but does not run", func(now vitals) bool { return now.running && !now.paused })
	if unknown(err) {
		return c.replaced(ctx)
	}
	return err
}

// insist tells the engine to do something until the container is as it should.
// Engines refuse what they are busy with, as they may be with an order of a
// program that died, and what somebody else did already.
func (c *containerLife) insist(ctx context.Context, limit time.Duration, order, failed string, so func(vitals) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		now, err := c.look(ctx)
		if err != nil || so(now) {
			return err
		}
		err = c.engine.tell(ctx, c.id, order, nil)
		var refused *engineError
		if unknown(err) || err != nil && !errors.As(err, &refused) {
			return err
		}
		if now, looked := c.look(ctx); looked != nil || so(now) {
			return looked
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("container %s %s: %w", c.named, failed, ctx.Err()), err)
		case <-time.After(insistPause):
		}
	}
}

// insistPause is how long an engine is left alone before it is told again.
const insistPause = 100 * time.Millisecond

// replaced wants to see that somebody made a container that was removed anew:
// nobody else knows how.
func (c *containerLife) replaced(ctx context.Context) error {
	is, err := c.engine.inspect(ctx, c.named)
	switch {
	case unknown(err) || err == nil && !is.State.Running:
		return fmt.Errorf("the container %s was removed meanwhile, and none of that name runs: make it anew", c.named)
	case err != nil:
		return err
	}
	return nil
}

func (c *containerLife) freeze(ctx context.Context) error {
	now, err := c.look(ctx)
	if err != nil || now.paused {
		return err
	}
	return c.order(ctx, "pause", nil, "was paused but goes on", func(now vitals) bool { return now.paused })
}

// thaw leaves alone what is not paused or has ended.
func (c *containerLife) thaw(ctx context.Context) error {
	if err := c.collect(ctx); err != nil {
		return err
	}
	return c.insist(ctx, signalLimit, "unpause", "is still paused", func(now vitals) bool { return !now.paused })
}

// containerTrace finds the container when the harness is gone.
type containerTrace struct {
	Socket string `json:"socket"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Was    string `json:"was"` // its vitals before it was harmed
}

func (c *containerLife) trace(ctx context.Context, _ string) (any, error) {
	now, err := c.look(ctx)
	return containerTrace{c.engine.socket, c.id, c.named, now.id}, err
}

func undoContainer(ctx context.Context, d plan.Disruption, undo json.RawMessage, _ Site) error {
	return undoEach(d, undo, func(fault string, t containerTrace) error {
		c := &containerLife{engine: newEngine(t.Socket), id: t.ID, named: t.Name}
		if err := c.thaw(ctx); err != nil || fault == "pause" {
			return err
		}
		if err := c.outlast(ctx, func(now vitals) bool { return now.id != t.Was }); err != nil {
			return err
		}
		return c.start(ctx)
	})
}

// underway is how long an engine may go on with what it was told by a program
// that died: stopping takes as long as the grace it gives.
const underway = stopGrace + time.Second

// outlast waits for a container to become what it was told to, if it was.
func (c *containerLife) outlast(ctx context.Context, done func(vitals) bool) error {
	waited := c.until(ctx, underway, "was not harmed", done)
	if errors.Is(waited, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil // nobody had told it
	}
	return waited
}

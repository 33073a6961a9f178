package disrupt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// attached is an agent in a pod.
type attached struct {
	api       *cluster
	pod       podState
	container string
	port      int // the pod's; 0 where none is meant
	*link
}

// reachAgent is what speaks with the agent of a container.
func reachAgent(api *cluster, pod podState, container string, port int) *attached {
	return &attached{api: api, pod: pod, container: container, port: port, link: &link{
		open: func(ctx context.Context) (io.ReadWriteCloser, error) { return api.open(ctx, pod.name, container) },
	}}
}

// attaching makes disruptions of this process that want an agent in the same
// pod share one.
var attaching sync.Mutex

// attachPatience is how long an agent may take to start, its image to be pulled
// included.
const attachPatience = time.Minute

// agentPrefix begins the names of the containers of all agents.
const agentPrefix = "resilience-"

// attach finds or starts the agent of a run in a pod and checks that it could
// inject. The agent does nothing and ends by itself after idle.
func attach(ctx context.Context, api *cluster, pod podState, run, image string, idle time.Duration) (*attached, error) {
	ctx, cancel := context.WithTimeout(ctx, attachPatience)
	defer cancel()
	var out *attached
	err := until(ctx, pollAgent, func() (bool, error) {
		name, err := startAgent(ctx, api, pod, run, image, idle)
		if err != nil {
			return false, err
		}
		if err := startedAgent(ctx, api, pod, name); err != nil {
			return false, err
		}
		one := reachAgent(api, pod, name, 0)
		quick, cancel := context.WithTimeout(ctx, askPatience)
		defer cancel()
		answer, err := one.ask(quick, agentRequest{Op: agentCheck})
		if err != nil { // it may be just ending
			one.close()
			return false, ctx.Err()
		}
		if answer.Error != "" {
			one.close()
			return false, errors.New(answer.Error)
		}
		out = one
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("the agent in pod %s (image %s): %w", pod.name, image, err)
	}
	return out, nil
}

const pollAgent = 250 * time.Millisecond

// startAgent gives the name of the agent of a run that is alive in a pod, or of
// a new one. Containers that ended stay in the pod's description and keep their
// names.
func startAgent(ctx context.Context, api *cluster, pod podState, run, image string, idle time.Duration) (string, error) {
	attaching.Lock()
	defer attaching.Unlock()
	now, err := api.pod(ctx, pod.name)
	switch {
	case err != nil:
		return "", err
	case now.uid != pod.uid || now.leaving:
		return "", fmt.Errorf("pod %s is being replaced", pod.name)
	}
	prefix, next := agentPrefix+shortRun(run)+"-", 1
	for _, name := range sortedKeys(now.agents) {
		number, ours := strings.CutPrefix(name, prefix)
		if !ours {
			continue
		}
		if !now.agents[name].ended {
			return name, nil
		}
		if n, err := strconv.Atoi(number); err == nil {
			next = max(next, n+1)
		}
	}
	name := prefix + strconv.Itoa(next)
	args := []string{"agent", "--name", name, "--address", pod.address, "--idle", idle.String()}
	return name, api.attach(ctx, pod.name, name, image, args)
}

// shortRun is what is left of the id of a run in the name of a container.
func shortRun(run string) string {
	return strconv.FormatUint(nameSeed(run)&0xffffffff, 36)
}

// hopeless are reasons of a container that waits for what will not come.
var hopeless = []string{
	"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
	"CreateContainerError", "CreateContainerConfigError", "RunContainerError",
}

// startedAgent waits until the container of an agent runs.
func startedAgent(ctx context.Context, api *cluster, pod podState, name string) error {
	var last containerState
	err := until(ctx, pollAgent, func() (bool, error) {
		now, err := api.pod(ctx, pod.name)
		if err != nil {
			return false, err
		}
		last = now.agents[name]
		switch {
		case last.ended && last.code != 0:
			return false, fmt.Errorf("it ended with code %d (%s): %s", last.code, last.reason, strings.TrimSpace(last.message))
		case slices.Contains(hopeless, last.reason):
			return false, fmt.Errorf("it can not start (%s): %s", last.reason, last.message)
		}
		return last.running || last.ended, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("it did not start in time (%s %s)", last.reason, last.message)
	}
	return err
}

// gone waits until the process of an agent is seen to have ended, or its pod.
func (a *attached) gone(ctx context.Context) error {
	err := until(ctx, pollAgent, func() (bool, error) {
		ended, err := a.over(ctx)
		if err != nil && ctx.Err() == nil {
			return false, nil // asked again
		}
		return ended, err
	})
	if err != nil {
		return fmt.Errorf("pod %s: whether its agent (container %s) ended is not known: %w", a.pod.name, a.container, err)
	}
	return nil
}

// over reports whether the agent's process or its pod is gone.
func (a *attached) over(ctx context.Context) (bool, error) {
	now, err := a.api.pod(ctx, a.pod.name)
	switch {
	case errors.Is(err, errNotThere):
		return true, nil
	case err != nil:
		return false, err
	}
	return now.uid != a.pod.uid || now.agents[a.container].ended, nil
}

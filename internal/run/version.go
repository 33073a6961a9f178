package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Limits of asking a target which version it is.
const (
	versionPatience = 10 * time.Second // for an answer
	versionPoll     = 250 * time.Millisecond
	maxVersion      = 500 // bytes
	versionAsks     = 10  // over connections of their own, so that a balancer asks several instances
)

// identify notes the version of each target that traffic goes to, and reports
// whether it is the one that the plan wants. When is before or after.
func (c *Conductor) identify(ctx context.Context, b *bound, when string) (right bool, err error) {
	right = true
	arms := []struct{ arm, target string }{{measure.Candidate, b.phase.Candidate}, {measure.Baseline, b.phase.Baseline.Target}}
	for _, a := range arms {
		target := b.targets[a.target]
		if a.target == "" || target.Version == nil {
			continue
		}
		attrs := map[string]string{"when": when, "wanted": target.Version.Is}
		version, err := c.versionOf(ctx, b, a.target+"-"+when, target)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			attrs["error"] = err.Error()
		} else {
			attrs["version"] = version
		}
		right = right && err == nil && (target.Version.Is == "" || version == target.Version.Is)
		if err := c.event(measure.Event{Kind: measure.EventVersion, Phase: b.phase.Name, Arm: a.arm, Name: a.target, Attrs: attrs}); err != nil {
			return false, err
		}
	}
	return right, nil
}

// versionOf asks a target for its version.
func (c *Conductor) versionOf(ctx context.Context, b *bound, name string, t plan.Target) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, versionPatience)
	defer cancel()
	switch {
	case t.Version.Command != "":
		version, err = c.printed(ctx, b, "version-"+name, t.Version.Command)
	case t.Version.Path == "":
		version, err = c.Adapters.Image(ctx, *t.Version, c.Plan.Dir)
	default:
		version, err = c.answered(ctx, t)
	}
	switch version = strings.TrimSpace(version); {
	case err != nil:
		return "", err
	case version == "":
		return "", errors.New("the answer is empty")
	case len(version) > maxVersion:
		return "", fmt.Errorf("the answer has %d bytes; a version has at most %d: name the field by json: or header", len(version), maxVersion)
	}
	return version, nil
}

// errAway says that a target may answer in a moment.
var errAway = errors.New("it does not serve")

// answered asks the target itself, until it answers: right after a rollout some
// need a moment. In the middle of one its instances tell several versions.
func (c *Conductor) answered(ctx context.Context, t plan.Target) (string, error) {
	for {
		version, err := askVersion(ctx, t, c.Plan.Dir)
		switch {
		case err == nil:
			return version, c.sameVersion(ctx, t, version)
		case !errors.Is(err, errAway), wait(ctx, versionPoll) != nil:
			return "", err
		}
	}
}

// sameVersion asks a target some more times for its version. Who does not answer
// now did before: just another version counts.
func (c *Conductor) sameVersion(ctx context.Context, t plan.Target, version string) error {
	said := make([]string, versionAsks)
	said[0] = version
	var all sync.WaitGroup
	for i := range said[1:] {
		all.Go(func() { said[1+i], _ = askVersion(ctx, t, c.Plan.Dir) })
	}
	all.Wait()
	slices.Sort(said)
	said = slices.DeleteFunc(slices.Compact(said), func(v string) bool { return v == "" })
	if len(said) < 2 {
		return nil
	}
	for i := range said {
		said[i] = strings.TrimSpace(said[i][:min(len(said[i]), maxVersion)])
	}
	return fmt.Errorf("its instances are of several versions: %s", strings.Join(said, ", "))
}

func askVersion(ctx context.Context, t plan.Target, dir string) (string, error) {
	v := t.Version
	config, err := t.TLS.Config(dir)
	if err != nil {
		return "", err
	}
	url := v.Path
	if !strings.Contains(url, "://") {
		url = t.URL + "/" + strings.TrimLeft(v.Path, "/")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	for name, value := range t.Headers {
		req.Header.Set(name, value)
	}
	if t.Auth != nil && t.Auth.Header != nil {
		req.Header.Set(t.Auth.Header.Name, t.Auth.Header.Value)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}}).Do(req)
	if err != nil {
		return "", errors.Join(err, errAway)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, plan.MaxBody))
	switch {
	case err != nil:
		return "", fmt.Errorf("GET %s: %w", url, err)
	case res.StatusCode/100 == 5:
		return "", fmt.Errorf("GET %s: the answer was %s: %w", url, res.Status, errAway)
	case res.StatusCode/100 != 2:
		return "", fmt.Errorf("GET %s: the answer was %s", url, res.Status)
	case v.Header != "":
		return res.Header.Get(v.Header), nil
	case v.JSON != "":
		return plan.JSONAt(body, v.JSON)
	}
	return string(body), nil
}

// printed runs a command to its end, and gives the last line that it wrote.
func (c *Conductor) printed(ctx context.Context, b *bound, name, command string) (string, error) {
	env := append(append(os.Environ(), listed(c.additions(b))...), "RESILIENCE_PHASE="+b.phase.Name)
	p, err := c.spawn(b.phase.Name+"-"+name, command, c.Plan.Dir, env)
	if err != nil {
		return "", err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		c.stop(p, time.Second)
		return "", fmt.Errorf("%q: %w", command, ctx.Err())
	}
	if p.err != nil {
		return "", fmt.Errorf("%q: %w: see %s", command, p.err, path.Base(p.log.path))
	}
	said := strings.TrimSpace(p.log.tail())
	return said[strings.LastIndexByte(said, '\n')+1:], nil
}

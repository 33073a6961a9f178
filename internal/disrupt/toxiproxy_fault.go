package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// toxiproxyFault is one fault on a proxy of a Toxiproxy server. The server does
// not notice when this process dies: what undoes the fault is kept before it is
// injected.
type toxiproxyFault struct {
	on      *toxiproxied
	name    string
	toxics  []toxiproxy.Toxic
	disable bool
}

// keptToxiproxy is what undoing needs.
type keptToxiproxy struct {
	Kind     string   `json:"kind"` // toxiproxy
	URL      string   `json:"url"`
	Proxy    string   `json:"proxy"`
	Toxics   []string `json:"toxics,omitempty"`   // names
	Disabled bool     `json:"disabled,omitempty"` // the proxy as a whole
	Made     bool     `json:"made,omitempty"`     // the run made the proxy
}

// keptKindToxiproxy tells what was kept here from what others keep.
const keptKindToxiproxy = "toxiproxy"

// Prepare finds out whether the proxy is there and free of a fault of this
// name.
func (f *toxiproxyFault) Prepare(ctx context.Context) (measure.Reach, error) {
	p, err := f.on.api.proxy(ctx, f.on.proxy)
	if err == nil {
		err = f.free(p)
	}
	if err != nil {
		return measure.Reach{}, f.explain(err)
	}
	return measure.Reach{}, nil
}

// explain says where an error comes from.
func (f *toxiproxyFault) explain(err error) error {
	return fmt.Errorf("disruption %q: proxy %q of the Toxiproxy server at %s: %w", f.name, f.on.proxy, f.on.api.base, err)
}

// free wants the proxy to be without what is about to be injected.
func (f *toxiproxyFault) free(p toxiproxy.Proxy) error {
	if !p.Enabled {
		return errors.New("it is disabled already")
	}
	for _, t := range f.toxics {
		if hasToxic(p, t.Name) {
			return fmt.Errorf("it has a toxic %q already: lift what a killed run left behind (resilience lift)", t.Name)
		}
	}
	return nil
}

func hasToxic(p toxiproxy.Proxy, name string) bool {
	return slices.ContainsFunc(p.ActiveToxics, func(t toxiproxy.Toxic) bool { return t.Name == name })
}

// Inject implements [Disruption].
func (f *toxiproxyFault) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	if _, err := f.Prepare(ctx); err != nil {
		return nil, fmt.Errorf("not injected: %w", err)
	}
	kept := keptToxiproxy{Kind: keptKindToxiproxy, URL: f.on.api.base, Proxy: f.on.proxy, Disabled: f.disable, Made: f.on.made}
	for _, t := range f.toxics {
		kept.Toxics = append(kept.Toxics, t.Name)
	}
	undo, err := json.Marshal(kept)
	if err == nil {
		err = keep(undo)
	}
	if err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", f.name, err)
	}
	if err := f.apply(ctx); err != nil {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), toxiproxyLimit)
		defer cancel()
		return nil, errors.Join(f.explain(err), kept.lift(back, f.on.api))
	}
	return f.lifter(kept), nil
}

// missing says what is not in effect any more: somebody may have taken it off,
// or started the server again.
func (k keptToxiproxy) missing(ctx context.Context, api *toxiproxyAPI) (string, error) {
	p, err := api.proxy(ctx, k.Proxy)
	switch {
	case absent(err):
		return "the server has no such proxy any more", nil
	case err != nil:
		return "", err
	case k.Disabled && p.Enabled:
		return "it was enabled", nil
	}
	for _, name := range k.Toxics {
		if !hasToxic(p, name) {
			return fmt.Sprintf("the toxic %q was not there any more", name), nil
		}
	}
	return "", nil
}

// apply puts the fault into effect, and wants to see it listed.
func (f *toxiproxyFault) apply(ctx context.Context) error {
	if f.disable {
		if err := f.on.api.enable(ctx, f.on.proxy, false); err != nil {
			return err
		}
	}
	for _, t := range f.toxics {
		if err := f.on.api.add(ctx, f.on.proxy, t); err != nil {
			return err
		}
	}
	p, err := f.on.api.proxy(ctx, f.on.proxy)
	if err != nil {
		return err
	}
	for _, t := range f.toxics {
		if !hasToxic(p, t.Name) {
			return fmt.Errorf("the toxic %q was added and is not there", t.Name)
		}
	}
	if f.disable && p.Enabled {
		return errors.New("it was disabled and is enabled")
	}
	return nil
}

// lifter lifts the fault once; what could not be lifted is tried again.
func (f *toxiproxyFault) lifter(kept keptToxiproxy) func(context.Context) (measure.Touch, error) {
	var mu sync.Mutex
	looked, lifted := false, false
	touch := measure.Touch{Matched: 1, Touched: 1, Unit: "proxies", Names: []string{f.on.proxy}}
	return func(ctx context.Context) (measure.Touch, error) {
		mu.Lock()
		defer mu.Unlock()
		if lifted {
			return touch, nil
		}
		if !looked {
			looked = true
			touch.Doubt = doubt(ctx, func(ctx context.Context) (string, error) { return kept.missing(ctx, f.on.api) })
		}
		if ctx.Err() != nil { // lifting does not depend on it
			fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), toxiproxyLimit)
			defer cancel()
			ctx = fresh
		}
		if err := kept.lift(ctx, f.on.api); err != nil {
			return touch, f.explain(err)
		}
		lifted = true
		return touch, nil
	}
}

// toxiproxyPause is how long to wait before a call is tried again.
const toxiproxyPause = 100 * time.Millisecond

// lift takes the fault off and returns nil once it was seen to be gone. While
// the server does not answer it is asked again, until the context ends.
func (k keptToxiproxy) lift(ctx context.Context, api *toxiproxyAPI) error {
	var last error
	for {
		err := k.liftOnce(ctx, api)
		var answered toxiproxyError
		if err == nil || errors.As(err, &answered) {
			return err
		}
		if last == nil || ctx.Err() == nil { // that the time is over explains nothing
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("could not be lifted: %w", last)
		case <-time.After(toxiproxyPause):
		}
	}
}

func (k keptToxiproxy) liftOnce(ctx context.Context, api *toxiproxyAPI) error {
	for _, name := range k.Toxics {
		if err := api.remove(ctx, k.Proxy, name); err != nil && !absent(err) {
			return err
		}
	}
	if k.Disabled {
		if err := api.enable(ctx, k.Proxy, true); err != nil && !absent(err) {
			return err
		}
	}
	p, err := api.proxy(ctx, k.Proxy)
	switch {
	case absent(err): // the proxy is gone and all of it
		return nil
	case err != nil:
		return err
	case k.Disabled && !p.Enabled:
		return errors.New("it is still disabled")
	}
	for _, name := range k.Toxics {
		if hasToxic(p, name) {
			return fmt.Errorf("the toxic %q is still there", name)
		}
	}
	return nil
}

// undoToxiproxy lifts what was injected, and removes the proxy if the run had
// made it and is another one: a run that goes on still needs it.
func undoToxiproxy(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
	var kept keptToxiproxy
	if err := json.Unmarshal(undo, &kept); err != nil {
		return fmt.Errorf("disruption %q: what was kept to undo it can not be read: %w", d.Name, err)
	}
	api, err := newToxiproxyAPI(kept.URL)
	if err == nil {
		err = kept.lift(ctx, api)
	}
	if _, inUse := s.Dependencies[d.Dependency].(*toxiproxied); err == nil && kept.Made && !inUse {
		if err = api.delete(ctx, kept.Proxy); absent(err) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("disruption %q: proxy %q of the Toxiproxy server at %s: %w", d.Name, kept.Proxy, kept.URL, err)
	}
	return nil
}

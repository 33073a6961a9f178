package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
	conduct "resilience/internal/run"
	"resilience/internal/telemetry"
	"resilience/internal/traffic"
	"resilience/scenarios"
)

// adapters make what the conductor needs of the world outside.
func adapters(p plan.Plan) conduct.Adapters {
	return conduct.Adapters{
		Traffic: newTraffic,
		Dependency: func(ctx context.Context, name string, d plan.Dependency, phase string, emit func(measure.Batch) error) (conduct.Dependency, error) {
			return disrupt.NewDependency(ctx, name, d, phase, p.Dir, emit)
		},
		Disruption: func(d plan.Disruption, site conduct.Site) (conduct.Disruption, error) {
			return disrupt.New(d, siteOf(site))
		},
		Telemetry: func(o plan.Observation) (conduct.Telemetry, error) { return telemetry.New(o) },
		Undo: func(ctx context.Context, d plan.Disruption, undo json.RawMessage, site conduct.Site) error {
			return disrupt.Undo(ctx, d, undo, siteOf(site))
		},
		Image:   disrupt.Image,
		Control: controlForScripts,
	}
}

// siteOf tells a disruption's driver what the conductor knows.
func siteOf(s conduct.Site) disrupt.Site {
	site := disrupt.Site{
		Run: s.Run, Phase: s.Phase, Dir: s.Dir, Env: s.Env, Seed: s.Seed, Spares: s.Spares, Note: s.Note,
		Dependencies: map[string]disrupt.Dependency{}, Services: map[string]disrupt.Service{},
	}
	for name, d := range s.Dependencies {
		if proxy, ok := d.(disrupt.Dependency); ok {
			site.Dependencies[name] = proxy
		}
	}
	for name, service := range s.Services {
		site.Services[name] = service
	}
	return site
}

// newTraffic chooses the engine: k6 for a script, vegeta for requests, a replay for
// what users asked.
func newTraffic(s plan.Stream) (conduct.Traffic, error) {
	kind, profile := s.Test.Kind()
	switch kind {
	case plan.KindCanary:
		return canaryTraffic{s}, nil
	case plan.KindShadow:
		return newReplay(s)
	}
	if profile.Script == "" {
		return traffic.NewRequests(s)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to run k6 with: %w", err)
	}
	script := plan.Locate(s.Dir, profile.Script)
	if embedded, ok := scenarios.Open(profile.Script); ok {
		return newEmbedded(s, []string{self, "k6"}, filepath.Base(profile.Script), embedded)
	}
	return traffic.NewK6(s, []string{self, "k6"}, script)
}

// embedded is a k6 run of a script that ships with this program: it is written
// to a folder that lives as long as the run.
type embedded struct {
	stream  plan.Stream
	command []string
	name    string
	text    []byte
}

func newEmbedded(s plan.Stream, command []string, name string, text []byte) (conduct.Traffic, error) {
	return &embedded{stream: s, command: command, name: name, text: text}, nil
}

// Run implements the conductor's Traffic.
func (e *embedded) Run(ctx context.Context, emit func(measure.Batch) error) error {
	dir, err := os.MkdirTemp("", "resilience-script-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, e.name)
	if err := os.WriteFile(path, e.text, 0o600); err != nil {
		return err
	}
	k6, err := traffic.NewK6(e.stream, e.command, path)
	if err != nil {
		return err
	}
	return k6.Run(ctx, emit)
}

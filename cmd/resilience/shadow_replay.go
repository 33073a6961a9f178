package main

import (
	"errors"
	"fmt"

	conduct "resilience/internal/run"

	"resilience/internal/plan"
	"resilience/internal/shadow"
	"resilience/internal/traffic"
)

// checkRecordings wants what the shadow tests of some phases replay to be recordings.
func checkRecordings(p plan.Plan, phases []plan.Phase) error {
	var errs []error
	for _, phase := range phases {
		for _, test := range phase.Tests {
			if test.Shadow == nil {
				continue
			}
			r, err := shadow.Open(plan.Locate(p.Dir, test.Shadow.Recording))
			if err == nil {
				err = r.Close()
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("phase %s, test %s: recording: %w", phase.Name, test.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// newReplay makes the engine of a shadow test. It reaches its targets as all
// engines do: no hosts but those of the plan, and with the targets' credentials.
func newReplay(s plan.Stream) (conduct.Traffic, error) {
	return shadow.NewReplay(s, shadow.Outside{
		Open: func(path string) (shadow.Recording, error) { return shadow.Open(path) },
		Sender: func(target plan.Target, hosts []string, dir string, conns int) (shadow.Sender, error) {
			link, err := traffic.NewLink(target, hosts, dir, conns)
			if err != nil {
				return shadow.Sender{}, err
			}
			return shadow.Sender{Transport: link, Ready: link.Ready, Status: traffic.Status, Close: link.Close}, nil
		},
		Busy: traffic.WatchCPU(),
	})
}

package disrupt

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"resilience/internal/measure"
)

// watchEvery is how often the pods under a fault are looked at.
const watchEvery = 2 * time.Second

// snapshot is how pods were, by uid, to see what else happened to them.
type snapshot map[string]podState

func snapshotOf(pods []podState) snapshot {
	out := snapshot{}
	for _, p := range pods {
		out[p.uid] = p
	}
	return out
}

// note tells of pods that were replaced between two looks at what a disruption
// acts on.
func (s snapshot) note(site Site, now []podState) {
	for _, p := range now {
		if _, known := s[p.uid]; !known && len(s) > 0 {
			site.Note(measure.EventChange, p.name, map[string]string{"kind": "rollout", "detail": "another pod than before the tests began"})
		}
	}
}

// change is something that happened to the pods in the middle of a fault.
type change struct{ name, kind, detail string }

// changes compares all selected pods with how they were.
func (s snapshot) changes(now []podState) []change {
	if len(s) == 0 {
		return nil
	}
	var out []change
	owners, fresh, seen := map[string]bool{}, map[string]int{}, map[string]bool{}
	for _, p := range s {
		owners[p.owner] = true
	}
	for _, p := range now {
		seen[p.uid] = true
		was, known := s[p.uid]
		switch {
		case !known && !owners[p.owner]:
			out = append(out, change{p.name, "rollout", "a pod of " + p.owner + " appeared"})
		case !known:
			fresh[p.owner]++
		case p.restarts > was.restarts:
			out = append(out, change{p.name, "restart", "its containers restarted: " + strconv.Itoa(p.restarts-was.restarts) + " times"})
		}
	}
	lost := map[string]int{}
	for uid, p := range s {
		if !seen[uid] {
			lost[p.owner]++
			out = append(out, change{p.name, "restart", "the pod is gone"})
		}
	}
	for owner, n := range fresh {
		if n > lost[owner] {
			out = append(out, change{owner, "scale", fmt.Sprintf("%d pods more than before", n-lost[owner])})
		}
	}
	return out
}

// watch notes what else happens to the selected pods while a fault is in
// effect.
func (f *agentFault) watch(ctx context.Context) {
	var before snapshot
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		quick, cancel := context.WithTimeout(ctx, watchEvery)
		found, _, err := f.everyone(quick)
		cancel()
		if err == nil {
			for _, c := range before.changes(found) { // none at first
				f.site.Note(measure.EventChange, c.name, map[string]string{"kind": c.kind, "detail": c.detail})
			}
			before = snapshotOf(found)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

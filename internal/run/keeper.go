package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"resilience/internal/plan"
)

// keeper journals one injection of a disruption, if it would outlive this
// process.
type keeper struct {
	c *Conductor
	b *bound
	d plan.Disruption

	mu   sync.Mutex
	kept *kept // nil: nothing was announced
}

// injecting bounds how long an injection may take before the watchdog takes
// the run for stuck.
const injecting = 5 * time.Minute

// keep journals what it takes to undo the fault. It fails when nobody would
// undo it: without a journal, or when its watchdog has died.
func (k *keeper) keep(undo json.RawMessage) error {
	journal, err := k.c.Guard.begin()
	if err != nil {
		return fmt.Errorf("the fault would outlive this process: %w", err)
	}
	if !k.c.Guard.alive() {
		return errors.New("the fault would outlive this process: its watchdog has died")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := kept{Phase: k.b.phase.Name, Env: k.c.additions(k.b), Undo: undo, Deadline: time.Now().Add(injecting + k.lasts()).UTC()}
	if k.kept != nil {
		next.ID = k.kept.ID
	} else {
		next.ID = journal.id()
	}
	if next.Disruption, err = json.Marshal(k.d); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if dependency, ok := k.b.upstream[k.d.Dependency]; ok {
		if next.Dependency, err = json.Marshal(dependency); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	return k.write(journal, next)
}

// write puts an entry without secrets into the journal; k.mu is held.
func (k *keeper) write(journal *Journal, next kept) error {
	data, err := journal.hide.hidden(next)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	var safe kept
	if err := json.Unmarshal(data, &safe); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := journal.write(entry{Fault: &safe}); err != nil {
		return err
	}
	k.kept = &safe
	return nil
}

// injected sets the time at which the watchdog lifts the fault if the run does
// not.
func (k *keeper) injected() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		return nil
	}
	k.kept.Deadline = time.Now().Add(k.lasts()).UTC()
	return k.c.Guard.journal.write(entry{Fault: k.kept})
}

// lifted journals that the fault is gone, or why it may not be.
func (k *keeper) lifted(err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		return nil
	}
	line := lifted{ID: k.kept.ID, At: time.Now().UTC(), By: "run"}
	if err != nil {
		line.Error = k.c.redact(err.Error())
	}
	return k.c.Guard.journal.write(entry{Lifted: &line})
}

// lasts is how long the fault is in effect, and the time to settle.
func (k *keeper) lasts() time.Duration {
	settle := time.Duration(0)
	if k.d.Settle != nil {
		settle = time.Duration(*k.d.Settle)
	}
	return time.Duration(k.d.For) + settle
}

// additions are the variables that commands of the plan see beside the
// environment of this process.
func (c *Conductor) additions(b *bound) map[string]string {
	env := map[string]string{"TARGET_URL": b.targets[b.phase.Candidate].URL}
	maps.Copy(env, b.env)
	for name, proxy := range b.proxies {
		env[plan.DependencyVariable(name)] = proxy.URL()
	}
	return env
}

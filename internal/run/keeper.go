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
	kept *kept           // nil: nothing was announced
	undo json.RawMessage // as it was handed over
}

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
	next := kept{Phase: k.b.phase.Name, Env: k.c.additions(k.b), Undo: undo, Deadline: k.injectedBy()}
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
	if err := k.write(journal, next); err != nil {
		return err
	}
	k.undo = undo
	return nil
}

// injectedBy is when an injection that begins now, and undoing it where it
// fails, must be over: then the watchdog takes the run for stuck.
func (k *keeper) injectedBy() time.Time {
	return time.Now().Add(k.patience() + 2*liftPatience + k.lasts()).UTC()
}

// write puts an entry without secrets into the journal; k.mu is held.
func (k *keeper) write(journal *Journal, next kept) error {
	safe, err := journal.hide.kept(next)
	if err != nil {
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
func (k *keeper) injected() error { return k.until(k.lasts()) }

// lifting keeps the watchdog from lifting the fault, too, while the run does.
func (k *keeper) lifting() error { return k.until(liftPatience + letGo) }

// until journals how long from now the watchdog is to leave the fault alone.
func (k *keeper) until(rest time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		return nil
	}
	k.kept.Deadline = time.Now().Add(rest).UTC()
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

// shared are the variables that all processes of the plan see beside the
// environment of this one.
func (c *Conductor) shared(b *bound) map[string]string {
	env := map[string]string{}
	maps.Copy(env, b.env)
	for name, proxy := range b.proxies {
		env[plan.DependencyVariable(name)] = proxy.URL()
		if secure, ok := proxy.(interface{ CA() string }); ok && secure.CA() != "" {
			env[plan.AuthorityVariable(name)] = secure.CA()
		}
	}
	if b.alerts != "" {
		env[alertsVariable] = b.alerts
	}
	return env
}

// additions are those that hooks and disruptions see, whether they inject,
// lift, or undo in another process.
func (c *Conductor) additions(b *bound) map[string]string {
	env := c.shared(b)
	env["TARGET_URL"] = b.targets[b.phase.Candidate].URL
	return env
}

// listed gives variables as a process takes them.
func listed(env map[string]string) []string {
	var list []string
	for _, name := range sorted(env) {
		list = append(list, name+"="+env[name])
	}
	return list
}

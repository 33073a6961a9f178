package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Lifter undoes what runs left behind, from their journals.
type Lifter struct {
	Adapters func(plan.Plan) Adapters    // of a plan of which only the folder and the secrets are known
	Getenv   func(string) (string, bool) // where secrets are looked up
	By       string                      // who: watchdog or lift
	Timeout  time.Duration               // of undoing one fault
	Force    bool                        // also when the run seems to go on
	Done     func([]Undone) error        // is told what became of what was left; nil: nobody wants to know
}

// Undone is what became of one thing that a run left behind.
type Undone struct {
	Run    string
	Phase  string
	Name   string // of the disruption, or of the process
	Fault  string // "" for a process group
	On     string
	Err    error  // why it may still be there
	ByHand string // how to undo it without this program, when it may

	Warnings []string // what could not be known all the same
}

// Lift undoes all that a journal says is left, verifies that, and notes it
// there. It may be called again. The error is [ErrAlive] when the run still
// goes on, or says why the journal can not be read; what could not be undone is
// in the list.
func (l Lifter) Lift(ctx context.Context, path string) (done []Undone, err error) {
	journal, err := openJournal(path, l.Force)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, journal.close()) }()
	left, err := readLeft(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	done = l.undo(ctx, journal, left, left.faults)
	return done, errors.Join(l.tell(done), left.damaged(path))
}

func (l Lifter) tell(done []Undone) error {
	if l.Done == nil || len(done) == 0 {
		return nil
	}
	return l.Done(done)
}

// undo lifts faults side by side, and ends the process groups meanwhile.
func (l Lifter) undo(ctx context.Context, journal *Journal, left left, faults []kept) []Undone {
	u := undoer{Lifter: l, journal: journal, run: left.run}
	secrets := plan.Plan{Secrets: left.run.Secrets, Dir: left.run.Dir}
	u.hide = newHiding(secrets, l.Getenv)
	u.adapters = l.Adapters(secrets)
	u.redact = (&Conductor{Plan: secrets, Getenv: l.Getenv}).redact
	done := make([]Undone, len(faults)+len(left.groups))
	var all sync.WaitGroup
	for i, fault := range faults {
		all.Go(func() { done[i] = u.fault(ctx, fault) })
	}
	all.Wait() // a service that is lifted first is ended all the same
	for i, group := range left.groups {
		done[len(faults)+i] = u.group(ctx, group)
	}
	return done
}

// undoer undoes what one journal says.
type undoer struct {
	Lifter
	adapters Adapters
	journal  *Journal
	run      journalled
	hide     *hiding
	redact   func(string) string
}

func (u undoer) fault(ctx context.Context, k kept) Undone {
	done := Undone{Run: u.run.ID, Phase: k.Phase}
	d := u.hide.disruption(k)
	done.Name, done.ByHand = d.Name, u.byHand((&hiding{}).disruption(k), k)
	done.Fault, _ = d.Fault()
	_, done.On = d.On()
	var mu sync.Mutex // what is left behind may still say something
	var said []string
	err := within(ctx, u.Timeout, func(ctx context.Context) error {
		return u.tryToUndo(ctx, k, func(text string) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, u.redact(text))
		})
	})
	mu.Lock()
	done.Warnings = slices.Clone(said)
	mu.Unlock()
	line := lifted{ID: k.ID, At: time.Now().UTC(), By: u.By}
	if err != nil {
		line.Error = u.redact(err.Error())
		done.Err = errors.New(line.Error)
	}
	done.Err = errors.Join(done.Err, u.journal.write(entry{Lifted: &line}))
	return done
}

func (u undoer) tryToUndo(ctx context.Context, k kept, warn func(string)) error {
	full, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := u.hide.shown(full, &k); err != nil {
		return err
	}
	var d plan.Disruption
	if err := json.Unmarshal(k.Disruption, &d); err != nil {
		return err
	}
	site := Site{
		Run: u.run.ID, Phase: k.Phase, Dir: u.run.Dir, Env: append(os.Environ(), listed(k.Env)...), Seed: u.run.Seed,
		Note: func(kind, _ string, attrs map[string]string) {
			if kind == measure.EventWarning {
				warn(attrs["detail"])
			}
		},
	}
	if err := u.reach(ctx, d, k, &site); err != nil {
		return err
	}
	for _, dependency := range site.Dependencies {
		defer dependency.Close()
	}
	return u.adapters.Undo(ctx, d, k.Undo, site)
}

// reach makes the proxy that a fault is on, where it is a remote one.
func (u undoer) reach(ctx context.Context, d plan.Disruption, k kept, site *Site) error {
	if len(k.Dependency) == 0 {
		return nil
	}
	var definition plan.Dependency
	if err := json.Unmarshal(k.Dependency, &definition); err != nil {
		return err
	}
	if definition.Proxy == nil { // one of Toxiproxy is known from what was kept: to open it is refused while a fault disables it
		return nil
	}
	proxy, err := u.adapters.Dependency(ctx, d.Dependency, definition, k.Phase, func(measure.Batch) error { return nil })
	if err != nil {
		return fmt.Errorf("dependency %s: %w", d.Dependency, err)
	}
	site.Dependencies = map[string]Dependency{d.Dependency: proxy}
	return nil
}

// byHand says how to undo a fault without this program, and without telling
// secrets.
func (u undoer) byHand(d plan.Disruption, k kept) string {
	switch {
	case d.Exec != nil:
		return "run in " + u.run.Dir + ": " + named.Replace(d.Exec.Lift)
	case d.HTTP != nil:
		return callByHand(d.HTTP.Lift, k.Undo)
	case len(k.Undo) > 0:
		return "it was noted how things were before: " + named.Replace(string(k.Undo))
	}
	return "nothing more was noted"
}

// named has the names of secrets where their values were, as they are and as a
// URL has them.
var named = strings.NewReplacer(
	hideOpen, "${secrets.", hideClose, "}", url.QueryEscape(hideOpen), "${secrets.", url.QueryEscape(hideClose), "}",
)

// callByHand is a call that lifts, with what was kept of the answer of the one
// that injected, as far as it was.
func callByHand(call plan.Call, undo json.RawMessage) string {
	var kept plan.Kept
	_ = json.Unmarshal(undo, &kept) // then nothing is known
	fill := func(text string, write func(string) string) string {
		full, err := plan.ExpandKept(text, func(name string) (string, bool) {
			if value, ok := kept.Values[name]; ok {
				return write(value), true
			}
			return "${kept." + name + "}", true
		})
		if err != nil {
			full = text
		}
		return named.Replace(full)
	}
	asIs := func(value string) string { return value }
	what := "call " + strings.TrimSpace(call.Method+" "+fill(call.URL, url.PathEscape))
	for _, name := range sorted(call.Headers) {
		what += ", header " + name + ": " + fill(call.Headers[name], asIs)
	}
	body := call.Body
	if encoded, err := json.Marshal(call.JSON); err == nil && call.JSON != nil {
		body = string(encoded)
	}
	if body != "" {
		what += ", body " + fill(body, asIs)
	}
	if kept.Open {
		what += " (whether the call that was to inject it took effect is not known)"
	}
	return what
}

func (u undoer) group(ctx context.Context, g group) Undone {
	done := Undone{Run: u.run.ID, Name: g.Name, On: fmt.Sprintf("process group %d", g.Pid)}
	ctx, cancel := context.WithTimeout(ctx, u.Timeout)
	defer cancel()
	if !g.kill(ctx) {
		done.Err = errors.New("it could not be killed")
		done.ByHand = fmt.Sprintf("kill -KILL -- -%d", g.Pid)
		return done
	}
	done.Err = u.journal.write(entry{Ended: &g})
	return done
}

// within runs a step that may not end when its context does: then it is left
// behind, with an error that says so.
func within(ctx context.Context, limit time.Duration, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer recovered(&err, "undo")
		err = step(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select { // it may be just about to say more
	case err := <-done:
		return err
	case <-time.After(letGo / 2):
		return fmt.Errorf("it did not come to its end: %w", ctx.Err())
	}
}

// Failed are those that may still be there.
func Failed(done []Undone) []Undone {
	return slices.DeleteFunc(slices.Clone(done), func(u Undone) bool { return u.Err == nil })
}

// LeftBehind names the disruptions that a run which is over left, as its journal
// tells. The error is [ErrAlive] while the run goes on, or another undoes what
// it left, and [fs.ErrNotExist] without a journal: then nothing is left, or
// there never was anything.
func LeftBehind(path string) (names []string, err error) {
	journal, err := openJournal(path, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, journal.file.Close()) }()
	left, err := readLeft(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return left.names(), left.damaged(path)
}

// Active names the disruptions that are in effect, or going in, as far as the
// journal of a run tells that still goes on.
func Active(path string) []string {
	left, err := readLeft(path)
	if err != nil {
		return nil
	}
	return left.names()
}

// names are those of the disruptions.
func (l left) names() (names []string) {
	for _, k := range l.faults {
		names = append(names, (&hiding{}).disruption(k).Name)
	}
	return names
}

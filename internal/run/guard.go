package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Guard sees to it that nothing outlives a run: it keeps the journal, and a
// second process, the watchdog, that undoes what the journal says should this
// one die. Both begin when there is something to journal.
type Guard struct {
	// Path is where the journal is put.
	Path string
	// Watchdog is the command of the watchdog; the path of the journal is
	// appended. Its standard input ends when this process does.
	Watchdog []string
	// Logs is the folder that it writes its log to.
	Logs string
	// Plan, ID, Seed and Getenv are those of the run.
	Plan   plan.Plan
	ID     string
	Seed   int64
	Getenv func(string) (string, bool)

	mu      sync.Mutex
	begun   bool
	err     error
	journal *Journal
	dog     *exec.Cmd
	leash   *os.File // the watchdog's standard input
	exited  chan struct{}
}

// begin gives the journal, watched over; the same answer each time. Without a
// guard there is none.
func (g *Guard) begin() (*Journal, error) {
	if g == nil {
		return nil, errors.New("no journal is kept: nothing would undo it if this process died")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.begun {
		g.begun = true
		g.err = g.start()
	}
	return g.journal, g.err
}

func (g *Guard) start() error {
	journal, err := CreateJournal(g.Path, g.Plan, g.ID, g.Seed, g.Getenv)
	if err != nil {
		return err
	}
	if err := g.unleash(); err != nil {
		return errors.Join(fmt.Errorf("the watchdog did not start: %w", err), journal.close())
	}
	g.journal = journal
	return nil
}

// unleash starts the watchdog: in a session of its own, so that no terminal and
// no signal to our group reaches it.
func (g *Guard) unleash() (err error) {
	if err := os.MkdirAll(g.Logs, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(g.Logs, "watchdog.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, read.Close()) }()
	path, err := filepath.Abs(g.Path)
	if err != nil {
		return err
	}
	args := append(append([]string{}, g.Watchdog[1:]...), path)
	cmd := exec.Command(g.Watchdog[0], args...) //nolint:gosec // this program
	cmd.Stdin, cmd.Stdout, cmd.Stderr = read, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, write.Close())
	}
	g.dog, g.leash, g.exited = cmd, write, make(chan struct{})
	go func() {
		defer close(g.exited)
		_ = cmd.Wait() // what it did is in the journal
	}()
	return nil
}

// alive reports whether the watchdog runs.
func (g *Guard) alive() bool {
	select {
	case <-g.exited:
		return false
	default:
		return true
	}
}

// Close ends the watchdog. Nothing of the journal is left when nothing is left
// to undo. What could not be lifted the watchdog tries once more by itself: who
// waits for the run is told at once that something may be left.
func (g *Guard) Close() error {
	if g == nil || g.journal == nil {
		return nil
	}
	err := g.release()
	left, unread := readLeft(g.journal.path)
	err = errors.Join(err, unread, g.journal.unlock())
	_, _ = g.leash.WriteString(wentWell) // it may have died
	err = errors.Join(err, g.leash.Close())
	if len(left.faults) > 0 {
		return errors.Join(err, g.journal.file.Close()) // it is the watchdog's now
	}
	timer := time.NewTimer(liftTimeout + 2*letGo)
	defer timer.Stop()
	select {
	case <-g.exited:
	case <-timer.C:
		err = errors.Join(err, errors.New("the watchdog did not end"))
	}
	g.journal.locked = lock(g.journal.file) == nil // somebody else may be at it by now
	return errors.Join(err, g.journal.close())
}

// started notes a process group that is to end with the run, and gives what
// notes its end.
func (g *Guard) started(pid int, name string) (ended func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	journal, err := g.begin()
	if err != nil {
		return func() {}, err
	}
	started := groupOf(pid, name)
	if err := journal.write(entry{Process: &started}); err != nil {
		return func() {}, err
	}
	return func() {
		if !started.alive() { // or it left something behind
			_ = journal.write(entry{Ended: &started}) // else it is looked for once more
		}
	}, nil
}

// release leaves alone what hooks of the plan left in the background: the run
// came to its end and is not to be undone.
func (g *Guard) release() error {
	left, err := readLeft(g.journal.path)
	if err != nil {
		return err
	}
	for _, group := range left.groups {
		err = errors.Join(err, g.journal.write(entry{Ended: &group}))
	}
	return err
}

// unguarded tells once that processes would outlive this one if it were killed.
func (c *Conductor) unguarded(name string, err error) {
	c.warned.Do(func() {
		_ = c.event(measure.Event{Kind: measure.EventWarning, Name: "journal", Attrs: map[string]string{ // as in note
			"detail": fmt.Sprintf("what %s and others start would outlive this program if it were killed: %v", name, err),
		}})
	})
}

package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

const (
	// watchdogTimeout bounds what a watchdog does after its run has died.
	watchdogTimeout = 30 * time.Second
	// overdue is how long after its time a fault may be in effect before the
	// watchdog takes the run for stuck, and lifts it.
	overdue = 10 * time.Second
	// lookout is how often it looks whether one is.
	lookout = time.Second
	// retry is the pause before it tries once more.
	retry = 2 * time.Second
)

// Watch is the watchdog of a run. It waits until alive ends, which it does when
// the run's process is gone, however that came about, and then undoes what the
// journal says is left. Meanwhile it lifts the faults whose time is over: the
// run may have been stopped, or hang. What it does it says. It returns within
// half a minute after the run has ended; what is left then is in the journal,
// for `resilience lift`.
func (l Lifter) Watch(ctx context.Context, path string, alive io.Reader, say io.Writer) error {
	dead := make(chan bool, 1)
	go func() {
		said, _ := io.ReadAll(io.LimitReader(alive, int64(len(wentWell)))) // any end is one
		dead <- string(said) != wentWell
	}()
	l.Timeout = liftTimeout
	ticker := time.NewTicker(lookout)
	defer ticker.Stop()
	tried := map[int]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case again := <-dead:
			return l.bury(ctx, path, again, say)
		case <-ticker.C:
			if err := l.liftOverdue(ctx, path, tried, say); err != nil {
				fmt.Fprintln(say, time.Now().UTC().Format(time.RFC3339), err)
			}
		}
	}
}

// liftOverdue lifts the faults whose time is over, each once in a while until
// that succeeds.
func (l Lifter) liftOverdue(ctx context.Context, path string, tried map[int]time.Time, say io.Writer) error {
	found, err := readLeft(path)
	if err != nil {
		return err
	}
	var late []kept
	now := time.Now()
	for _, k := range found.faults {
		if now.After(k.Deadline.Add(overdue)) && now.Sub(tried[k.ID]) > overdue {
			tried[k.ID] = now
			late = append(late, k)
		}
	}
	if len(late) == 0 {
		return nil
	}
	l.Force = true // the run has it
	journal, err := openJournal(path, l.Force)
	if err != nil {
		return err
	}
	defer journal.file.Close()
	found.groups = nil
	done := l.undo(ctx, journal, found, late)
	fmt.Fprint(say, told("overdue", done))
	return l.tell(done)
}

// wentWell is what a run says that ends by itself. It has tried to lift what is
// left, and does not wait for its watchdog, which tries once more.
const wentWell = "end\n"

// bury undoes what a dead run left, and tries again if that is asked for.
// Another that does so already is waited for then; else it does instead.
func (l Lifter) bury(ctx context.Context, path string, again bool, say io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, watchdogTimeout)
	defer cancel()
	for {
		done, err := l.Lift(ctx, path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrAlive) && !again: // nothing was left, or somebody lifts it
			return nil
		case err == nil && len(Failed(done)) == 0:
			fmt.Fprint(say, told("left behind", done))
			return nil
		}
		fmt.Fprint(say, told("left behind", done))
		rest := retry
		if errors.Is(err, ErrAlive) {
			rest = groupPoll
		} else if err != nil {
			fmt.Fprintln(say, time.Now().UTC().Format(time.RFC3339), err)
		}
		if !again || wait(ctx, rest) != nil {
			return errors.Join(errors.New("a fault may still be active: run resilience lift"), err)
		}
	}
}

// told is what the log of a watchdog says of what it did.
func told(why string, done []Undone) string {
	var text strings.Builder
	for _, u := range done {
		outcome := "lifted"
		switch {
		case u.Err != nil:
			outcome = "not lifted: " + u.Err.Error()
		case u.Fault == "":
			outcome = "ended"
		}
		fmt.Fprintf(&text, "%s %s: %s %s on %s: %s\n", time.Now().UTC().Format(time.RFC3339Nano), why, u.Name, u.Fault, u.On, outcome)
	}
	return text.String()
}

package shadow

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// How long undoing may take: a pipeline that cancels waits for five seconds.
const (
	undoTime        = time.Minute
	undoInterrupted = 4 * time.Second
	undoSide        = 16 // sessions at a time
	undoTold        = 5  // failures that are told of one by one
)

// LeftError says that what writes of a test made may still be there.
type LeftError struct {
	Writes int      // that may not be undone
	Why    []string // the warnings of the test, of which there are only a few
}

func (e *LeftError) Error() string {
	return fmt.Sprintf("%d writes may still be there: take back what they made\n  %s", e.Writes, strings.Join(e.Why, "\n  "))
}

// Ended tells that the test came to its end all the same: what it measured is whole.
func (*LeftError) Ended() bool { return true }

// undo takes back what writes have made and sees that it is gone: of a session, on each
// lane, strictly the last first, so that what was made in something goes before it;
// different sessions side by side. It does so however the replay ended, and what it
// could not undo is a warning, and an error of the test.
func (p *replaying) undo(ctx context.Context) {
	all, unknown := p.ladder.takeMade()
	limit := undoTime
	if ctx.Err() != nil {
		limit = undoInterrupted
	}
	within, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	left := &leftover{p: p}
	slots := make(chan struct{}, undoSide)
	var working sync.WaitGroup
	for _, chain := range undoChains(all) {
		slots <- struct{}{}
		working.Go(func() {
			defer func() { <-slots }()
			for _, m := range chain {
				if err := p.lanes[m.lane].undo(within, m.undo); err != nil {
					left.add(m, err)
				}
			}
		})
	}
	working.Wait()
	p.left = left.tell(len(all), unknown)
}

// takeMade gives what writes have made, and of how many nobody knows what that is.
func (l *ladder) takeMade() (all []made, unknown int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, l.made = l.made, nil
	return all, l.failed
}

// leftover is what could not be undone.
type leftover struct {
	p *replaying

	mu       sync.Mutex
	failures int
	why      []string
}

func (l *leftover) add(m made, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures++; l.failures <= undoTold {
		l.warn("what %s made on the %s may still be there: %s: %v", m.route, l.p.lanes[m.lane].title(), m.undo, err)
	}
}

func (l *leftover) warn(format string, args ...any) {
	l.why = append(l.why, fmt.Sprintf(format, args...))
	l.p.record.warn(format, args...)
}

// tell warns of the rest, and gives the error of the test, nil for none.
func (l *leftover) tell(all, unknown int) *LeftError {
	if l.failures > undoTold {
		l.warn("%d of %d writes could not be undone", l.failures, all)
	}
	if unknown > 0 {
		l.warn("%d writes may have made something that can not be undone: their answers do not say what", unknown)
	}
	if len(l.why) == 0 {
		return nil
	}
	return &LeftError{Writes: l.failures + unknown, Why: l.why}
}

// undoChains orders what was made: each chain is of one session and lane, the last
// first, and so are the chains. What has no session is a chain each: nothing in it is
// carried from another, so that none was made in another.
func undoChains(all []made) (chains [][]made) {
	type owner struct {
		lane    int
		session string
	}
	known := map[owner]int{}
	for _, m := range slices.Backward(all) {
		of := owner{m.lane, m.session}
		at, is := known[of]
		if !is || m.session == "" {
			at = len(chains)
			known[of], chains = at, append(chains, nil)
		}
		chains[at] = append(chains[at], m)
	}
	return chains
}

// title names a lane for people.
func (l *lane) title() string {
	if l.arm == "" {
		return "second baseline"
	}
	return l.arm
}

// undo sends what takes something back, and looks whether it is gone.
func (l *lane) undo(ctx context.Context, what string) error {
	method, path, _ := strings.Cut(what, " ")
	status, err := l.patiently(ctx, method, path)
	switch {
	case err != nil:
		return err
	case status >= 300 && status != http.StatusNotFound && status != http.StatusGone:
		return fmt.Errorf("it was answered %d", status)
	case method != http.MethodDelete:
		return nil // what it leaves behind nobody knows
	}
	switch status, err = l.patiently(ctx, http.MethodGet, path); {
	case err != nil:
		return fmt.Errorf("whether it is gone could not be seen: %w", err)
	case status < 300:
		return fmt.Errorf("it was deleted, and is still answered %d", status)
	case status >= 500 || mayComeBack(http.MethodGet, status):
		return fmt.Errorf("it was deleted, and whether it is gone could not be seen: it was answered %d", status)
	}
	return nil
}

// How long undoing waits before it asks again who does not want to be asked so often.
const (
	undoWait    = 200 * time.Millisecond // at first; then twice as long each time
	undoPatient = 7                      // times, 25 s in all
)

// patiently sends a request until it is taken: many writes are undone at once, at which
// a limit that users never reach may be.
func (l *lane) patiently(ctx context.Context, method, path string) (status int, err error) {
	wait := undoWait
	for range undoPatient {
		if status, err = l.plainly(ctx, method, path); err != nil || !mayComeBack(method, status) {
			return status, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			wait *= 2
		case <-ctx.Done():
			timer.Stop()
			return status, nil
		}
	}
	return l.plainly(ctx, method, path)
}

// mayComeBack reports whether a request was refused for now, and does no harm again.
func mayComeBack(method string, status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable && (method == http.MethodDelete || safeMethod(method))
}

// plainly sends a request as the tenant and gives its status.
func (l *lane) plainly(ctx context.Context, method, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.test.Timeout))
	defer cancel()
	u, err := targetURL(l.base, path)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "resilience")
	req.Header.Set(ShadowHeader, "1")
	l.ladder.sign(req)
	resp, err := l.sender.Transport.RoundTrip(req)
	if err != nil {
		return 0, replayCause(ctx, err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, replayKept) // so that the connection can be used again
	return resp.StatusCode, nil
}

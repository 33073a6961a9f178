package report

import (
	"io"
	"strings"
	"sync"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
)

// Schedule is the time line that a phase of the plan should take.
type Schedule struct {
	Phase       string
	Length      time.Duration // of the whole phase; 0 when not known
	Tests       []Span
	Disruptions []Span
}

// Span is a part of a schedule; At counts from the start of the phase.
type Span struct {
	Name    string
	At, For time.Duration
}

// LiveOptions say where a live view is shown and of what.
type LiveOptions struct {
	Terminal  bool             // whether lines may be drawn over
	Color     bool             // whether to use colours
	Width     func() int       // columns of the terminal, asked for at each drawing; nil means 80
	Now       func() time.Time // nil means time.Now
	Schedules []Schedule       // of the phases that will run
	Secret    bool             // disruptions are not shown before they were detected or lifted
}

const (
	liveRedraw  = 200 * time.Millisecond // on a terminal
	liveStatus  = 10 * time.Second       // elsewhere
	livePending = 500                    // lines that wait for a slow writer; more are counted
	liveClosing = 2 * time.Second        // how long Close waits for a stuck writer
)

// Live shows a run while it goes on. On a terminal, up to three lines are
// drawn again and again below the lines of what happened; elsewhere there are
// lines only, and one with the state every ten seconds. Its methods may be
// called from several goroutines and never wait for the writer.
type Live struct {
	w       io.Writer
	options LiveOptions

	mu      sync.Mutex
	view    view
	pending []string
	lost    int
	closed  bool

	drawn int // status lines on the terminal now; of the drawing goroutine
	wake  chan struct{}
	stop  chan struct{}
	done  chan struct{}
}

// NewLive starts a live view on w; [Live.Close] ends it.
func NewLive(w io.Writer, options LiveOptions) *Live {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Width == nil {
		options.Width = func() int { return 80 }
	}
	l := &Live{
		w: w, options: options, view: newView(options.Now(), options.Schedules, options.Secret),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go l.draw()
	return l
}

// Heard takes in what was measured and what happened.
func (l *Live) Heard(batch measure.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, e := range batch.Events {
		for _, e := range l.view.reveal(e) {
			if line := l.view.happened(e, l.options.Now()); line != "" {
				l.say(line)
			}
		}
	}
	for _, w := range batch.Windows {
		l.view.measured(w)
	}
}

// Judged takes in the verdict of a phase, which ends it.
func (l *Live) Judged(verdict gates.Verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.say(l.view.judged(verdict, l.options.Now()))
}

// Close draws what is left to say, clears the status and leaves the terminal
// as it was. It may be called more than once.
func (l *Live) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.stop)
	}
	l.mu.Unlock()
	patience := time.NewTimer(liveClosing)
	defer patience.Stop()
	select {
	case <-l.done:
	case <-patience.C:
	}
}

// say puts a line up for drawing; l.mu is held.
func (l *Live) say(line string) {
	if len(l.pending) >= livePending {
		l.lost++
		return
	}
	l.pending = append(l.pending, line)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// draw is the only goroutine that writes. It ends early if the writer fails,
// because a view that nobody can see is no reason to stop a run.
func (l *Live) draw() {
	defer close(l.done)
	every := liveStatus
	if l.options.Terminal {
		every = liveRedraw
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ticker.C:
			err = l.write(true)
		case <-l.wake:
			err = l.write(l.options.Terminal)
		case <-l.stop:
			_ = l.write(false)
			return
		}
		if err != nil {
			return
		}
	}
}

// write writes the lines that wait and, if asked, the status, all at once.
func (l *Live) write(status bool) error {
	lines, state := l.take(status)
	var b strings.Builder
	b.WriteString(erase(l.drawn))
	l.drawn = 0
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	if l.options.Terminal {
		b.WriteString(strings.Join(state, "\n"))
		l.drawn = len(state)
	} else {
		for _, line := range state {
			b.WriteString(line + "\n")
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(l.w, b.String())
	return err
}

// take gives what to write.
func (l *Live) take(status bool) (lines, state []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, l.pending = l.pending, nil
	if l.lost > 0 {
		lines = append(lines, plural(uint64(l.lost), "line")+" left out: the output is too slow")
		l.lost = 0
	}
	p := page{color: l.options.Color}
	now := l.options.Now()
	switch {
	case !status:
	case l.options.Terminal:
		state = l.view.status(p, now, max(l.options.Width(), 20)-1)
	default:
		state = l.view.statusLine(now)
	}
	return lines, state
}

// erase clears the status lines that the cursor is at the end of (ECMA-48: CUU
// and ED).
func erase(lines int) string {
	switch lines {
	case 0:
		return ""
	case 1:
		return "\r\x1b[J"
	}
	return "\r" + strings.Repeat("\x1b[A", lines-1) + "\x1b[J"
}

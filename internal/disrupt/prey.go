package disrupt

import (
	"slices"
	"strconv"
	"sync"
	"time"
)

// prey is the one process that faults have to do with, whatever pid files name
// it, and whatever these say later: who stopped a process has to let the same
// one go on. It is the key of its grip.
type prey struct {
	mu    sync.Mutex
	now   mark     // the process; another once it was started again
	since string   // when it was ended: the youngest start of a process then; "" when it was not
	paths []string // the pid files that named it
}

func (h *prey) is() mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// become says which process it is from now on.
func (h *prey) become(m mark) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now, h.since = m, ""
}

// end says that the process is about to be ended.
func (h *prey) end(m mark, since string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now, h.since = m, since
}

// backAs reports whether p can be what the process was started again as.
func (h *prey) backAs(p proc) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return succeeds(p, h.now, h.since)
}

// claimed reports whether a pid file that names p means this process: because
// it is p, or was ended and p is what is left of it or of its like.
func (h *prey) claimed(path string, p proc) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.alive() {
		return h.now == p.mark()
	}
	return h.now.PID == p.pid || h.since != "" && slices.Contains(h.paths, path)
}

func (h *prey) namedBy(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.paths, path) {
		h.paths = append(h.paths, path)
	}
}

// succeeds reports whether p is alive, another process than the one that was
// ended, and not older than since, the youngest start of a process at that
// time. The clock of starts is coarse (10 ms on Linux), so that a process which
// was started in the same tick counts as younger.
func succeeds(p proc, ended mark, since string) bool {
	if !p.alive() || p.mark() == ended {
		return false
	}
	at, known := began(p.start)
	then, when := began(since)
	return !known || !when || at >= then
}

// youngest is when the youngest of all processes was started.
func youngest() (string, error) {
	all, err := processes()
	if err != nil {
		return "", err
	}
	var start string
	var last int64
	for _, p := range all {
		if at, known := began(p.start); known && (start == "" || at > last) {
			start, last = p.start, at
		}
	}
	return start, nil
}

// began orders starts: Linux tells them in ticks since it was booted, ps as a
// date.
func began(start string) (at int64, known bool) {
	if at, err := strconv.ParseInt(start, 10, 64); err == nil {
		return at, true
	}
	date, err := time.Parse("Mon Jan 2 15:04:05 2006", start)
	return date.Unix(), err == nil
}

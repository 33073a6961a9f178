package disrupt

import (
	"context"
	"sync"

	"resilience/internal/measure"
)

// Limits of what a backlog holds and what it hands out at a time, in windows
// and events.
const (
	maxBacklog = 20_000
	maxPage    = 1000
)

// Backlog holds what a proxy measured until whoever controls it from elsewhere
// fetches it. Windows and events are numbered from 1 as they come; a reader
// asks for what follows the last that it has, so that a lost answer loses
// nothing and repeats nothing, and several may read. When there are too many
// the oldest go, and readers are told how many they missed. The zero value is
// ready.
type Backlog struct {
	mu    sync.Mutex
	held  []measure.Batch // each of one window or event
	first uint64          // how many came before those held
	more  chan struct{}   // closed when something comes; nil while nobody waits
}

// page is what a backlog has after a number.
type page struct {
	Batch  measure.Batch
	Cursor uint64 // the number of its last
	Missed uint64 // what came in between and is gone
}

// Keep takes a batch in; it is what a proxy's emit is. It never fails.
func (b *Backlog) Keep(batch measure.Batch) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range batch.Windows {
		b.held = append(b.held, measure.Batch{Windows: []measure.Window{w}})
	}
	for _, e := range batch.Events {
		b.held = append(b.held, measure.Batch{Events: []measure.Event{e}})
	}
	if excess := len(b.held) - maxBacklog; excess > 0 {
		clear(b.held[:excess]) // for the collector
		b.held = b.held[excess:]
		b.first += uint64(excess)
	}
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
	return nil
}

// Cursor is the number of the latest window or event.
func (b *Backlog) Cursor() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first + uint64(len(b.held))
}

// after gives what follows a number, as soon as there is something or the
// context ends.
func (b *Backlog) after(ctx context.Context, cursor uint64) page {
	for {
		p, more := b.page(cursor)
		if more == nil {
			return p
		}
		select {
		case <-more:
		case <-ctx.Done():
			return p
		}
	}
}

// page gives what there is after a number. When there is nothing, more is
// closed once there is.
func (b *Backlog) page(cursor uint64) (p page, more <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.Missed = max(cursor, b.first) - cursor
	p.Cursor = cursor + p.Missed
	last := b.first + uint64(len(b.held))
	if p.Cursor >= last {
		if b.more == nil {
			b.more = make(chan struct{})
		}
		return p, b.more
	}
	from := p.Cursor - b.first
	for _, one := range b.held[from:min(from+maxPage, uint64(len(b.held)))] {
		p.Batch.Windows = append(p.Batch.Windows, one.Windows...)
		p.Batch.Events = append(p.Batch.Events, one.Events...)
		p.Cursor++
	}
	return p, nil
}

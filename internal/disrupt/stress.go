package disrupt

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// stressOrder tells a child what to burden the machine with.
type stressOrder struct {
	Kind  string        `json:"kind"`            // cpu, memory or disk
	Load  float64       `json:"load,omitempty"`  // of cpu: 0 to 1
	Cores int           `json:"cores,omitempty"` // of cpu
	Size  uint64        `json:"size,omitempty"`  // of memory, in bytes
	Fill  float64       `json:"fill,omitempty"`  // of memory: 0 to 1
	Dir   string        `json:"dir,omitempty"`   // of disk
	Leave uint64        `json:"leave,omitempty"` // of disk, in bytes
	Limit time.Duration `json:"limit"`           // when the child ends by itself
}

// stressReport is what a child says: once when the burden is there, and once when it
// has put it down.
type stressReport struct {
	Error   string `json:"error,omitempty"`
	Matched uint64 `json:"matched"`           // what was asked for
	Touched uint64 `json:"touched"`           // what the machine was burdened with
	Expired bool   `json:"expired,omitempty"` // it was put down because the order's time was over
}

// burden is something that weighs on the machine for as long as its process
// lives.
type burden interface {
	begin() (asked uint64, err error) // returns when it weighs
	keepUp(context.Context)           // until the context ends
	weighed() uint64
}

// burdens are all kinds.
var burdens = map[string]func(stressOrder) burden{
	"cpu":    func(o stressOrder) burden { return &burning{stressOrder: o} },
	"memory": func(o stressOrder) burden { return &taking{stressOrder: o} },
	"disk":   func(o stressOrder) burden { return &filling{stressOrder: o} },
}

// Stress is a child of this program that burdens the machine: with busy
// processors, taken memory or a full disk. Its order comes on the first line of
// in; it ends when in does, so that it can not outlive who holds the other end,
// and in any case when the order's time is over.
func Stress(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no order came: this command is for the program itself: %w", err)
	}
	var o stressOrder
	if err := json.Unmarshal(line, &o); err != nil || burdens[o.Kind] == nil {
		return fmt.Errorf("the order %q is not known (%v)", line, err)
	}
	say := json.NewEncoder(out)
	b := burdens[o.Kind](o)
	asked, err := b.begin()
	if err != nil {
		return say.Encode(stressReport{Error: err.Error()})
	}
	if err := say.Encode(stressReport{Matched: asked, Touched: b.weighed()}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.Limit)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, lines)
	}()
	b.keepUp(ctx)
	return say.Encode(stressReport{Matched: asked, Touched: b.weighed(), Expired: ctx.Err() == context.DeadlineExceeded})
}

// burning keeps processors busy: a thread for each works for its share of every
// slice of time.
type burning struct {
	stressOrder
	busy    atomic.Uint64 // threads that wanted what was asked for
	threads sync.WaitGroup
}

const burnSlice = 20 * time.Millisecond

// begin has nothing to wait for but the first slice of each thread.
func (b *burning) begin() (uint64, error) {
	runtime.GOMAXPROCS(b.Cores + 2)
	return uint64(b.Cores), nil
}

func (b *burning) keepUp(ctx context.Context) {
	for range b.Cores {
		b.threads.Go(func() { b.burn(ctx) })
	}
	b.threads.Wait()
}

// burn counts the thread when it got, or stood in line for, at least half of
// the time that was asked for: a system under test that wants the same
// processors takes its share of them, and is hindered all the same.
func (b *burning) burn(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun, before := time.Now(), threadDemand()
	work := time.Duration(b.Load * float64(burnSlice))
	for ctx.Err() == nil {
		slice := time.Now()
		for time.Since(slice) < work { //nolint:revive // that is the burden
		}
		select {
		case <-ctx.Done():
		case <-time.After(burnSlice - time.Since(slice)):
		}
	}
	asked := float64(time.Since(begun)) * b.Load
	if float64(threadDemand()-before) >= asked/2 {
		b.busy.Add(1)
	}
}

func (b *burning) weighed() uint64 { return b.busy.Load() }

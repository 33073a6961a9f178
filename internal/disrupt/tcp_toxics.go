package disrupt

import (
	"math/rand/v2"
	"time"

	chunks "github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// The toxics here do what those of Toxiproxy can not do on a connection that
// goes on afterwards. Its timeout throws data away, its bandwidth counts in
// whole kilobytes and loses data when it is removed while nobody reads, and it
// has none that corrupts and none that draws from normal or pareto.

// held holds everything back, and ends the connection after a time unless that
// is 0.
type held struct{ after time.Duration }

// Pipe implements toxics.Toxic.
func (t held) Pipe(stub *toxics.ToxicStub) {
	var end <-chan time.Time
	if t.after > 0 {
		timer := time.NewTimer(t.after)
		defer timer.Stop()
		end = timer.C
	}
	select {
	case <-stub.Interrupt:
	case <-end:
		stub.Close()
	}
}

// tcpPace lets data through at a rate.
type tcpPace struct{ perSecond float64 } // bytes

// Pipe implements toxics.Toxic.
func (t tcpPace) Pipe(stub *toxics.ToxicStub) {
	piece := max(1, int(t.perSecond/50)) // 20 ms, so that it flows evenly
	free := time.Now()
	for {
		c := takeChunk(stub)
		if c == nil {
			return
		}
		for rest := c.Data; len(rest) > 0; { // whoever sent c may still look at it
			n := min(piece, len(rest))
			if now := time.Now(); free.Before(now) {
				free = now
			}
			free = free.Add(time.Duration(float64(n) / t.perSecond * float64(time.Second)))
			if !waited(stub, time.Until(free)) {
				stub.Output <- &chunks.StreamChunk{Data: rest, Timestamp: c.Timestamp}
				return
			}
			stub.Output <- &chunks.StreamChunk{Data: rest[:n], Timestamp: c.Timestamp}
			rest = rest[n:]
		}
	}
}

// drawn delays data by what a distribution gives. The order stays.
type drawn struct {
	latency latency
	random  *rand.Rand
}

// GetBufferSize implements toxics.BufferedToxic: as much as can be on its way.
func (t drawn) GetBufferSize() int { return new(toxics.LatencyToxic).GetBufferSize() }

// Pipe implements toxics.Toxic.
func (t drawn) Pipe(stub *toxics.ToxicStub) {
	for {
		c := takeChunk(stub)
		if c == nil {
			return
		}
		whole := waited(stub, t.latency.of(t.random.Float64())-time.Since(c.Timestamp))
		stub.Output <- c
		if !whole {
			return
		}
	}
}

// tcpCorrupted changes a share of the bytes, and at least one.
type tcpCorrupted struct {
	share  float64
	random *rand.Rand
}

// NewState implements toxics.StatefulToxic: whether a byte was changed.
func (tcpCorrupted) NewState() any { return new(bool) }

// Pipe implements toxics.Toxic.
func (t tcpCorrupted) Pipe(stub *toxics.ToxicStub) {
	changed := stub.State.(*bool)
	for {
		c := takeChunk(stub)
		if c == nil {
			return
		}
		spoil(c.Data, t.share, t.random, changed)
		stub.Output <- c
	}
}

// spoil changes bytes to others, the first byte if none was changed before.
func spoil(data []byte, share float64, random *rand.Rand, changed *bool) {
	for i := range data {
		if !*changed || random.Float64() < share {
			data[i] ^= byte(1 + random.IntN(255))
			*changed = true
		}
	}
}

// takeChunk waits for data. It is nil when the toxic has to return.
func takeChunk(stub *toxics.ToxicStub) *chunks.StreamChunk {
	select {
	case <-stub.Interrupt:
		return nil
	case c := <-stub.Input:
		if c == nil {
			stub.Close()
		}
		return c
	}
}

// waited waits, and is false when the toxic has to return.
func waited(stub *toxics.ToxicStub, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stub.Interrupt:
		return false
	}
}

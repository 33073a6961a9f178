package disrupt

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// bounds say how much of what matches a fault touches: the modifiers that all
// faults of proxies have in common.
type bounds struct {
	share   float64       // 0 to 1, above 0
	first   uint64        // of those in the share; 0 is all
	on, off time.Duration // the turns of flapping; both 0 when it is always in effect
	seed    uint64
}

// readBounds reads the modifiers of a disruption. Disruptions of the same seed
// and different names make different decisions.
func readBounds(d plan.Disruption, seed int64) (bounds, error) {
	b := bounds{share: cmp.Or(float64(d.Share), 1), first: d.First, seed: mix(uint64(seed) ^ nameSeed(d.Name))}
	if !(b.share > 0 && b.share <= 1) { // NaN too
		return bounds{}, fmt.Errorf("share %v is not above 0 %% and up to 100 %%", b.share)
	}
	if d.Flap != nil {
		b.on, b.off = time.Duration(d.Flap.On), time.Duration(d.Flap.Off)
		if b.on <= 0 || b.off <= 0 {
			return bounds{}, fmt.Errorf("flap: on %v and off %v are not both above 0", b.on, b.off)
		}
	}
	return b, nil
}

// unbounded tells whether all that matches is touched all the time.
func (b bounds) unbounded() bool { return b.share == 1 && b.first == 0 && b.on == 0 }

// tally is the bounds while a fault is in effect: it decides what is touched,
// and counts. Matched is what the share could have picked: what came while a
// flapping fault was in its turn and before the first N were touched.
type tally struct {
	bounds
	start time.Time

	mu     sync.Mutex
	over   bool
	count  measure.Touch
	spared uint64        // of the touched: there was nothing in them to harm
	turns  int64         // of flapping, that are over
	turn   chan struct{} // closed when the turn that is on is over
	timer  *time.Timer   // closes it; nil when the fault does not flap
}

// begin puts the bounds into effect.
func (b bounds) begin() *tally {
	return &tally{bounds: b, start: time.Now(), turns: -1, turn: make(chan struct{})}
}

// take decides whether something that matches is touched, and counts it. What
// it decides follows from the seed and from what was counted before.
func (t *tally) take() (turn, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || !t.inTurn() || t.first > 0 && t.count.Touched >= t.first {
		return turn{}, false
	}
	t.count.Matched++
	draw := mix(t.seed + t.count.Matched*golden)
	if uniform(draw) >= t.share {
		return turn{}, false
	}
	t.count.Touched++
	return turn{draw: uniform(mix(draw + golden)), lifted: t.turn}, true
}

// inTurn tells whether a flapping fault is on now. What it touches is let go
// of when its turn is over.
func (t *tally) inTurn() bool {
	if t.on == 0 {
		return true
	}
	passed := time.Since(t.start)
	turns, into := int64(passed/(t.on+t.off)), passed%(t.on+t.off)
	if into >= t.on {
		return false
	}
	if turns != t.turns {
		t.endTurn()
		ending := make(chan struct{})
		t.turns, t.turn = turns, ending
		t.timer = time.AfterFunc(t.on-into, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.turn == ending {
				t.endTurn()
			}
		})
	}
	return true
}

// endTurn lets go of what is held.
func (t *tally) endTurn() {
	if t.timer != nil {
		t.timer.Stop()
	}
	select {
	case <-t.turn:
	default:
		close(t.turn)
	}
}

// spare notes that there was nothing to harm in one that was touched: it counts
// for nothing. It is called once for each at most.
func (t *tally) spare() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.spared++
	}
}

// soFar is what was counted until now.
func (t *tally) soFar() measure.Touch {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.harmed()
}

// harmed is what was counted without that in which there was nothing to harm.
func (t *tally) harmed() measure.Touch {
	out := t.count
	out.Matched -= t.spared
	out.Touched -= t.spared
	return out
}

// end takes the bounds out of effect and lets go of what is held. The counts
// no longer move; ending again gives the same ones.
func (t *tally) end() measure.Touch {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.over = true
		t.endTurn()
	}
	return t.harmed()
}

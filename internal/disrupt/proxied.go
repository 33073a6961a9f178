package disrupt

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"sync"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// proxied is one fault on one proxy, ready to be injected. It may be injected
// again after it was lifted, and then makes the same decisions again.
type proxied struct {
	name  string
	on    *Proxy
	harm  harm
	match match
	seed  uint64

	mu      sync.Mutex
	current *injection // nil when not in effect
}

// Disruption reads what a disruption of a plan asks for. Disruptions of the same
// seed and different names make different decisions. It is an error to ask for
// no fault or more than one, for values out of range, and for a dependency
// other than the proxy's.
func (p *Proxy) Disruption(d plan.Disruption, seed int64) (Disruption, error) {
	on := p
	if d.Dependency != on.name {
		return nil, fmt.Errorf("disruption %q: is for dependency %q, not for %q", d.Name, d.Dependency, on.name)
	}
	harm, err := readHarm(d)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	match, err := readMatch(d.Match)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	return &proxied{name: d.Name, on: on, harm: harm, match: match, seed: mix(uint64(seed) ^ nameSeed(d.Name))}, nil
}

// nameSeed makes part of a seed of a name.
func nameSeed(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// Prepare has nothing to find out: the proxy is here.
func (d *proxied) Prepare(context.Context) (measure.Reach, error) { return measure.Reach{}, nil }

// Inject puts the fault into effect; it is when Inject returns. Lift ends it,
// even with a context that is done, releases what the fault holds back, and
// says what it had matched and touched; it may be called more than once, from
// anywhere, and gives the same answer each time. It is an error to inject what
// is in effect already, or on a proxy that is closed.
func (d *proxied) Inject(ctx context.Context, _ func(json.RawMessage) error) (lift func(context.Context) (measure.Touch, error), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", d.name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != nil {
		return nil, fmt.Errorf("disruption %q: already in effect: lift it first", d.name)
	}
	i := &injection{of: d, lifted: make(chan struct{})}
	if err := d.on.add(i); err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", d.name, err)
	}
	d.current = i
	return func(context.Context) (measure.Touch, error) { return i.lift(), nil }, nil
}

// injection is a disruption while it is in effect.
type injection struct {
	of     *proxied
	lifted chan struct{}

	mu    sync.Mutex
	over  bool
	count measure.Touch
}

// choose decides whether a request is touched, and counts it.
func (i *injection) choose(r *http.Request) (turn, bool) {
	if !i.of.match.matches(r) {
		return turn{}, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over {
		return turn{}, false
	}
	i.count.Matched++
	first := mix(i.of.seed + i.count.Matched*golden)
	if uniform(first) >= i.of.harm.share {
		return turn{}, false
	}
	i.count.Touched++
	return turn{draw: uniform(mix(first + golden)), lifted: i.lifted}, true
}

func (i *injection) lift() measure.Touch {
	i.of.on.remove(i)
	i.mu.Lock()
	if !i.over {
		i.over = true
		close(i.lifted)
	}
	count := i.count
	i.mu.Unlock()

	i.of.mu.Lock()
	defer i.of.mu.Unlock()
	if i.of.current == i {
		i.of.current = nil
	}
	return count
}

// golden is the odd number nearest to 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// mix is the output function of SplitMix64 (Steele, Lea and Flood, "Fast
// splittable pseudorandom number generators", 2014, figure 17). Taken of a
// seed and a counter it needs no state that goroutines would compete for.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// uniform makes a number in [0, 1) of 53 of the bits.
func uniform(x uint64) float64 { return float64(x>>11) / (1 << 53) }

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
	name   string
	on     *Proxy
	harm   harm
	match  match
	bounds bounds
	spare  func(*http.Request) bool // requests that are let be; nil for none

	mu      sync.Mutex
	current *injection // nil when not in effect
}

// Disruption reads what a disruption of a plan asks for. Disruptions of the same
// seed and different names make different decisions. It is an error to ask for
// no fault or more than one, for values out of range, and for a dependency
// other than the proxy's.
func (p *Proxy) Disruption(d plan.Disruption, seed int64) (Disruption, error) {
	if d.Dependency != p.name {
		return nil, fmt.Errorf("disruption %q: is for dependency %q, not for %q", d.Name, d.Dependency, p.name)
	}
	if d.Certificate != nil {
		return p.secure.disruption(p.name, d, seed)
	}
	harm, err := readHarm(p.spoken(d))
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	bounds, err := readBounds(d, seed)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	match, err := readMatch(d.Match)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	return &proxied{name: d.Name, on: p, harm: harm, match: match, bounds: bounds}, nil
}

// spoken puts in what the proxy's protocol adds to a disruption: an error is
// one of gRPC where that is spoken.
func (p *Proxy) spoken(d plan.Disruption) plan.Disruption {
	if p.protocol == "grpc" && d.Error != nil && d.Error.GRPC == "" {
		failure := *d.Error
		failure.GRPC = plan.DefaultGRPC
		d.Error = &failure
	}
	return d
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
// anywhere, and gives the same answer each time once it worked. It is an error to inject what
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
	i := &injection{of: d, tally: d.bounds.begin()}
	if b, ok := d.harm.effect.(blockade); ok && d.bounds.unbounded() && d.match.all() {
		i.release, err = b.raise(ctx, d.on)
	} else {
		err = d.on.add(i)
	}
	if err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", d.name, err)
	}
	d.current = i
	return once(func(context.Context) (measure.Touch, error) { return i.end() }), nil
}

// SoFar tells what the fault has touched while it is in effect.
func (d *proxied) SoFar() measure.Touch {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil || d.current.release != nil {
		return measure.Touch{}
	}
	return d.current.soFar()
}

// injection is a disruption while it is in effect.
type injection struct {
	of *proxied
	*tally
	release func() (measure.Touch, error) // of a blockade
}

// chance gives what the fault may do to a request; nil for one that does not
// match, or that is not touched as far as that can be told already.
func (i *injection) chance(r *http.Request) *chance {
	if !i.of.match.matches(r) || i.of.spare != nil && i.of.spare(r) {
		return nil
	}
	c := &chance{tally: i.tally}
	if i.of.harm.stage < paces && !c.bites() {
		return nil
	}
	return c
}

// end lifts.
func (i *injection) end() (touch measure.Touch, err error) {
	if i.release != nil {
		if touch, err = i.release(); err != nil {
			return touch, fmt.Errorf("disruption %q: %w", i.of.name, err)
		}
	} else {
		i.of.on.remove(i)
		touch = i.tally.end()
	}
	i.of.mu.Lock()
	defer i.of.mu.Unlock()
	if i.of.current == i {
		i.of.current = nil
	}
	return touch, nil
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

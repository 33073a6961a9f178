package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// loss is packets lost on their way in.
type loss struct {
	pod   *pod
	ports []int
	proto string
	share float64

	mu    sync.Mutex
	rules *ruleset // while in effect
}

func newLoss(p *pod, d plan.Disruption) *loss {
	_, share := d.Fault()
	return &loss{pod: p, ports: slices.Clone(d.Drop.Ports), proto: d.Drop.Protocol, share: share}
}

// Prepare has nothing to find out.
func (l *loss) Prepare(context.Context) (measure.Reach, error) { return measure.Reach{}, nil }

// SoFar is how many packets were lost until now.
func (l *loss) SoFar() measure.Touch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rules == nil {
		return measure.Touch{Unit: unitPackets}
	}
	matched, lost, _ := l.rules.losses() // asked again when it is lifted
	return measure.Touch{Matched: matched, Touched: lost, Unit: unitPackets}
}

// unitPackets is what lost packets are counted in.
const unitPackets = "packets"

// Inject makes the rules. Nothing outlives this process.
func (l *loss) Inject(context.Context, func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	rules, err := newRuleset(l.pod.table())
	if err != nil {
		return nil, err
	}
	if err := rules.lose(l.ports, l.proto, l.share); err != nil {
		return nil, errors.Join(err, rules.close())
	}
	l.mu.Lock()
	l.rules = rules
	l.mu.Unlock()
	touch, gone := measure.Touch{Unit: unitPackets}, false
	return once(func(context.Context) (measure.Touch, error) {
		if gone { // and could not be counted
			return touch, nil
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rules = nil
		var err error
		touch.Matched, touch.Touched, err = rules.keep()
		closed := rules.close()
		gone = closed == nil
		return touch, errors.Join(err, closed)
	}), nil
}

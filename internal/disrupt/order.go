package disrupt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Order asks for a fault on a proxy for a limited time.
type Order struct {
	// ID names the fault. Whoever asks chooses it, so that asking again after
	// an answer was lost injects nothing twice: 1 to 64 letters, digits, - or _.
	ID         string
	Proxy      string          // on which one
	Disruption plan.Disruption // its Dependency is taken to be the proxy
	Seed       int64
	TTL        time.Duration // from the last renewal until it is lifted unasked; 0 for as long as may be
}

// Lease is the state of a fault that was ordered.
type Lease struct {
	ID    string        `json:"id"`
	Proxy string        `json:"proxy"`
	Name  string        `json:"name"`  // of the disruption
	Fault string        `json:"fault"` // its kind
	State string        `json:"state"` // one of the States
	TTL   plan.Duration `json:"ttl"`   // as granted
	Left  plan.Duration `json:"left"`  // until it is lifted unless it is renewed

	// What it could have touched and did touch: so far while it is in effect,
	// if the proxy can tell.
	Matched uint64   `json:"matched"`
	Touched uint64   `json:"touched"`
	Unit    string   `json:"unit,omitempty"` // "" for requests
	Names   []string `json:"names,omitempty"`

	Error string `json:"error,omitempty"` // why it could not be injected, or not be lifted so far
}

// States of a fault that was ordered.
const (
	StatePending = "pending" // being injected
	StateActive  = "active"  // in effect
	StateLifted  = "lifted"  // because somebody asked; also what never was in effect
	StateExpired = "expired" // because nobody renewed it in time
	StateFailed  = "failed"  // it was never in effect
)

// Over reports whether the fault is surely not in effect any more.
func (l Lease) Over() bool {
	return l.State == StateLifted || l.State == StateExpired || l.State == StateFailed
}

// Touch is what it could have touched and did touch.
func (l Lease) Touch() measure.Touch {
	return measure.Touch{Matched: l.Matched, Touched: l.Touched, Unit: l.Unit, Names: l.Names}
}

var orderID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// check finds what is wrong with an order whatever the proxies are.
func (o Order) check() error {
	switch {
	case !orderID.MatchString(o.ID):
		return fmt.Errorf("the id of a fault is 1 to 64 letters, digits, - or _; got %.80q", o.ID)
	case o.TTL < 0:
		return fmt.Errorf("ttl can not be negative; got %s", o.TTL)
	}
	return nil
}

// writtenOrder is an order as JSON. The disruption is spelled as in a plan.
type writtenOrder struct {
	ID         string          `json:"id,omitempty"`
	Proxy      string          `json:"proxy"`
	Disruption json.RawMessage `json:"disruption"`
	Seed       int64           `json:"seed,omitempty"`
	TTL        plan.Duration   `json:"ttl,omitempty"`
}

// MarshalJSON writes the disruption as a plan spells it.
func (o Order) MarshalJSON() ([]byte, error) {
	disruption, err := plan.SpellDisruption(o.Disruption)
	if err != nil {
		return nil, err
	}
	return json.Marshal(writtenOrder{ID: o.ID, Proxy: o.Proxy, Disruption: disruption, Seed: o.Seed, TTL: plan.Duration(o.TTL)})
}

// UnmarshalJSON reads what MarshalJSON wrote. Keys that it does not know are
// errors, as are disruptions that a plan could not hold.
func (o *Order) UnmarshalJSON(data []byte) error {
	var w writtenOrder
	if err := strictly(data, &w); err != nil {
		return err
	}
	if len(w.Disruption) == 0 {
		return errors.New("an order wants a disruption")
	}
	d, err := plan.ParseDisruption(w.Disruption)
	if err != nil {
		return err
	}
	*o = Order{ID: w.ID, Proxy: w.Proxy, Disruption: d, Seed: w.Seed, TTL: time.Duration(w.TTL)}
	return nil
}

// strictly reads one JSON value without unknown keys and with nothing after it.
func strictly(data []byte, to any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		return fmt.Errorf("not the JSON that is wanted: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("not the JSON that is wanted: there is more after its end")
	}
	return nil
}

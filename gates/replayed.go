package gates

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/internal/measure"
)

// Replayed sums up what one shadow test asked again, and what the answers of
// candidate and baseline differ in.
type Replayed struct {
	Test    string `json:"test"`
	Read    uint64 `json:"read"`              // exchanges of the recording
	Sent    uint64 `json:"sent"`              // of those, to each target
	Other   uint64 `json:"other,omitempty"`   // not chosen: of other sessions, times, routes, tenants or hosts
	Dropped uint64 `json:"dropped,omitempty"` // could not start because too many answers were missing
	Held    uint64 `json:"held,omitempty"`    // waited for an earlier answer of their session
	// Values of earlier answers that were put into requests to the candidate, in
	// place of recorded ones:
	CarriedFound  uint64       `json:"carried_found,omitempty"`   // by themselves
	CarriedByRule uint64       `json:"carried_by_rule,omitempty"` // by a rule of the plan
	CarriedCookie uint64       `json:"carried_cookie,omitempty"`  // as cookies
	LagP50        float64      `json:"lag_p50_ms,omitempty"`      // how late they were sent
	LagP99        float64      `json:"lag_p99_ms,omitempty"`
	Withheld      []Withheld   `json:"withheld"`    // not sent because they may change data, the most frequent first
	Differences   []Difference `json:"differences"` // the gravest first; at most 50
}

// Withheld is what was not sent of one route.
type Withheld struct {
	Route  string `json:"route"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Difference is one kind of differences at one place of a route. Its class is
// regression, undecided, expected or noise.
type Difference struct {
	Route          string `json:"route"`
	Place          string `json:"place"` // status, header NAME, body.items[].price
	Kind           string `json:"kind"`  // changed, missing, added, type, order, ...
	Class          string `json:"class"`
	Pairs          uint64 `json:"pairs"`           // exchanges of the route whose answers were compared
	Differing      uint64 `json:"differing"`       // of those, the ones with this difference
	NoisePairs     uint64 `json:"noise_pairs"`     // exchanges of which two answers of the baseline were compared
	NoiseDiffering uint64 `json:"noise_differing"` // of those, the ones with this difference
	Baseline       string `json:"baseline,omitempty"`
	Candidate      string `json:"candidate,omitempty"` // what stood there, of the first example
	Request        string `json:"request,omitempty"`
	TraceID        string `json:"trace_id,omitempty"`
}

// mostDifferences bounds what a record may claim of one test.
const mostDifferences = 100

// replay gives what is known of a shadow test.
func (t *timeline) replay(e measure.Event) *Replayed {
	if t.replays[e.Test] == nil {
		t.replays[e.Test] = &Replayed{Test: e.Test, Withheld: []Withheld{}, Differences: []Difference{}}
	}
	return t.replays[e.Test]
}

func (t *timeline) replayEvent(e measure.Event) {
	r := t.replay(e)
	r.Read, r.Sent, r.Other = counted64(e, "read"), counted64(e, "sent"), counted64(e, "not chosen")
	r.Dropped, r.Held = counted64(e, "dropped"), counted64(e, "held")
	r.CarriedFound, r.CarriedByRule, r.CarriedCookie = counted64(e, "carried found"), counted64(e, "carried rule"), counted64(e, "carried cookie")
	r.LagP50, r.LagP99 = lagOf(e.Attrs["lag p50"]), lagOf(e.Attrs["lag p99"])
}

func (t *timeline) withheldEvent(e measure.Event) {
	if r := t.replay(e); len(r.Withheld) < mostDifferences {
		r.Withheld = append(r.Withheld, Withheld{Route: e.Name, Reason: e.Attrs["reason"], Count: counted64(e, "count")})
	}
}

func (t *timeline) differenceEvent(e measure.Event) {
	r := t.replay(e)
	if len(r.Differences) >= mostDifferences {
		return
	}
	r.Differences = append(r.Differences, Difference{
		Route: cmp.Or(e.Attrs["route"], e.Name), Place: e.Attrs["place"], Kind: e.Attrs["kind"], Class: e.Attrs["class"],
		Pairs: counted64(e, "pairs"), Differing: counted64(e, "differing"),
		NoisePairs: counted64(e, "noise pairs"), NoiseDiffering: counted64(e, "noise differing"),
		Baseline: e.Attrs["baseline"], Candidate: e.Attrs["candidate"], Request: e.Attrs["request"], TraceID: e.Attrs["trace"],
	})
}

// replayed lists the shadow tests by name; nil when there are none.
func (t *timeline) replayed() (all []Replayed) {
	for _, name := range slices.Sorted(maps.Keys(t.replays)) {
		all = append(all, *t.replays[name])
	}
	return all
}

// counted64 reads a count of an event, 0 where it is none.
func counted64(e measure.Event, key string) uint64 {
	n, _ := strconv.ParseUint(e.Attrs[key], 10, 64)
	return n
}

// lagOf reads a duration in milliseconds, 0 where it is none.
func lagOf(text string) float64 {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d < 0 {
		return 0
	}
	return float64(d) / float64(time.Millisecond)
}

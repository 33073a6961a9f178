package gates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"resilience/gates/evidence"
	"resilience/internal/measure"
)

// FalseAlarms is the share of rollouts of a healthy candidate that a watch may
// abort, unless a plan says otherwise.
const FalseAlarms = evidence.RolloutError

// Watch tests the gates of a phase while it goes on, and may be asked as often
// as one likes: the probability that it ever raises an alarm over a candidate
// that keeps its promises is at most the one it was made with, split over the
// gates that it watches. See package evidence for the tests. It looks at what
// the steady period has shown, in the order in which measurements come in, so
// that an answer that is late counts when it is known.
//
// A Watch is not safe for several goroutines.
type Watch struct {
	phase    string
	watched  []*watchedGate
	alpha    float64 // of each gate
	events   []measure.Event
	windows  []measure.Window // not looked at yet
	observer *observer        // of the events; nil when there are new ones
	streams  map[testKey]*stream
}

// watchedGate is one gate with the test of it.
type watchedGate struct {
	gate                Gate
	row                 SLI
	test                *evidence.Restarts[sequential]
	wants               wants
	compares            bool // with the baseline
	candidate, baseline *accumulator
}

// Alarm says that a gate does not hold, for certain enough.
type Alarm struct {
	Gate   Gate
	Detail string // the counts behind it
}

// NewWatch makes a watch of those gates of a phase that can be watched, with a
// chance of false alarms over 0 and under 1. Baseline tells whether the phase
// sends to a baseline, too. The error says, where none can be watched, why.
func NewWatch(gates []Gate, phase string, baseline bool, falseAlarms float64) (*Watch, error) {
	w := &Watch{phase: phase, streams: map[testKey]*stream{}}
	var why []string
	for _, g := range parsed(gates) {
		test, reason := sequentialOf(g, baseline)
		if reason != "" {
			why = append(why, fmt.Sprintf("%q: %s", cmp.Or(g.Text, g.String()), reason))
			continue
		}
		row, _ := lookUp(g.SLI)
		w.watched = append(w.watched, &watchedGate{gate: g, row: row, wants: test.wants(), compares: test.compares(), test: evidence.NewRestarts(func() sequential {
			again, _ := sequentialOf(g, baseline)
			return again
		})})
	}
	if len(w.watched) == 0 {
		return nil, fmt.Errorf("none of the gates can be watched: %s", strings.Join(why, "; "))
	}
	w.alpha = falseAlarms / float64(len(w.watched))
	return w, nil
}

// Heard takes note of what happened and was measured.
func (w *Watch) Heard(batch measure.Batch) {
	for _, e := range batch.Events {
		if eventReaders[e.Kind] != nil && (e.Phase == w.phase || e.Phase == "") {
			w.events, w.observer = append(w.events, e), nil
		}
	}
	w.windows = append(w.windows, batch.Windows...)
}

// Second ends a block: it is to be called once a second. What came in since the
// last call is looked at, and the alarms that are raised now are given.
func (w *Watch) Second() (alarms []Alarm) {
	if w.observer == nil {
		w.observe()
	}
	for i := range w.windows {
		if s := w.windows[i].Series; s.Phase == w.phase || s.Phase == "" {
			w.observer.add(&w.windows[i])
		}
	}
	clear(w.windows) // of sketches
	w.windows = w.windows[:0]
	for _, g := range w.watched {
		var baseline reading
		if g.baseline != nil {
			baseline = w.observer.reading(g.baseline, "")
		}
		candidate := w.observer.reading(g.candidate, "")
		g.test.Second(func(t sequential) { t.add(candidate, baseline) })
		if t, certain := g.test.Certain(w.alpha); certain {
			alarms = append(alarms, Alarm{Gate: g.gate, Detail: t.String()})
		}
	}
	w.observer.forget()
	return alarms
}

// observe makes an observer of all events up to now. What the tests' attempts
// are it knows from the last one.
func (w *Watch) observe() {
	w.observer = newObserver(readEvents(w.phase, w.events))
	w.observer.traffic = w.streams
	steady := w.observer.timeline.instance(Period{Kind: Steady})
	for _, g := range w.watched {
		g.candidate = w.observer.ask(g.gate.SLI, g.gate, steady, measure.Candidate, g.wants)
		if g.compares {
			g.baseline = w.observer.ask(g.gate.SLI, g.gate, steady, measure.Baseline, g.wants)
		}
	}
}

// forget drops what was added up, so that the next reading is of what comes
// from now on.
func (o *observer) forget() {
	for _, acc := range o.order {
		for _, c := range acc.cells {
			*c = cell{}
		}
	}
	for _, s := range o.traffic {
		for _, c := range s.cells {
			*c = cell{}
		}
	}
}

// watchable says why a gate can not be watched, whatever its objective; "" when
// it can.
func watchable(g Gate, row SLI, known bool) string {
	switch {
	case !steadyKind(g):
		return "only what is steady is watched"
	case !g.decides():
		return "it only warns, and decides nothing"
	case g.Each != "":
		return "for each " + g.Each + " is not watched"
	case !known || !slices.Contains([]kind{shareKind, quantileKind}, row.kind):
		return g.SLI + " is neither a share nor a latency"
	case row.kind == quantileKind && g.Stat.Kind != "quantile":
		return "of latencies only quantiles are watched"
	case g.Op == "==":
		return "== is not watched"
	}
	return ""
}

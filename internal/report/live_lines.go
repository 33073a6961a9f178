package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
)

// happened takes in an event and gives the line to say about it, or "".
func (v *view) happened(e measure.Event, now time.Time) string {
	at := now
	if e.At != 0 {
		at = time.Unix(0, e.At)
	}
	if e.Kind == measure.EventPhase {
		v.begin(e.Phase, at)
	}
	tell, ok := tales[e.Kind]
	if !ok {
		return ""
	}
	line := tell(v, e, at)
	if line == "" || v.said[line] {
		return ""
	}
	if repeats[e.Kind] && len(v.said) < livePending {
		v.said[line] = true
	}
	return v.stamp(at, line)
}

// repeats are the kinds of events whose lines are said once in a phase: tests
// that several processes share begin and end in each of them.
var repeats = map[string]bool{
	measure.EventException: true, measure.EventOverflow: true, measure.EventGenerator: true, measure.EventWarning: true,
	measure.EventTest: true, measure.EventTestEnd: true,
}

// tales say what each kind of event means to somebody who watches. Kinds that
// are not here are not shown.
var tales = map[string]func(v *view, e measure.Event, at time.Time) string{
	measure.EventPhase:      tellPhase,
	measure.EventTest:       tellTest,
	measure.EventTestEnd:    tellTestEnd,
	measure.EventRunner:     tellRunner,
	measure.EventRunnerEnd:  tellRunnerEnd,
	measure.EventDisruption: tellDisruption,
	measure.EventLifted:     tellLifted,
	measure.EventSkipped: func(_ *view, e measure.Event, _ time.Time) string {
		return withDetail("! "+e.Name+" was not injected", e.Attrs["reason"])
	},
	measure.EventExtended: func(_ *view, e measure.Event, _ time.Time) string {
		return withDetail("the tests go on for "+e.Attrs["for"]+", because there is too little evidence", e.Attrs["reason"])
	},
	measure.EventException: func(_ *view, e measure.Event, _ time.Time) string {
		return withDetail("! "+cmp.Or(e.Test, "a script")+" threw", e.Attrs["message"])
	},
	measure.EventListening: func(_ *view, e measure.Event, _ time.Time) string {
		switch {
		case e.Attrs["state"] == measure.ListeningLost && e.Attrs["detail"] == "":
			return "" // it is over
		case e.Attrs["state"] == measure.ListeningLost:
			return withDetail("! "+e.Name+" are not heard any more", e.Attrs["detail"])
		case e.Attrs["from"] != "":
			return e.Name + " are asked of " + e.Attrs["from"]
		case e.Attrs["url"] != "":
			return e.Name + " are heard at " + e.Attrs["url"]
		}
		return ""
	},
	measure.EventAlert: func(_ *view, e measure.Event, _ time.Time) string {
		if e.Attrs["state"] == "resolved" {
			return "alert " + e.Name + " resolved"
		}
		return "alert " + e.Name + " fires"
	},
	measure.EventAck: func(_ *view, e measure.Event, _ time.Time) string {
		return cmp.Or(e.Attrs["by"], "somebody") + " acknowledged" + strings.TrimRight(" "+e.Name, " ")
	},
	measure.EventOverflow: func(_ *view, e measure.Event, _ time.Time) string {
		return withDetail("! too many different series; more are counted together", e.Attrs["limit"])
	},
	measure.EventGenerator: func(_ *view, e measure.Event, _ time.Time) string {
		return withDetail("! the load generator: "+e.Name, e.Attrs["detail"])
	},
	measure.EventService: tellService,
	measure.EventAbort: func(_ *view, e measure.Event, _ time.Time) string {
		held := "held"
		if e.Attrs["watch"] != "" {
			held = "is certain not to hold"
		}
		return withDetail(fmt.Sprintf("! abort: %s %s, which ends %s", e.Attrs["condition"], held, cmp.Or(e.Name, "the phase")), e.Attrs["detail"])
	},
	measure.EventInterrupt: func(*view, measure.Event, time.Time) string {
		return "! interrupted; faults are lifted first"
	},
	measure.EventWarning: func(_ *view, e measure.Event, _ time.Time) string {
		return withDetail("! warning", cmp.Or(e.Attrs["detail"], e.Name))
	},
	measure.EventPhaseEnd: func(_ *view, e measure.Event, _ time.Time) string {
		if e.Attrs["reason"] == "" {
			return ""
		}
		return withDetail("! phase "+e.Phase+" ended early", e.Attrs["reason"])
	},
}

// different counts the names in a schedule: what is repeated has several spans.
func different(spans []Span) int {
	names := map[string]bool{}
	for _, s := range spans {
		names[s.Name] = true
	}
	return len(names)
}

// reveal gives the events to tell now. On a game day a disruption is held back
// until an alert told of it or it is lifted, whichever is first; then it is
// told with the time at which it came. An alert may be heard of before it.
func (v *view) reveal(e measure.Event) []measure.Event {
	if !v.secret {
		return []measure.Event{e}
	}
	switch told := v.held; e.Kind {
	case measure.EventDisruption:
		if e.At <= v.alerted {
			break
		}
		v.held = append(v.held, e)
		return nil
	case measure.EventAlert:
		if e.Attrs["state"] != "resolved" {
			v.held, v.alerted = nil, max(v.alerted, e.At)
			return append(told, e)
		}
	case measure.EventAbort, measure.EventLifted:
		of := func(d measure.Event) bool { return d.Name == e.Name }
		if i := slices.IndexFunc(v.held, of); i >= 0 {
			v.held = slices.Delete(slices.Clone(v.held), i, i+1)
			return []measure.Event{told[i], e}
		}
	}
	return []measure.Event{e}
}

func tellPhase(v *view, e measure.Event, _ time.Time) string {
	line := "phase " + e.Phase
	if candidate := e.Attrs["candidate"]; candidate != "" {
		line += " on " + candidate
	}
	if baseline := e.Attrs["baseline"]; baseline != "" {
		line += " against " + baseline
	}
	if s := v.schedule(); s.Length > 0 {
		disruptions := plural(uint64(different(s.Disruptions)), "disruption")
		if v.secret {
			disruptions = "disruptions that are not announced"
		}
		line += fmt.Sprintf(": %s, %s, about %s", plural(uint64(len(s.Tests)), "test"), disruptions, span(s.Length))
	}
	return line
}

func tellTest(v *view, e measure.Event, _ time.Time) string {
	v.seen[e.Test] = true
	line := "test " + e.Test + " began"
	if kind := e.Attrs["kind"]; kind != "" {
		line = "test " + e.Test + " began: " + kind
	}
	if e.Arm == measure.Baseline {
		line += " on the baseline"
	}
	if warmup, err := time.ParseDuration(e.Attrs["warmup"]); err == nil && warmup > 0 {
		line += ", warm-up " + span(warmup)
	}
	return line
}

func tellTestEnd(_ *view, e measure.Event, _ time.Time) string {
	if e.Attrs["complete"] == "false" {
		return withDetail("! test "+e.Test+" did not run to its end", e.Attrs["reason"])
	}
	return "test " + e.Test + " ended"
}

func tellRunner(_ *view, e measure.Event, _ time.Time) string {
	of := ""
	if e.Attrs["of"] != "" {
		of = " of " + e.Attrs["of"]
	}
	return "runner " + e.Attrs["runner"] + of + " of " + e.Test + " is there: " + e.Attrs["host"]
}

// tellRunnerEnd tells of an end that is too early; the others come with that of
// the test.
func tellRunnerEnd(_ *view, e measure.Event, _ time.Time) string {
	if e.Attrs["complete"] == "true" {
		return ""
	}
	return withDetail("! runner "+e.Attrs["runner"]+" of "+e.Test+" did not run to its end", e.Attrs["reason"])
}

func tellDisruption(v *view, e measure.Event, at time.Time) string {
	v.seen[e.Name] = true
	what := e.Attrs["fault"]
	if on := e.Attrs["on"]; on != "" {
		what += " on " + on
	}
	if share, err := strconv.ParseFloat(e.Attrs["share"], 64); err == nil && share < 1 {
		what += ", " + percent(share) + " of " + cmp.Or(e.Attrs["unit"], "requests")
	}
	v.active = append(v.active, running{name: e.Name, what: what, since: at})
	return e.Name + " in effect: " + what
}

func tellLifted(v *view, e measure.Event, _ time.Time) string {
	v.active = slices.DeleteFunc(v.active, func(r running) bool { return r.name == e.Name })
	if problem := e.Attrs["error"]; problem != "" {
		return "! " + e.Name + " may still be active: " + problem
	}
	line := e.Name + " lifted"
	touched, err1 := strconv.ParseUint(e.Attrs["touched"], 10, 64)
	matched, err2 := strconv.ParseUint(e.Attrs["matched"], 10, 64)
	if err1 == nil && err2 == nil {
		line += fmt.Sprintf(": touched %s of %s", grouped(touched), gates.Disrupted{Unit: e.Attrs["unit"]}.Amount(matched))
	}
	if doubt := e.Attrs["doubt"]; doubt != "" {
		return withDetail("! "+line, doubt)
	}
	return line
}

func tellService(_ *view, e measure.Event, _ time.Time) string {
	switch e.Attrs["state"] {
	case "ready":
		return "service " + e.Name + " is ready"
	case "died":
		return withDetail("! service "+e.Name+" died", e.Attrs["detail"])
	}
	return "" // started and stopped are as planned
}

func withDetail(line, detail string) string {
	if detail == "" {
		return line
	}
	return line + ": " + detail
}

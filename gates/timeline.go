package gates

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/internal/measure"
)

// defaultSettle is how long a system may take to calm down after a disruption
// was lifted before it counts as steady.
const defaultSettle = 10 * time.Second

// testKey is one stream of traffic.
type testKey struct{ test, arm string }

// testRun is when a test ran.
type testRun struct {
	kind         string
	warmup       time.Duration
	start, end   int64
	starts, ends int
	pause, again int64  // when it ended first, and began once more because the phase was extended; 0 when it was not
	incomplete   string // why it did not run to its end
}

// injection is one time that a disruption was in effect.
type injection struct {
	name, fault, on  string
	sweep            string // the disruption that this is a part of, "" when it is none
	share            float64
	settle           time.Duration
	from, to         int64 // to is the greatest time when it was never lifted
	lifted, counted  bool
	told             bool // its lifting was tried, with or without success
	matched, touched uint64
	unit             string   // of what was matched and touched; "" for requests
	names            []string // of the instances that were touched
	problem          string   // why lifting could not be confirmed
	doubt            string   // why the time in which it was in effect can not be trusted
}

// shortfall is one thing that the generator did not deliver; test and arm are
// "" when it concerns all of them. Void says that what failed failed by the
// generator's own doing: the script threw in every iteration, or asked for a
// host that the plan does not name.
type shortfall struct {
	test, arm, reason string
	void              bool
}

// voids are the names of generator events that make their test void.
var voids = []string{"script", "host"}

// timeline is what the events of one phase say.
type timeline struct {
	phase       string
	tests       map[testKey]*testRun
	injections  []injection // by time
	skipped     map[string]string
	skippedOf   map[string]string // what each sweep that had a part skipped says of it
	heard       notices
	versions    []Version                    // candidate first
	first       bool                         // a run without anything to compare with is the first baseline
	replays     map[string]*Replayed         // by test
	metrics     map[string]map[string]string // attributes of k6 metrics and of queries
	objectives  map[string]counted           // by name
	aborts      []abort
	shortfalls  []shortfall
	died        string // which of the plan's services died, and how; "" when none did
	interrupted string // what was, and so proves nothing; "" when nothing was
	overflow    bool
	faultActive bool
	warnings    []string
	looks       int   // how often the phase may be judged: the allowed error is split over them
	extended    int64 // when it was decided that the tests begin once more; 0 when it was not
}

// readEvents puts the events of a phase in order of time.
func readEvents(phase string, events []measure.Event) *timeline {
	t := &timeline{phase: phase, looks: 1, tests: map[testKey]*testRun{}, skipped: map[string]string{}, skippedOf: map[string]string{}, replays: map[string]*Replayed{}, metrics: map[string]map[string]string{}, objectives: map[string]counted{}}
	mine := slices.DeleteFunc(slices.Clone(events), func(e measure.Event) bool {
		return e.Phase != phase && e.Phase != ""
	})
	slices.SortStableFunc(mine, func(a, b measure.Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Seq, b.Seq))
	})
	for _, e := range mine {
		if read := eventReaders[e.Kind]; read != nil {
			read(t, e)
		}
	}
	t.close()
	return t
}

// eventReaders is what each kind of event means to the timeline. Kinds that
// are not here do not bear on a verdict.
var eventReaders = map[string]func(*timeline, measure.Event){
	measure.EventPhase:      (*timeline).begun,
	measure.EventExtended:   (*timeline).extendedEvent,
	measure.EventVersion:    (*timeline).versionEvent,
	measure.EventTest:       (*timeline).testStarted,
	measure.EventTestEnd:    (*timeline).testEnded,
	measure.EventDisruption: (*timeline).injected,
	measure.EventLifted:     (*timeline).liftedEvent,
	measure.EventAbort:      (*timeline).abortedEvent,
	measure.EventSkipped:    (*timeline).skippedEvent,
	measure.EventListening:  func(t *timeline, e measure.Event) { t.heard.listening(e) },
	measure.EventAlert:      func(t *timeline, e measure.Event) { t.heard.alert(e) },
	measure.EventAck:        func(t *timeline, e measure.Event) { t.heard.ack(e) },
	measure.EventObjective:  (*timeline).counted,
	measure.EventMetric:     (*timeline).metricEvent,
	measure.EventReplay:     (*timeline).replayEvent,
	measure.EventWithheld:   (*timeline).withheldEvent,
	measure.EventDifference: (*timeline).differenceEvent,
	measure.EventInterrupt:  func(t *timeline, _ measure.Event) { t.interrupted = "the run was interrupted" },
	measure.EventOverflow: func(t *timeline, e measure.Event) {
		t.overflow = true
		t.warn("there were more than %s different series; the names of the others are not known", cmp.Or(e.Attrs["limit"], "the allowed number of"))
	},
	measure.EventGenerator: func(t *timeline, e measure.Event) {
		t.shortfalls = append(t.shortfalls, shortfall{e.Test, e.Arm, generatorReason(e), slices.Contains(voids, e.Name)})
	},
	measure.EventException: func(t *timeline, e measure.Event) {
		t.warn("the script of %s threw %s time(s): %s", cmp.Or(e.Test, "a test"), cmp.Or(e.Attrs["count"], "1"), e.Attrs["message"])
	},
	measure.EventService: func(t *timeline, e measure.Event) {
		if e.Attrs["state"] == "died" {
			t.died = cmp.Or(t.died, fmt.Sprintf("the service %s died: %s", e.Name, cmp.Or(e.Attrs["detail"], "no detail")))
			t.warn("the service %s died: %s", e.Name, cmp.Or(e.Attrs["detail"], "no detail"))
		}
	},
	measure.EventWarning: func(t *timeline, e measure.Event) { t.warn("%s", cmp.Or(e.Attrs["detail"], e.Name)) },
	measure.EventPhaseEnd: func(t *timeline, e measure.Event) {
		t.heard.ended = e.At
		if reason := e.Attrs["reason"]; reason != "" {
			t.warn("the phase ended early: %s", reason)
		}
	},
}

// metricEvent takes note of a metric. A query of the plan comes before what a
// script calls the same.
func (t *timeline) metricEvent(e measure.Event) {
	if !t.asked(e.Name) {
		t.metrics[e.Name] = e.Attrs
	}
}

// asked reports whether a name is that of a query.
func (t *timeline) asked(name string) bool { return staleAfter(t.metrics[name]) > 0 }

func generatorReason(e measure.Event) string {
	what := map[string]string{
		"cpu": "the generator's CPU was saturated", "lag": "the generator lagged behind its schedule",
		"files": "the generator ran out of file descriptors", "lost": "measurements were lost",
		"script": "the script broke", "host": "the script asked for a host outside the plan", "ended": "k6 ended early", "runner": "a runner fell short", "vus": "the generator had too few virtual users",
	}[e.Name]
	what = cmp.Or(what, "the generator fell short: "+e.Name)
	if e.Test != "" {
		what += " in " + e.Test
	}
	if detail := e.Attrs["detail"]; detail != "" {
		what += " (" + detail + ")"
	}
	return what
}

func (t *timeline) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(t.warnings, text) && len(t.warnings) < 100 {
		t.warnings = append(t.warnings, text)
	}
}

func armOf(arm string) string { return cmp.Or(arm, measure.Candidate) }

func (t *timeline) test(e measure.Event) *testRun {
	key := testKey{e.Test, armOf(e.Arm)}
	if t.tests[key] == nil {
		t.tests[key] = &testRun{}
	}
	return t.tests[key]
}

// mostLooks bounds what a record may claim: a phase is extended once.
const mostLooks = 2

func (t *timeline) begun(e measure.Event) {
	t.first = e.Attrs["first"] != ""
	if n, err := strconv.Atoi(e.Attrs["looks"]); err == nil {
		t.looks = min(max(1, n), mostLooks)
	}
}

func (t *timeline) extendedEvent(e measure.Event) {
	if t.extended == 0 {
		t.extended = e.At
		t.looks = mostLooks // whatever was said before
		t.warn("the phase was extended by %s: %s", cmp.Or(e.Attrs["for"], "some time"), cmp.Or(e.Attrs["reason"], "no reason was given"))
	}
}

func (t *timeline) testStarted(e measure.Event) {
	run := t.test(e)
	if t.extended > 0 && run.starts > 0 && run.again == 0 {
		run.pause, run.again = run.end, e.At
	}
	if run.starts == 0 {
		run.start, run.kind = e.At, e.Attrs["kind"]
	}
	run.starts++
	run.warmup = max(run.warmup, t.duration(e, "warmup", 0))
}

func (t *timeline) testEnded(e measure.Event) {
	run := t.test(e)
	run.ends++
	run.end = max(run.end, e.At)
	if e.Attrs["complete"] != "true" {
		run.incomplete = cmp.Or(e.Attrs["reason"], "no reason was given")
	}
}

func (t *timeline) duration(e measure.Event, attr string, otherwise time.Duration) time.Duration {
	text, ok := e.Attrs[attr]
	if !ok || text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > 1000*time.Hour {
		t.warn("the %s of %s is no duration: %q", attr, cmp.Or(e.Test, e.Name), text)
		return otherwise
	}
	return d
}

func (t *timeline) injected(e measure.Event) {
	share := 1.0
	if text := e.Attrs["share"]; text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n >= 0 && n <= 1) {
			t.warn("the share of %s is no number from 0 to 1: %q", e.Name, text)
		} else {
			share = n
		}
	}
	t.injections = append(t.injections, injection{
		name: e.Name, sweep: e.Attrs["sweep"], fault: e.Attrs["fault"], on: e.Attrs["on"], share: share,
		settle: t.duration(e, "settle", defaultSettle), from: e.At, to: math.MaxInt64,
	})
}

func (t *timeline) skippedEvent(e measure.Event) {
	t.skipped[e.Name] = e.Attrs["reason"]
	if sweep := e.Attrs["sweep"]; sweep != "" {
		t.skippedOf[sweep] = e.Attrs["reason"]
	}
}

// liftedEvent closes the earliest injection of the name that is still open;
// where all were tried, the earliest that could not be lifted.
func (t *timeline) liftedEvent(e measure.Event) {
	again := !slices.ContainsFunc(t.injections, func(in injection) bool { return in.name == e.Name && !in.told })
	for i := range t.injections {
		in := &t.injections[i]
		if in.name != e.Name || in.lifted || in.told && !again {
			continue
		}
		in.told = true
		matched, matchedErr := strconv.ParseUint(e.Attrs["matched"], 10, 64)
		touched, touchedErr := strconv.ParseUint(e.Attrs["touched"], 10, 64)
		in.matched, in.touched, in.unit = matched, touched, e.Attrs["unit"]
		if names := e.Attrs["names"]; names != "" {
			in.names = strings.Split(names, ", ")
		}
		if in.doubt = e.Attrs["doubt"]; in.doubt != "" {
			t.warn("%s: %s", e.Name, in.doubt)
		}
		in.counted = matchedErr == nil && touchedErr == nil
		if in.problem = e.Attrs["error"]; in.problem == "" {
			in.lifted, in.to = true, e.At
		}
		return
	}
	t.warn("%s was lifted without having been injected", e.Name)
}

// close says what is missing at the end.
func (t *timeline) close() {
	stopped := ""
	for _, key := range t.testKeys() {
		run := t.tests[key]
		switch {
		case run.incomplete == "interrupted":
			stopped = cmp.Or(stopped, fmt.Sprintf("the test %s was interrupted", key.test))
		case run.incomplete != "":
			t.shortfalls = append(t.shortfalls, shortfall{test: key.test, arm: key.arm, reason: fmt.Sprintf("the test %s did not run to its end: %s", key.test, run.incomplete)})
		case run.ends < max(run.starts, 1):
			t.shortfalls = append(t.shortfalls, shortfall{test: key.test, arm: key.arm, reason: fmt.Sprintf("the test %s has no end in the record", key.test)})
		}
	}
	if len(t.shortfalls) == 0 { // otherwise they say why it was stopped
		t.interrupted = cmp.Or(t.interrupted, stopped)
	}
	for _, in := range t.injections {
		if in.problem != "" && !in.lifted {
			t.faultActive = true
			t.warn("a fault may still be active: lifting %s could not be confirmed (%s)", in.name, in.problem)
		}
	}
}

func (t *timeline) testKeys() []testKey {
	keys := make([]testKey, 0, len(t.tests))
	for key := range t.tests {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b testKey) int {
		return cmp.Or(cmp.Compare(a.test, b.test), cmp.Compare(b.arm, a.arm))
	})
	return keys
}

// warmEnd is when the warm-up of a test is over; the least time when it has
// none.
func (t *timeline) warmEnd(key testKey) int64 {
	run := t.tests[key]
	if run == nil || run.warmup == 0 || run.starts == 0 {
		return math.MinInt64
	}
	return run.start + int64(run.warmup)
}

// parts are the stretches in which a test sent: one, or two where the phase was
// extended.
func (run *testRun) parts() []span {
	end := run.end
	if run.ends < run.starts {
		end = math.MaxInt64
	}
	switch {
	case run.starts == 0:
		return nil
	case run.again == 0:
		return []span{{run.start, end}}
	}
	return []span{{run.start, run.pause}, {run.again, end}}
}

// judged are the parts of a test without their warm-ups.
func (run *testRun) judged() []span {
	all := run.parts()
	for i := range all {
		all[i].from += int64(run.warmup)
	}
	return all
}

// runsArm reports whether a test sends to an arm.
func (t *timeline) runsArm(arm string) bool {
	for key := range t.tests {
		if key.arm == arm {
			return true
		}
	}
	return false
}

// runs are the stretches in which any test of the arm ran.
func (t *timeline) runs(arm string) spans {
	var all []span
	for key, run := range t.tests {
		if key.arm == arm {
			all = append(all, run.parts()...)
		}
	}
	return union(all...)
}

// warmups are the stretches in which any test of the arm was warming up.
func (t *timeline) warmups(arm string) spans {
	var all []span
	for key, run := range t.tests {
		if key.arm != arm || run.warmup == 0 {
			continue
		}
		for _, part := range run.parts() {
			all = append(all, span{part.from, part.from + int64(run.warmup)})
		}
	}
	return union(all...)
}

package canary

import (
	"fmt"
	"slices"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// evidence is what is known of one unit for one rule. Attempts arrive when they
// end and count by when they began: one that began before the present row did
// does not break it.
type evidence struct {
	unit Unit
	ring ring

	bad      run   // bad attempts, one after the other
	good     run   // good ones since the last bad one
	lastBad  int64 // when the last bad one began
	messages []string
}

// run is a row of attempts of one kind.
type run struct {
	length int
	first  int64 // when the first of them began
}

func (r *run) add(at int64) {
	if r.length == 0 || at < r.first {
		r.first = at
	}
	r.length++
}

// add takes in an attempt.
func (e *evidence) add(at int64, good bool, message string) {
	e.ring.add(at, good)
	if good {
		e.good.add(at)
		if e.bad.length > 0 && at >= e.bad.first {
			e.bad = run{}
		}
		return
	}
	e.bad.add(at)
	if e.lastBad = max(e.lastBad, at); at >= e.good.first {
		e.good = run{}
	}
	if message != "" && !slices.Contains(e.messages, message) {
		e.messages = append(e.messages[max(0, len(e.messages)-measure.MaxExamples+1):], message)
	}
}

// settle forgets what an incident that is closed was opened by.
func (e *evidence) settle() {
	e.ring.clear()
	e.bad, e.messages = run{}, nil
}

// meets reports whether the evidence is what a trigger asks for, since when, and
// in words. A burn rate is not a matter of one unit.
func (e *evidence) meets(t plan.Trigger) (since int64, words string, met bool) {
	switch {
	case t.Row > 0 && e.bad.length >= t.Row:
		return e.bad.first, t.String() + ": " + e.unit.String(), true
	case t.Of > 0:
		if n, first := e.ring.bad(t.Of); n >= t.Some {
			return first, fmt.Sprintf("%d of the last %d: %s", n, min(t.Of, e.ring.length), e.unit), true
		}
	}
	return 0, "", false
}

// compareUnits sorts by transaction, key and value.
func compareUnits(a, b Unit) int {
	return slices.Compare([]string{a.Transaction, a.Key, a.Value}, []string{b.Transaction, b.Key, b.Value})
}

// ring holds the last attempts of a unit: when the bad ones began, and 0 for each
// of the good.
type ring struct {
	began  []int64
	next   int
	length int
}

func newRing(size int) ring { return ring{began: make([]int64, size)} }

func (r *ring) add(at int64, good bool) {
	if len(r.began) == 0 {
		return
	}
	if good {
		at = 0
	}
	r.began[r.next] = at
	r.next = (r.next + 1) % len(r.began)
	r.length = min(r.length+1, len(r.began))
}

// bad counts the bad ones of the last so many, and gives when the first began.
func (r *ring) bad(of int) (n int, first int64) {
	for i := range min(of, r.length) {
		at := r.began[(r.next-1-i+len(r.began))%len(r.began)]
		if at == 0 {
			continue
		}
		if n++; n == 1 || at < first {
			first = at
		}
	}
	return n, first
}

func (r *ring) clear() { r.length, r.next = 0, 0 }

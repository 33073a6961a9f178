package shadow

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// failedPair are the statuses of two versions that failed both where users did not,
// that the baseline was given up because the test ended, or that it failed alone.
type failedPair struct {
	baseline, candidate int // 0 for no answer
	givenUp, alone      bool
}

// fail counts an exchange that is undecided by its statuses.
func (c *comparing) fail(p failedPair) {
	c.mu.Lock()
	c.failed[p]++
	c.mu.Unlock()
}

// tellFailed warns of exchanges that are undecided by their statuses, and says what
// can be done.
func (c *comparing) tellFailed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	const undecided = "%d exchanges are undecided, so that no gate passes that they could break: "
	if n := c.failed[failedPair{givenUp: true}]; n > 0 {
		c.p.record.warn(undecided+"the baseline had not answered when the test ended; give it longer by grace:", n)
		delete(c.failed, failedPair{givenUp: true})
	}
	c.tellUnserved(undecided)
	var n uint64
	var parts []string
	for _, pair := range slices.SortedFunc(maps.Keys(c.failed), failedPair.compare) {
		n += c.failed[pair]
		parts = append(parts, fmt.Sprintf("%s: %d", pair, c.failed[pair]))
	}
	if n > 0 {
		c.p.record.warn(undecided+"both versions failed (%s), and the recording does not say that users were answered so; %s",
			n, strings.Join(parts, ", "), strings.Join(failedHints(c.failed), "; "))
	}
}

// tellUnserved warns that the baseline failed alone, if that is not what it does in its
// own two answers as well. The lock is held.
func (c *comparing) tellUnserved(undecided string) {
	var n uint64
	var parts []string
	for _, pair := range slices.SortedFunc(maps.Keys(c.failed), failedPair.compare) {
		if pair.alone {
			n += c.failed[pair]
			parts = append(parts, fmt.Sprintf("%s: %d", failedPair{baseline: pair.baseline, candidate: pair.baseline}, c.failed[pair]))
			delete(c.failed, pair)
		}
	}
	if n > 0 && slices.ContainsFunc(c.findings.List(), Finding.unserved) {
		c.p.record.warn(undecided+"the baseline alone failed (%s), and users did not; it may be asked more than it allows, as with noise: twice: see why it failed, replay slower, or name another instance under noise:",
			n, strings.Join(parts, ", "))
	}
}

func (p failedPair) compare(o failedPair) int {
	return cmp.Or(cmp.Compare(p.candidate, o.candidate), cmp.Compare(p.baseline, o.baseline))
}

// String tells the statuses, once where both are the same.
func (p failedPair) String() string {
	word := func(status int) string {
		if status == 0 {
			return "no answer"
		}
		return strconv.Itoa(status)
	}
	if p.baseline == p.candidate {
		return word(p.candidate)
	}
	return word(p.baseline) + " and " + word(p.candidate)
}

// failedHints say what can be done about failures of both versions.
func failedHints(failed map[failedPair]uint64) (hints []string) {
	var down, refused, away, gone bool
	for pair := range failed {
		switch status := pair.candidate; {
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			refused = true
		case leadsElsewhere(status):
			away = true
		case mayBeMeant(status):
			gone = true
		default:
			down = true
		}
	}
	for _, hint := range []struct {
		given bool
		text  string
	}{
		{refused, "a recording has no credentials: give the targets auth:, or carry: the token or cookie that an answer gave and that was not carried"},
		{away, "see where they lead: to a login (give the targets auth:) or from http to https"},
		{gone, "replay against the data that was there when it was recorded"},
		{down, "see why they failed, and replay again"},
		{refused || away || gone, "where they are meant to answer so, say ignore: [status of ROUTE]"},
	} {
		if hint.given {
			hints = append(hints, hint.text)
		}
	}
	return hints
}

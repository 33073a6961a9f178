package canary

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"resilience/internal/measure"
)

// maxUnits is how many units a text names; of more it says how many there are.
const maxUnits = 10

// Words says a notice to people: a title of one line, and a text of several.
// Whatever comes from outside, such as the messages of a target, is on one line
// and short, and holds nothing that can not be seen.
func Words(n Notice) (title, text string) {
	i := n.Incident
	var b strings.Builder
	switch n.Kind {
	case Closed:
		fmt.Fprintf(&b, "Lasted %s, from %s to %s.\n", span(i.lasted(n.At)), moment(i.Start), moment(i.ended(n.At)))
		fmt.Fprintf(&b, "Failed %s of %s.\n", grouped(i.Bad), plural(i.Total, "attempt"))
	default:
		fmt.Fprintf(&b, "Since %s, noticed %s later.\n", moment(i.Start), span(time.Duration(i.Detected-i.Start)))
	}
	told := func(what string, value string) {
		if value != "" {
			b.WriteString(what + ": " + value + "\n")
		}
	}
	told("Failed", unitsText(i.Units))
	told("All of them", commonText(i.Common()))
	for _, message := range i.Messages[:min(len(i.Messages), measure.MaxExamples)] {
		told("Message", plain(message))
	}
	told("Seen from", plain(strings.Join(i.Agreed, ", ")))
	told("Plan", plain(n.Plan))
	told("Owner", plain(i.Owner))
	told("Runbook", plain(i.Runbook))
	told("Incident", plain(i.ID))
	switch {
	case i.Acked != 0:
		told("Acknowledged", by(i)+", "+span(time.Duration(i.Acked-i.Detected))+" after it was noticed")
	case n.Kind != Closed:
		told("To acknowledge", "resilience ack "+plain(i.ID))
	}
	return headline(n), strings.TrimSuffix(b.String(), "\n")
}

// commonText says what bad attempts have in common: cell eu-1, region eu.
func commonText(common map[string]string) string {
	parts := make([]string, 0, len(common))
	for _, key := range slices.Sorted(maps.Keys(common)) {
		parts = append(parts, key+" "+plain(common[key]))
	}
	return strings.Join(parts, ", ")
}

// headline is the title of a notice.
func headline(n Notice) string {
	i := n.Incident
	what := plain(i.Rule)
	switch n.Kind {
	case Closed:
		what = "closed: " + what + ", after " + span(i.lasted(n.At))
	case Acknowledged:
		what = "acknowledged " + by(i) + ": " + what
	case Reminder:
		what = "still open after " + span(time.Duration(n.At-i.Start)) + ": " + what
	}
	if n.Kind != Closed && i.Evidence != "" {
		what += ": " + plain(i.Evidence)
	}
	return "[" + plain(i.Severity) + "] " + what
}

// by says who acknowledged.
func by(i Incident) string {
	if i.AckedBy == "" {
		return "by somebody"
	}
	return "by " + plain(i.AckedBy)
}

// ended is when an incident was over; now, when that is not known.
func (i Incident) ended(now int64) int64 {
	switch {
	case i.End != 0:
		return i.End
	case i.Closed != 0:
		return i.Closed
	}
	return now
}

// lasted is how long an incident took, or has been going on.
func (i Incident) lasted(now int64) time.Duration {
	return time.Duration(max(0, i.ended(now)-i.Start))
}

// String names the unit to people: order in cell eu-1.
func (u Unit) String() string {
	if u.Key == "" {
		return plain(u.Transaction)
	}
	if u.Key == "tenant" {
		return plain(u.Transaction + " as tenant " + u.Value)
	}
	return plain(u.Transaction + " in " + u.Key + " " + u.Value)
}

// unitsText names units on one line.
func unitsText(units []Unit) string {
	names := make([]string, 0, maxUnits)
	for _, u := range units[:min(len(units), maxUnits)] {
		names = append(names, u.String())
	}
	text := strings.Join(names, ", ")
	if more := len(units) - maxUnits; more > 0 {
		text += " and " + grouped(uint64(more)) + " more"
	}
	return text
}

// plain makes a text fit for one line: white space is one space each, what can
// not be seen or turns the direction of writing is left out, and it is at most
// [measure.MaxMessage] bytes long.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return shorten(strings.Join(strings.Fields(text), " "), measure.MaxMessage)
}

// shorten cuts a text to so many bytes at most, between characters, and marks it.
func shorten(text string, most int) string {
	const mark = "..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(mark)], "") + mark
}

// moment writes a time to people: 2026-01-02 15:04:05 UTC.
func moment(at int64) string {
	return time.Unix(0, at).UTC().Format("2006-01-02 15:04:05 UTC")
}

// span writes how long something took: 15 s, 1 min 5 s, 2 h 3 min, 3 d 4 h.
func span(d time.Duration) string {
	s := int64(max(0, d).Round(time.Second) / time.Second)
	two := func(big int64, bigUnit string, small int64, smallUnit string) string {
		text := strconv.FormatInt(big, 10) + " " + bigUnit
		if small > 0 {
			text += " " + strconv.FormatInt(small, 10) + " " + smallUnit
		}
		return text
	}
	switch {
	case s < 60:
		return two(s, "s", 0, "")
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	case s < 86400:
		return two(s/3600, "h", s/60%60, "min")
	}
	return two(s/86400, "d", s/3600%24, "h")
}

// plural writes a count with its noun: 1 attempt, 1,240 attempts.
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// grouped writes a count to people: 1,240.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

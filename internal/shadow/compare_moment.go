package shadow

import (
	"net/http"
	"strings"
	"time"
)

// A clock tells the moment in many answers: when they were made, when a page was served.
// That is not noise as other noise is. Two answers of one process are often made within
// the same millisecond or second when those of two processes are not, and so the baseline
// differs from itself less often than a candidate that is as good: no fair coin. And where
// it differs always, a clock that is an hour off would be taken for it. So times are
// compared with our clock: those that both tell the moment are the same, and one that
// does where the other does not is a difference that noise never shows.

// clockSlack is how far a clock may be from ours, and still tell the moment.
const clockSlack = 5 * time.Second

// moment is from when an answer was asked for until it was whole; zero where nobody knows.
type moment struct{ from, to time.Time }

func madeAt(r Response) moment { return moment{r.asked, r.ended} }

// tells reports whether a time is of the moment of the answer.
func (s moment) tells(t time.Time) bool {
	return t.After(s.from.Add(-clockSlack)) && t.Before(s.to.Add(clockSlack))
}

// during says when an answer was asked for, and when it was whole.
func (r Response) during(from, to time.Time) Response {
	r.asked, r.ended = from, to
	return r
}

// moments compares two texts or numbers if both tell the moment, and reports whether
// they do. They may only be written in another way.
func (r *comparison) moments(a, b, rawA, rawB []byte) bool {
	if r.made[0].from.IsZero() || r.made[1].from.IsZero() || len(a) > maxMoment || len(b) > maxMoment {
		return false
	}
	x, y := string(a), string(b)
	t, ok := timeOf(x)
	u, ok2 := timeOf(y)
	if !ok || !ok2 || !r.made[0].tells(t) || !r.made[1].tells(u) {
		return false
	}
	if clockForm(x) != clockForm(y) {
		r.differ(Format, rawA, rawB)
	}
	return true
}

// maxMoment is the length of a text that may be a time, in bytes.
const maxMoment = 40

// clockForm is how a time is written: its digits are 0, of a fraction there is one, as
// programs leave out the zeros at its end. Of one with the name of a day it is what
// follows the minutes.
func clockForm(text string) string {
	if isLetter(text[0]) {
		text = text[strings.LastIndexByte(text, ':'):]
	}
	form, fraction := make([]byte, 0, len(text)), false
	for _, c := range []byte(text) {
		switch {
		case isDigit(c) && fraction:
		case isDigit(c):
			form = append(form, '0')
		default:
			form, fraction = append(form, c), c == '.'
			if fraction {
				form = append(form, '0')
			}
		}
	}
	return string(form)
}

// lifetime compares two Expires headers by how long after the answer they are (RFC 9111,
// section 4.2.1), and reports whether it could. Each is told to a second, as is when the
// answer was made, so that two may be off.
func (r *comparison) lifetime(a, b Response) bool {
	x, ok := lifetimeOf(a.Header)
	y, ok2 := lifetimeOf(b.Header)
	if !ok || !ok2 {
		return false
	}
	if (x - y).Abs() > 2*time.Second {
		r.differ(Time, []byte(a.Header.Get("Expires")), []byte(b.Header.Get("Expires")))
	}
	return true
}

func lifetimeOf(h http.Header) (time.Duration, bool) {
	made, err := http.ParseTime(h.Get("Date"))
	ends, err2 := http.ParseTime(h.Get("Expires"))
	return ends.Sub(made), err == nil && err2 == nil
}

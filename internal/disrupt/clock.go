package disrupt

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"resilience/internal/plan"
)

// clock shifts the times in the headers of answers, as if the dependency's
// clock were wrong. An answer without any does not match.
type clock struct{ skew time.Duration }

func readClock(d plan.Disruption) (effect, error) {
	if d.Clock == nil {
		return nil, nil
	}
	skew, err := plan.ParseSkew(d.Clock.Skew)
	if err != nil {
		return nil, fmt.Errorf("skew %w", err)
	}
	return clock{skew: skew}, nil
}

func (f clock) touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc) {
	next(&skewed{ResponseWriter: w, chance: c, skew: f.skew}, r)
}

// skewed is a response whose times are shifted.
type skewed struct {
	http.ResponseWriter
	chance *chance
	skew   time.Duration
}

// WriteHeader shifts the times of a final answer.
func (w *skewed) WriteHeader(status int) {
	if status >= 200 {
		h := w.Header()
		for _, name := range []string{"Date", "Expires", "Last-Modified"} {
			w.shift(h[name], w.date)
		}
		w.shift(h["Set-Cookie"], w.cookie)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *skewed) shift(values []string, by func(string) (string, bool)) {
	for i, value := range values {
		if later, ok := by(value); ok && w.chance.bites() {
			values[i] = later
		}
	}
}

// date shifts a date of HTTP; what is none, such as 0, stays.
func (w *skewed) date(text string) (string, bool) {
	at, err := http.ParseTime(text)
	if err != nil {
		return "", false
	}
	return at.Add(w.skew).UTC().Format(http.TimeFormat), true
}

// cookie shifts when a cookie expires.
func (w *skewed) cookie(text string) (string, bool) {
	parts := strings.Split(text, ";")
	for i, part := range parts {
		name, value, found := strings.Cut(part, "=")
		if i == 0 || !found || !strings.EqualFold(strings.TrimSpace(name), "expires") {
			continue
		}
		value = strings.TrimSpace(value)
		at, err := http.ParseTime(value)
		if err != nil { // the format of Netscape's
			at, err = time.Parse("Mon, 02-Jan-2006 15:04:05 MST", value)
		}
		if err != nil {
			continue
		}
		parts[i] = name + "=" + at.Add(w.skew).UTC().Format(http.TimeFormat)
		return strings.Join(parts, ";"), true
	}
	return "", false
}

// Unwrap lets http.ResponseController find what we do not do ourselves.
func (w *skewed) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package traffic

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
)

// maxLogLine bounds how much of one line of k6's log is looked at, and
// maxLogLines how many errors are kept.
const (
	maxLogLine  = 64 << 10
	maxLogLines = 20
)

// planErrorMark begins messages of the extension that blame the plan; see
// xk6resilience.PlanError.
const planErrorMark = "the plan does not fit the script: "

// k6Log reads k6's log, JSON lines, as it is written. Exceptions outside of
// iterations and errors in options show nowhere else.
type k6Log struct {
	mu     sync.Mutex
	rest   []byte
	errors []string
	died   string // the last words of Go itself
}

// Write implements [io.Writer].
func (l *k6Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			break
		}
		l.line(line)
		l.rest = rest
	}
	if len(l.rest) > maxLogLine {
		l.rest = l.rest[:0]
	}
	return len(p), nil
}

func (l *k6Log) line(line []byte) {
	var entry struct{ Level, Msg, Error string }
	if err := json.Unmarshal(line, &entry); err != nil {
		// Go's own last words, a panic for one, are not JSON.
		if text := strings.TrimSpace(string(line)); strings.HasPrefix(text, "panic:") || strings.HasPrefix(text, "fatal error:") {
			l.keep(text)
			l.died = text
		}
		return
	}
	if entry.Level != "error" && entry.Level != "fatal" {
		return
	}
	if entry.Error != "" {
		entry.Msg += ": " + entry.Error
	}
	l.keep(entry.Msg)
}

func (l *k6Log) keep(message string) {
	if len(l.errors) < maxLogLines {
		l.errors = append(l.errors, oneLine(urls.ReplaceAllStringFunc(message, redactURL)))
	}
}

// lastError is the last thing k6 complained about, "" when it did not.
func (l *k6Log) lastError() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.died != "" {
		return l.died
	}
	if len(l.errors) == 0 {
		return ""
	}
	return l.errors[len(l.errors)-1]
}

// panicked reports whether k6 ended in a panic.
func (l *k6Log) panicked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.died != ""
}

// planError is the message of an error that the plan is to blame for.
func (l *k6Log) planError() (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.errors {
		if _, message, found := strings.Cut(e, planErrorMark); found {
			message, _, _ = strings.Cut(message, " at ")
			return message, true
		}
	}
	return "", false
}

// urls finds URLs in messages: they may hold secrets.
var urls = regexp.MustCompile(`https?://[^\s"'<>)]+`)

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

package run

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"resilience/internal/measure"
)

// maxLog bounds what is kept of one process, in bytes, so that a chatty
// service can not fill the disk that the record is on.
const maxLog = 16 << 20

// maxLine bounds a line that is looked through for secrets, in bytes.
const maxLine = 64 << 10

// processLog keeps what a process says, line by line and without secrets.
type processLog struct {
	path   string
	redact func(string) string

	mu   sync.Mutex
	file *os.File
	line []byte
	size int
	full bool
	err  error // the first that happened
}

// newLog makes the log of a process in the conductor's folder for logs.
func (c *Conductor) newLog(name string) (*processLog, error) {
	path := filepath.Join(c.Logs, name+".log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	return &processLog{path: path, file: file, redact: c.redact}, nil
}

// Write implements io.Writer. It takes everything, so that a process is never
// stopped by its log.
func (l *processLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, part := range bytes.SplitAfter(p, []byte("\n")) {
		l.line = append(l.line, part...)
		if bytes.HasSuffix(part, []byte("\n")) || len(l.line) > maxLine {
			l.flush()
		}
	}
	return len(p), nil
}

// flush writes the line that has come in so far; l.mu is held.
func (l *processLog) flush() {
	text := l.redact(string(l.line))
	l.line = l.line[:0]
	if l.full || l.err != nil || text == "" {
		return
	}
	if l.size+len(text) > maxLog {
		l.full = true
		text = fmt.Sprintf("(the log ends here: it is over %d MiB)\n", maxLog>>20)
	}
	l.size += len(text)
	_, l.err = l.file.WriteString(text)
}

// close writes what is left.
func (l *processLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	if err := l.file.Close(); l.err == nil {
		l.err = err
	}
	return l.err
}

// tail gives the last lines, indented.
func (l *processLog) tail() string {
	const most, lines = 2 << 10, 10
	text, err := os.ReadFile(l.path)
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	text = text[max(0, len(text)-most):]
	last := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "  " + strings.Join(last[max(0, len(last)-lines):], "\n  ")
}

// secrets replaces the values of the plan's secrets, and the tokens of tenants,
// in texts.
func (c *Conductor) secrets() *strings.Replacer {
	var pairs []string
	for _, name := range sorted(c.Plan.Secrets) {
		if value, err := c.Plan.Secret(name, c.Getenv); err == nil && len(value) >= shortest {
			pairs = append(pairs, value, "(secret "+name+")")
		}
	}
	for name, token := range c.Plan.TenantTokens(c.Getenv) {
		if len(token) >= shortest {
			pairs = append(pairs, token, "(token of "+name+")")
		}
	}
	return strings.NewReplacer(pairs...)
}

// redact takes the plan's secrets out of a text.
func (c *Conductor) redact(text string) string {
	c.hide.Do(func() { c.replacer = c.secrets() })
	return c.replacer.Replace(text)
}

// redacted takes the plan's secrets out of everything in a batch that comes
// from outside: names that a script chose, messages, what a service said.
func (c *Conductor) redacted(batch measure.Batch) measure.Batch {
	if len(c.Plan.Secrets) == 0 && c.Plan.Tenants == nil {
		return batch
	}
	for i := range batch.Windows {
		s := &batch.Windows[i].Series
		for _, field := range []*string{&s.Transaction, &s.Step, &s.Tenant, &s.Class, &s.Cell, &s.Region, &s.Instance, &s.Status} {
			*field = c.redact(*field)
		}
	}
	for i := range batch.Examples {
		e := &batch.Examples[i]
		for _, field := range []*string{&e.Kind, &e.Request, &e.Status, &e.Message, &e.TraceID} {
			*field = c.redact(*field)
		}
	}
	for i, e := range batch.Events {
		if e.Source != source || e.Kind == measure.EventAlert || e.Kind == measure.EventAck { // else the plan chose it
			batch.Events[i].Name = c.redact(e.Name)
		}
		for key, value := range e.Attrs {
			batch.Events[i].Attrs[key] = c.redact(value)
		}
	}
	return batch
}

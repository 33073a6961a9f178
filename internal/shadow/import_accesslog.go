package shadow

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// logTime is how Apache and nginx write a time unless they are told otherwise, with or
// without a fraction of the second.
const logTime = "02/Jan/2006:15:04:05 -0700"

// logTimeOf reads a time: also as nginx writes $time_iso8601 and $msec, and Apache what
// most tell it.
func logTimeOf(text string) (time.Time, error) {
	at, err := time.Parse(logTime, text)
	if err == nil || len(text) < len("1700000000") {
		return at, err
	}
	if text[4] != '-' {
		if at, ok := epochOf(text); ok {
			return at, nil
		}
		return at, err
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700"} {
		if at, err = time.Parse(layout, text); err == nil {
			break
		}
	}
	return at, err
}

// mostFields are how many words of a line are looked at.
const mostFields = 128

// Names of reasons why a line is skipped.
const (
	logMalformed = "it is no line of an access log"
	logRequest   = "its request line is not HTTP"
	logMoment    = "its time can not be read"
)

// isAccessLog takes what looks like a line of a log at the start, whatever is asked in
// it, and after what else a server says when it starts, a request over HTTP.
func isAccessLog(start []byte) bool {
	if isTextLine(start) {
		if _, reason := parseLog(string(firstLine(start))); reason == "" {
			return true
		}
	}
	return anyLine(start, func(line []byte) bool {
		entry, reason := parseLog(string(line))
		return reason == "" && entry.request() == ""
	})
}

// accessLog reads the lines of a log. Where they say no more than the second, what came
// in one second is spread over it: users do not wait for a clock to strike.
type accessLog struct {
	i      *importing
	took   tookField
	who    int // the word that tells who asks; 0 for what lines have by themselves
	second []logged
	finer  bool // it says more than the second
}

type logged struct {
	Exchange
	place string
}

// mostInSecond are spread; with more, some keep their place at its start.
const mostInSecond = 20_000

func readAccessLog(i *importing, r *bufio.Reader) error {
	log := &accessLog{i: i}
	var err error
	if log.took, log.who, err = logFields(i.o.Fields); err != nil {
		return i.failed("", err)
	}
	err = i.eachLine(r, log.line)
	return errors.Join(log.spread(), err)
}

func (l *accessLog) line(line []byte, place string) error {
	entry, reason := parseLog(string(line))
	if reason == "" {
		reason = entry.request()
	}
	if reason != "" {
		l.i.skip(reason, place)
		return nil
	}
	l.finer = l.finer || entry.x.At.Nanosecond() != 0
	entry.x.Took = l.took.of(entry.words)
	entry.asker(l.who)
	if len(l.second) > 0 && (!l.second[0].At.Equal(entry.x.At) || len(l.second) == mostInSecond) {
		if err := l.spread(); err != nil {
			return err
		}
	}
	l.second = append(l.second, logged{entry.x, place})
	return nil
}

// spread hands on the exchanges of a second, each a little after the one before.
// The log has when they ended, where it says how long they took.
func (l *accessLog) spread() error {
	step := time.Second / time.Duration(max(len(l.second), 1))
	if l.finer {
		step = 0
	}
	for n, x := range l.second {
		x.At = x.At.Add(time.Duration(n)*step - x.Took)
		if err := l.i.keep(x.Exchange, x.place); err != nil {
			return err
		}
	}
	l.second = l.second[:0]
	return nil
}

// logEntry is a line that was taken apart.
type logEntry struct {
	x     Exchange
	line  string   // of the request
	words []string // all of them

	forwarded string // addresses that it was forwarded for
}

// parseLog reads "address identity user [time] "request" status bytes", and what
// the combined format has after that; a word before it may name the host.
func parseLog(line string) (e logEntry, reason string) {
	words, kinds, ok := logWords(line)
	moment := -1
	for n, k := range kinds {
		if k == '[' && n >= 3 { // an address may have brackets, too
			moment = n
			break
		}
	}
	if !ok || moment < 0 || len(words) < moment+3 || kinds[moment+1] != '"' {
		return e, logMalformed
	}
	e.words, e.line = words, words[moment+1]
	at, err := logTimeOf(words[moment])
	if err != nil {
		return e, logMoment
	}
	e.x.At = at.UTC()
	e.x.Response.Status, err = strconv.Atoi(words[moment+2])
	if err != nil || e.x.Response.Status < 0 || e.x.Response.Status > 999 {
		return e, logMalformed
	}
	e.x.Request.Header, e.x.Response.Header = http.Header{}, http.Header{}
	e.who(words[:moment])
	e.what(words[moment+3:], kinds[moment+3:])
	return e, ""
}

// who reads what stands before the time.
func (e *logEntry) who(words []string) {
	if len(words) > 3 && !isAddress(words[0]) && isAddress(words[1]) {
		e.x.Request.Host, words = words[0], words[1:]
	}
	e.x.Session = words[0]
	if user := strings.Join(words[2:], " "); user != "-" && user != "" {
		e.x.Session = user
	}
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// what reads what stands after the status: how many bytes, from where, with what.
func (e *logEntry) what(words []string, kinds []byte) {
	e.x.Response.Body = Body{Size: -1, Cut: true}
	if len(words) > 0 {
		if n, err := strconv.ParseInt(words[0], 10, 64); err == nil && n >= 0 {
			e.x.Response.Header.Set("Content-Length", words[0]) // as it travelled; nobody knows what it was decoded
		}
		if words[0] == "0" || words[0] == "-" {
			e.x.Response.Body = Body{}
		}
	}
	for n, name := range []string{"Referer", "User-Agent"} {
		if len(words) > n+1 && kinds[n+1] == '"' && words[n+1] != "-" && words[n+1] != "" {
			e.x.Request.Header.Set(name, words[n+1])
		}
	}
	if len(words) > 3 && kinds[3] == '"' { // nginx's own format ends so
		e.forwarded = words[3]
	}
}

// asker says whose session it is: that of a word of the line, where one is named, or of
// the address that asked. Behind a load balancer that is one for all, so what it was
// forwarded for goes before it, where the line has that.
func (e *logEntry) asker(word int) {
	if word > 0 {
		if word <= len(e.words) && e.words[word-1] != "-" && e.words[word-1] != "" {
			e.x.Session = e.words[word-1]
		}
	} else if first, _, _ := strings.Cut(e.forwarded, ","); isAddress(e.x.Session) && isAddress(strings.TrimSpace(first)) {
		e.x.Session = strings.TrimSpace(first)
	}
	if isAddress(e.x.Session) {
		e.x.Session += " " + e.x.Request.Header.Get("User-Agent") // an address may stand for a whole office
	}
}

// request reads the request line.
func (e *logEntry) request() (reason string) {
	parts := strings.Split(e.line, " ")
	switch {
	case len(parts) == 2 && parts[0] == "GET": // HTTP/0.9
	case len(parts) != 3 || !strings.HasPrefix(parts[2], "HTTP/"):
		return logRequest
	}
	method, target := parts[0], parts[1]
	if !isMethod(method) || target == "" || strings.ContainsFunc(target, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return logRequest
	}
	e.x.Request.Method, e.x.Request.Target, e.x.Request.Body = method, target, loggedBody(method, "")
	if target[0] != '/' && strings.Contains(target, "://") {
		if reason := e.x.Request.setURL(target); reason != "" {
			return logRequest
		}
	}
	return ""
}

// logWords splits a line at spaces, but not within quotes and brackets. kinds tell
// how each word was enclosed: '"', '[' or 0.
func logWords(line string) (words []string, kinds []byte, ok bool) {
	for line = strings.TrimLeft(line, " \t"); line != ""; line = strings.TrimLeft(line, " \t") {
		if len(words) == mostFields {
			return words, kinds, true
		}
		var word string
		kind := line[0]
		switch kind {
		case '"':
			if word, line, ok = quotedWord(line[1:]); !ok {
				return nil, nil, false
			}
		case '[':
			if word, line, ok = strings.Cut(line[1:], "]"); !ok {
				return nil, nil, false
			}
		default:
			kind = 0
			end := before(line, " \t")
			word, line = line[:end], line[end:]
		}
		words, kinds = append(words, word), append(kinds, kind)
	}
	return words, kinds, true
}

// quotedWord reads up to the closing quote, with the escapes of Apache and nginx.
func quotedWord(text string) (word, rest string, ok bool) {
	var b strings.Builder
	for n := 0; n < len(text); n++ {
		switch c := text[n]; {
		case c == '"':
			return b.String(), text[n+1:], true
		case c != '\\' || n+1 == len(text):
			b.WriteByte(c)
		case text[n+1] == 'x' && n+3 < len(text):
			if v, err := strconv.ParseUint(text[n+2:n+4], 16, 8); err == nil {
				b.WriteByte(byte(v))
				n += 3
				continue
			}
			b.WriteByte(c)
		default:
			n++
			b.WriteByte(logEscape(text[n]))
		}
	}
	return "", "", false
}

func logEscape(c byte) byte {
	if i := strings.IndexByte("ntrbvf", c); i >= 0 {
		return "\n\t\r\b\v\f"[i]
	}
	return c
}

// tookField says which word of a line is how long an exchange took.
type tookField struct {
	word int // the first is 1; 0 is none
	unit time.Duration
}

// logFields reads the fields that can be given of an access log: took=10s is the tenth
// word, in seconds, and session=13 the thirteenth.
func logFields(fields map[string]string) (took tookField, session int, err error) {
	for name, value := range fields {
		switch name {
		case "took":
			took, err = readTook(value)
		case "session":
			if session, err = strconv.Atoi(value); err != nil || session < 1 || session > mostFields {
				err = fmt.Errorf("the field session=%s wants the number of a word, from 1 to %d", value, mostFields)
			}
		default:
			err = errors.New("access logs have two fields that can be given: took=10s, the tenth word, in seconds (or ms, us), and session=13, the thirteenth word")
		}
		if err != nil {
			return took, session, err
		}
	}
	return took, session, nil
}

func readTook(value string) (f tookField, err error) {
	digits := strings.TrimRight(value, "smu")
	f.word, err = strconv.Atoi(digits)
	f.unit = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond}[value[len(digits):]]
	if err != nil || f.unit == 0 || f.word < 1 {
		return f, errors.New("the field took=" + value + " wants the number of a word and a unit: 10s, 10ms or 10us")
	}
	return f, nil
}

func (f tookField) of(words []string) time.Duration {
	if f.word == 0 || f.word > len(words) {
		return 0
	}
	return durationOf(words[f.word-1], f.unit)
}

// durationOf reads a number of some unit, 0 where it is none or can not be.
func durationOf(text string, unit time.Duration) time.Duration {
	n, err := strconv.ParseFloat(text, 64)
	took := n * float64(unit)
	if err != nil || !(took > 0 && took < float64(1000*time.Hour)) {
		return 0
	}
	return time.Duration(took)
}

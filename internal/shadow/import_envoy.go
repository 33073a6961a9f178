package shadow

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// jsonFields are what a log in JSON can say of an exchange, and the names that
// Envoy, Istio, nginx and others give it. The first that a line has is taken.
var jsonFields = map[string][]string{
	"at":      {"start_time", "startTime", "@timestamp", "timestamp", "time_iso8601", "time", "ts", "msec"},
	"took":    {"duration", "duration_ms", "response_duration"},
	"method":  {"method", "request_method", ":method", "x-http-method"},
	"target":  {"path", "x-envoy-original-path", "x-envoy-origin-path", "request_uri", ":path", "uri", "request_path", "url"},
	"host":    {"authority", ":authority", "host", "http_host", "server_name"},
	"status":  {"response_code", "status", "status_code"},
	"flags":   {"response_flags"},
	"bytes":   {"bytes_sent", "body_bytes_sent", "response_size"},
	"body":    {"bytes_received"},
	"session": {"x_forwarded_for", "x-forwarded-for", "downstream_remote_address", "remote_addr"},
	"agent":   {"user_agent", "user-agent", "http_user_agent"},
	"tenant":  nil,
}

// isEnvoy takes any JSON in the first line, whose keys may be given, and after what
// else a program says when it starts, lines with the keys that are known.
func isEnvoy(start []byte) bool {
	line := firstLine(start)
	if bytes.HasPrefix(line, []byte("{")) && bytes.HasSuffix(line, []byte("}")) && json.Valid(line) {
		return true
	}
	log, err := newEnvoyLog(nil)
	return err == nil && anyLine(start, func(line []byte) bool {
		_, reason := log.exchange(line)
		return reason == ""
	})
}

// envoyLog reads lines of JSON.
type envoyLog struct {
	names map[string][]string
	unit  time.Duration // of took
}

func readEnvoy(i *importing, r *bufio.Reader) error {
	log, err := newEnvoyLog(i.o.Fields)
	if err != nil {
		return i.failed("", err)
	}
	return i.eachLine(r, func(line []byte, place string) error {
		x, reason := log.exchange(line)
		if reason != "" {
			i.skip(reason, place)
			return nil
		}
		return i.keep(x, place)
	})
}

func newEnvoyLog(fields map[string]string) (*envoyLog, error) {
	log := &envoyLog{names: map[string][]string{}, unit: time.Millisecond}
	for name, keys := range jsonFields {
		log.names[name] = keys
	}
	for name, key := range fields {
		known := []string{"header.NAME"}
		for n := range jsonFields {
			known = append(known, n)
		}
		slices.Sort(known)
		if header, is := strings.CutPrefix(name, "header."); !slices.Contains(known, name) && (!is || header == "") || key == "" {
			return nil, fmt.Errorf("there is no field %s=%s; fields are %s", name, key, strings.Join(known, ", "))
		}
		if key, is := strings.CutSuffix(key, " s"); is && name == "took" {
			log.names[name], log.unit = []string{key}, time.Second
			continue
		}
		log.names[name] = []string{key}
	}
	return log, nil
}

func (l *envoyLog) exchange(line []byte) (x Exchange, reason string) {
	if !utf8.Valid(line) {
		return x, notUTF8Reason
	}
	all := envoyText(line)
	if all == nil {
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&all); err != nil || all == nil {
			return x, "it is no object of JSON"
		}
	}
	get := func(name string) string { return logValue(all, l.names[name]) }
	at, ok := momentOf(get("at"))
	if !ok {
		return x, logMoment
	}
	x = Exchange{At: at, Took: durationOf(get("took"), l.unit), Tenant: get("tenant"), Session: loggedClient(get("session"))}
	x.Request = Request{Method: get("method"), Host: get("host"), Target: get("target"), Header: http.Header{}}
	if !isMethod(x.Request.Method) || x.Request.Target == "" {
		return x, "it has no method or no path"
	}
	if strings.Contains(x.Request.Target, "://") && x.Request.Target[0] != '/' {
		if reason := x.Request.setURL(x.Request.Target); reason != "" {
			return x, reason
		}
	}
	l.headers(&x, all)
	x.Request.Body = loggedBody(x.Request.Method, get("body"))
	return x, l.answer(&x, get)
}

// loggedBody is what a log tells of the body of a request: that there was none, or that
// nobody has it. Where the log does not say how many bytes it had, the method does.
func loggedBody(method, bytes string) Body {
	switch n, err := strconv.ParseInt(bytes, 10, 64); {
	case err == nil && n == 0:
		return Body{}
	case err != nil && !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, method):
		return Body{}
	}
	return Body{Size: -1, Cut: true}
}

// loggedClient is who asked: the first of the addresses that a request was forwarded
// for, and no port, which is another one for each connection.
func loggedClient(who string) string {
	first, _, _ := strings.Cut(who, ",")
	first = strings.TrimSpace(first)
	if address, err := netip.ParseAddrPort(first); err == nil {
		return address.Addr().String()
	}
	if _, err := netip.ParseAddr(first); err == nil {
		return first
	}
	return who
}

func (l *envoyLog) headers(x *Exchange, all map[string]any) {
	if agent := logValue(all, l.names["agent"]); agent != "" {
		x.Request.Header.Set("User-Agent", agent)
		if x.Session != "" {
			x.Session += " " + agent
		}
	}
	for name, keys := range l.names {
		header, is := strings.CutPrefix(name, "header.")
		if value := logValue(all, keys); is && value != "" {
			x.Request.Header.Set(header, value)
		}
	}
}

// answer reads the status and, where there is none, why: Envoy's response flags
// such as UF, "upstream connection failure".
func (l *envoyLog) answer(x *Exchange, get func(string) string) (reason string) {
	status, err := strconv.Atoi(get("status"))
	if err != nil || status < 0 || status > 999 {
		return "it has no status"
	}
	x.Response = Response{Status: status, Header: http.Header{}, Body: Body{Size: -1, Cut: true}}
	if bytes := get("bytes"); bytes != "" {
		x.Response.Header.Set("Content-Length", bytes)
		if bytes == "0" {
			x.Response.Body = Body{}
		}
	}
	if flags := get("flags"); status == 0 {
		x.Response.Failure = "no answer"
		if flags != "" {
			x.Response.Failure = "response flags " + flags
		}
	}
	return ""
}

// logValue is the first of some keys that a line has; a key with dots may lead
// into objects. "-" is how logs write nothing.
func logValue(all map[string]any, keys []string) string {
	for _, key := range keys {
		value, has := all[key]
		for inner, rest := all, key; !has; {
			first, after, dotted := strings.Cut(rest, ".")
			next, is := inner[first].(map[string]any)
			if !dotted || !is {
				break
			}
			inner, rest = next, after
			value, has = inner[rest]
		}
		switch v := value.(type) {
		case string:
			if v != "" && v != "-" {
				return v
			}
		case json.Number:
			return v.String()
		}
	}
	return ""
}

// Layouts of times that logs and archives have beside RFC 3339.
var momentLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", logTime, time.RFC1123}

// momentOf reads a time: as text, or as seconds, milliseconds, microseconds or
// nanoseconds since 1970, told apart by how many there are.
func momentOf(text string) (time.Time, bool) {
	for _, layout := range momentLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), at.Year() >= 1678 && at.Year() < 2262 // what Unix nanoseconds can say
		}
	}
	return unixMoment(text)
}

// unixMoment reads decimal digits exactly, which a float could not.
func unixMoment(text string) (time.Time, bool) {
	whole, part, _ := strings.Cut(text, ".")
	var digits int // of nanoseconds since 1970
	switch n := len(whole); {
	case n < 9 || n > 19:
		return time.Time{}, false
	case n <= 11:
		digits = n + 9
	case n <= 14:
		digits = n + 6
	case n <= 17:
		digits = n + 3
	default:
		digits = n
	}
	all := whole + part + "000000000"
	nanos, err := strconv.ParseUint(all[:min(digits, len(all))], 10, 63)
	if err != nil || len(all) < digits {
		return time.Time{}, false
	}
	return time.Unix(0, int64(nanos)).UTC(), true
}

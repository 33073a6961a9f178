package shadow

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// texts compares two texts that are not the same: words, or values of headers. raw are
// they as they stand there.
func (r *comparison) texts(a, b, rawA, rawB []byte) {
	a, b = r.comparer.withoutHosts(a), r.comparer.withoutHosts(b)
	if !bytes.Equal(a, b) && !r.urls(a, b, rawA, rawB) && !r.moments(a, b, rawA, rawB) {
		r.differ(kindOf(a, b), rawA, rawB)
	}
}

// withoutHosts replaces the names of the systems by one and the same.
func (c *Comparer) withoutHosts(text []byte) []byte {
	for _, host := range c.options.Hosts {
		if host != "" && bytes.Contains(text, []byte(host)) {
			text = withoutHost(text, []byte(host))
		}
	}
	return text
}

// withoutHost replaces a name where it is that of a host, and not a part of another
// one: shop of shop-next. A mere word, such as v1 or web, is one in a URL only.
func withoutHost(text, host []byte) []byte {
	word := !bytes.ContainsAny(host, ".:")
	var out []byte
	rest := 0
	for at := 0; ; {
		i := bytes.Index(text[at:], host)
		if i < 0 {
			return append(out, text[rest:]...)
		}
		begin := at + i
		at = begin + len(host)
		before, after := text[:begin], text[at:]
		inURL := bytes.HasSuffix(before, []byte("/")) && bytes.HasSuffix(bytes.TrimRight(before[:begin-1], `\\`), []byte("/"))
		if word && !inURL || begin > 0 && isHostByte(text[begin-1]) || len(after) > 0 && (isHostByte(after[0]) || after[0] == ':') {
			continue
		}
		out = append(append(out, text[rest:begin]...), "{host}"...)
		rest = at
	}
}

// isHostByte reports whether a name of a host goes on.
func isHostByte(c byte) bool {
	return c == '.' || c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// maxRecognised is the length of a text that may be a time or an id, in bytes.
const maxRecognised = 4096

// kindOf gives the kind of the difference of two texts.
func kindOf(a, b []byte) Kind {
	if len(a) <= maxRecognised && len(b) <= maxRecognised {
		x, y := string(a), string(b)
		if t, ok := timeOf(x); ok {
			if u, ok := timeOf(y); ok {
				if t.Equal(u) {
					return Format
				}
				return Time
			}
		}
		if idShape(x) != "" && idShape(x) == idShape(y) {
			return ID
		}
	}
	if sameButCharset(a, b) {
		return Encoding
	}
	return Changed
}

// sameButCharset tells texts that are the same if one is UTF-8 and the other is
// ISO 8859-1.
func sameButCharset(a, b []byte) bool {
	if utf8.Valid(a) == utf8.Valid(b) {
		return false
	}
	if utf8.Valid(b) {
		a, b = b, a
	}
	for _, c := range b {
		u, n := utf8.DecodeRune(a)
		if u != rune(c) || n == 0 {
			return false
		}
		a = a[n:]
	}
	return len(a) == 0
}

// layouts are those of times that begin with a year, and of HTTP and mail.
var (
	yearLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", time.DateOnly}
	dayLayouts  = []string{time.RFC1123, time.RFC1123Z, time.RFC850, time.ANSIC}
)

// timeOf reads a time in one of the usual forms, or as the seconds, milliseconds,
// microseconds or nanoseconds since 1970, if they are of the years 2001 to 2096.
func timeOf(s string) (time.Time, bool) {
	if len(s) < 10 || len(s) > 40 {
		return time.Time{}, false
	}
	layouts := dayLayouts
	switch c := s[0]; {
	case '0' <= c && c <= '9':
		if s[4] != '-' {
			return epochOf(s)
		}
		layouts = yearLayouts
	case c < 'A' || c > 'Z' || strings.IndexByte(s, ':') < 0:
		return time.Time{}, false
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// epochOf reads a time that is counted from the beginning of 1970.
func epochOf(s string) (time.Time, bool) {
	whole, _, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	for unit, power := int64(time.Second), int64(1); power <= int64(time.Second); unit, power = unit/1000, power*1000 {
		if n/power >= 1_000_000_000 && n/power < 4_000_000_000 {
			t := time.Unix(n/power, n%power*unit)
			if fraction, err := strconv.ParseFloat("0"+s[len(whole):], 64); err == nil && len(s) > len(whole) {
				t = t.Add(time.Duration(fraction * float64(unit)))
			}
			return t, true
		}
	}
	return time.Time{}, false
}

var (
	uuids  = regexp.MustCompile(`^\{?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\}?$`)
	tokens = regexp.MustCompile(`^eyJ[\w-]+\.[\w-]+\.[\w-]*$`) // JSON Web Tokens
	madeUp = regexp.MustCompile(`^((?:[A-Za-z]{1,16}[-_:])?)([0-9A-Za-z]{16,})$`)
)

// idShape gives what ids of one kind have in common, "" if a text is none: a UUID,
// a JSON Web Token, or at least 16 letters and digits, mixed, perhaps after a word
// that says what they are of.
func idShape(s string) string {
	if len(s) < 16 {
		return ""
	}
	switch {
	case uuids.MatchString(s):
		return "uuid"
	case tokens.MatchString(s):
		return "token"
	}
	m := madeUp.FindStringSubmatch(s)
	if m == nil || !strings.ContainsAny(m[2], "0123456789") || strings.Trim(m[2], "0123456789") == "" {
		return ""
	}
	return m[1] + strconv.Itoa(len(m[2]))
}

package shadow

import (
	"bytes"
	"html"
	"slices"
	"strings"
)

// textKind says how a text is written, as far as that tells what in it is a secret.
type textKind struct {
	pages  bool // HTML or JavaScript, whose words and code are not secrets
	markup bool // HTML or XML, where characters have names
	yaml   bool // values without quotes have spaces
}

// textKindOf is how a body of some type is written; false where it is no text.
func textKindOf(media string, data []byte) (k textKind, is bool) {
	kind, sub, _ := strings.Cut(media, "/")
	switch {
	case sub == "css" || slices.Contains([]string{"audio", "video", "font"}, kind) || kind == "image" && !strings.HasSuffix(sub, "+xml"):
		return k, false
	case bytes.IndexByte(data[:min(len(data), 512)], 0) >= 0:
		return k, false
	}
	k.pages = strings.Contains(sub, "html") || strings.Contains(sub, "javascript") || strings.Contains(sub, "ecmascript")
	k.markup = strings.Contains(sub, "html") || strings.Contains(sub, "xml")
	k.yaml = strings.Contains(sub, "yaml") || strings.Contains(sub, "properties")
	return k, true
}

// textRedaction copies a text that is not parsed, and replaces values that stand after
// the name of a secret: name: "value", name="value", <name>value</name>, ?name=value,
// and lines of name: value or name=value.
type textRedaction struct {
	w    *redaction
	kind textKind
	in   []byte
	out  []byte
	kept int // of in, up to where out has it
}

// text redacts a text that is not parsed.
func (w *redaction) text(in []byte, kind textKind) []byte {
	t := &textRedaction{w: w, kind: kind, in: in}
	for at := 0; at < len(in); {
		next := textMarks.next(in[at:])
		if next < 0 {
			break
		}
		at += next
		after := 0
		switch in[at] {
		case ':':
			after = t.colon(at)
		case '=':
			after = t.equals(at)
		case '>':
			after = t.element(at)
		}
		at = max(at+1, after)
	}
	if t.out == nil {
		return in
	}
	return append(t.out, in[t.kept:]...)
}

// byteTable tells some bytes from the others.
type byteTable [256]bool

var textMarks = byteTable{':': true, '=': true, '>': true}

func (t *byteTable) next(text []byte) int {
	for i, c := range text {
		if t[c] {
			return i
		}
	}
	return -1
}

// longestName is how long a name can be that is looked at.
const longestName = 128

// nameBefore gives the name that ends at a place, without its quotes, and where it or
// its quotes begin; "" where there is none.
func (t *textRedaction) nameBefore(end int) (name []byte, start int) {
	quote := quoteBefore(t.in[:end])
	end -= len(quote)
	start = end
	for start > 0 && end-start < longestName && isNameByte(t.in[start-1]) {
		start--
	}
	if quote != "" && (quoteBefore(t.in[:start]) != quote) { // a quote, and no name in it
		return nil, start
	}
	return t.in[start:end], start - len(quote)
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_' || c == '-' || c == '.' || c == '$' || c == '@'
}

// textQuotes are those that values stand in, as they are written in JSON, in JSON within
// a string, and in an attribute of HTML.
var textQuotes = []string{`\"`, `"`, `'`, `&quot;`, `&#34;`}

func quoteBefore(text []byte) string {
	if len(text) == 0 || text[len(text)-1] != '"' && text[len(text)-1] != '\'' && text[len(text)-1] != ';' {
		return ""
	}
	for _, q := range textQuotes {
		if bytes.HasSuffix(text, []byte(q)) {
			return q
		}
	}
	return ""
}

func quoteAfter(text []byte) string {
	if len(text) == 0 || text[0] != '"' && text[0] != '\'' && text[0] != '&' && text[0] != '\\' {
		return ""
	}
	for _, q := range textQuotes {
		if bytes.HasPrefix(text, []byte(q)) {
			return q
		}
	}
	return ""
}

// secret reports whether a name is that of a secret. Of one with dots the last part
// counts: auth.enabled is no secret; but api.key is one.
func (t *textRedaction) secret(name []byte) bool {
	last := name[bytes.LastIndexByte(name, '.')+1:]
	switch string(bytes.ToLower(last)) {
	case "":
		return false
	case "key", "id", "value":
		last = name
	}
	return t.w.r.names.isSecretText(last) || len(t.w.r.query) > 0 && t.w.r.query[string(bytes.ToLower(last))]
}

func (t *textRedaction) spaces(at int) int {
	for at < len(t.in) && (t.in[at] == ' ' || t.in[at] == '\t') {
		at++
	}
	return at
}

// colon redacts the value after name: , in quotes or to the end of the line.
func (t *textRedaction) colon(at int) int {
	name, start := t.nameBefore(at)
	if t.kind.yaml && len(name) <= len("parameter") {
		if role := t.w.r.names.of(string(name)).role; (role == pairName || role == pairKind) && t.beginsLine(start) {
			return t.yamlPair(start, at, role)
		}
	}
	if !t.secret(name) {
		return 0
	}
	value := t.spaces(at + 1)
	if t.beginsLine(start) {
		if t.kind.yaml && t.isKey(at) {
			return t.yaml(start, at)
		}
		if after := t.block(start, value); after > 0 {
			return after
		}
	}
	if quote := quoteAfter(t.in[value:]); quote != "" {
		return t.quoted(value, quote, at-start > len(name))
	}
	if t.beginsLine(start) {
		return t.line(value, false)
	}
	return 0
}

// equals redacts the value after name= , in quotes, of a parameter, or to the end of
// the line, and that of an attribute beside one which has the name.
func (t *textRedaction) equals(at int) int {
	if at+1 < len(t.in) && (t.in[at+1] == '=' || t.in[at+1] == '>') { // a == b, a => b
		return at + 2
	}
	name, start := t.nameBefore(at)
	if len(name) == 0 { // name = "value"
		end := at
		for end > 0 && t.in[end-1] == ' ' {
			end--
		}
		name, start = t.nameBefore(end)
	}
	if start > 0 && (t.in[start-1] == '?' || t.in[start-1] == '&') { // of a URL, which a quote ends
		if t.secret(name) {
			return t.parameter(at + 1)
		}
		return 0
	}
	value := t.spaces(at + 1)
	quote := quoteAfter(t.in[value:])
	if quote != "" && isNaming(name) {
		return t.named(value+len(quote), quote, bytes.EqualFold(name, []byte("id")))
	}
	switch {
	case !t.secret(name):
		return 0
	case quote != "":
		return t.quoted(value, quote, t.kind.markup)
	case start > 0 && t.in[start-1] == ';' && value == at+1: // of a URL whose & is &amp; or of a path
		return t.parameter(value)
	case t.beginsLine(start):
		return t.line(value, true)
	case !t.kind.pages && value == at+1 && start > 0 && strings.IndexByte(" ,(", t.in[start-1]) >= 0: // as logs have them
		return t.parameter(value)
	}
	return 0
}

// quoted redacts a value that begins with a quote. It is data where its name is in
// quotes, too, or an attribute, and otherwise may be code.
func (t *textRedaction) quoted(at int, quote string, data bool) int {
	at += len(quote)
	end := at
	for end < len(t.in) && t.in[end] != '\n' && !bytes.HasPrefix(t.in[end:], []byte(quote)) {
		if t.in[end] == '\\' && quote[0] != '&' {
			end++
		}
		end++
	}
	if end = min(end, len(t.in)); !data && t.kind.pages && isWord(t.in[at:end]) {
		return end
	}
	return t.hide(at, end)
}

// parameter redacts a value in a URL.
func (t *textRedaction) parameter(at int) int {
	end := at
	for end < len(t.in) && t.in[end] > ' ' && !strings.ContainsRune("&;#<>\"'`)\\", rune(t.in[end])) {
		end++
	}
	return t.hide(at, end)
}

// beginsLine reports whether nothing stands before a name but indentation, what begins
// an item of a list, and export. Code has lines that look alike.
func (t *textRedaction) beginsLine(start int) bool {
	if t.kind.pages {
		return false
	}
	before := t.in[max(0, start-longestName):start]
	before = before[bytes.LastIndexByte(before, '\n')+1:]
	before = bytes.TrimSpace(before)
	return len(before) == 0 || string(before) == "-" || string(before) == "export"
}

// line redacts what stands up to the end of a line: where that is prose, which has
// spaces, it is no secret. What an equals sign stands before is no prose, but another
// may follow it.
func (t *textRedaction) line(at int, equals bool) int {
	at = t.continued(at)
	end := at
	for end < len(t.in) && t.in[end] != '\n' && t.in[end] != '\r' {
		if end++; t.in[end-1] == '\\' && end-1 > at && t.in[end-2] != ' ' {
			end = max(end, t.continued(end-1))
		}
	}
	if comment := bytes.Index(t.in[at:end], []byte(" #")); comment >= 0 {
		end = at + comment
	}
	value := bytes.TrimSpace(t.in[at:end])
	if len(value) == 0 || strings.IndexByte("{[|>&*", value[0]) >= 0 || value[0] == '$' && isSecretName(string(value)) { // $password of GraphQL
		return 0
	}
	_, _, credentials := splitScheme(string(value))
	switch spaces := bytes.IndexByte(value, ' ') >= 0; {
	case !spaces || credentials || t.kind.yaml:
	case !equals:
		return 0
	case bytes.IndexByte(value, '=') >= 0:
		return t.parameter(at)
	}
	return t.hide(at, at+len(bytes.TrimRight(t.in[at:end], " \t")))
}

// continued is where a value goes on that ends its line with a backslash at a place.
func (t *textRedaction) continued(at int) int {
	rest := t.in[at:]
	if after, is := bytes.CutPrefix(rest, []byte("\\\n")); is {
		return t.spaces(at + len(rest) - len(after))
	}
	if after, is := bytes.CutPrefix(rest, []byte("\\\r\n")); is {
		return t.spaces(at + len(rest) - len(after))
	}
	return at
}

// isKey reports whether a colon ends a key of YAML.
func (t *textRedaction) isKey(colon int) bool {
	return colon+1 == len(t.in) || isSpace(t.in[colon+1])
}

// hide replaces what stands between two places, and gives the place after it.
func (t *textRedaction) hide(from, to int) int {
	value := t.in[from:to]
	if from < t.kept || isNoSecret(value) || t.kind.pages && isSecretLabel(value) {
		return to
	}
	return t.hideAs(from, to, t.plain(string(value)))
}

// hideAs replaces what stands between two places and means some text.
func (t *textRedaction) hideAs(from, to int, text string) int {
	if from < t.kept || isPseudonym(text) || isNoSecret([]byte(text)) {
		return to
	}
	t.out = append(append(t.out, t.in[t.kept:from]...), t.w.credentials(text)...)
	t.kept = to
	return to
}

// plain is a value as it is meant, so that its pseudonym is the same as elsewhere.
func (t *textRedaction) plain(text string) string {
	if t.kind.markup && strings.Contains(text, "&") {
		text = html.UnescapeString(text)
	}
	if strings.Contains(text, `\`) {
		if s, err := unquoted([]byte(`"`+text+`"`), true); err == nil {
			return s
		}
	}
	return text
}

// noSecrets stand for a value in code and configuration, or for none.
var noSecrets = []string{"true", "false", "null", "nil", "none", "undefined", "on", "off", "yes", "no", "required", "optional", "string", "password", "0", "1"}

func isNoSecret(value []byte) bool {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return true
	}
	return len(value) <= 9 && slices.Contains(noSecrets, string(bytes.ToLower(bytes.TrimRight(value, "!;,"))))
}

// isSecretLabel tells names of secrets, and what people read of them, from secrets: "Your
// password", "csrf-token". Pages have many in the place of values.
func isSecretLabel(value []byte) bool {
	return !bytes.ContainsAny(value, "0123456789") && isSecretName(string(value))
}

// isWord tells words and pieces of code from secrets, which are made of more than
// letters.
func isWord(value []byte) bool {
	if _, secret, ok := splitScheme(string(value)); ok { // Bearer TOKEN
		value = []byte(secret)
	}
	return bytes.ContainsAny(value, " {}()<>") || !bytes.ContainsAny(value, "0123456789")
}

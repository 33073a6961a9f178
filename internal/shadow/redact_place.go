package shadow

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// redactedText stands where a report shows nothing of a value.
const redactedText = "(redacted)"

// Shown is a value that stands at a place of an answer, as reports may show it: nothing
// of one that is, or is in, what has the name of a secret, and no credentials or
// parameters of a URL. What is compared of a cookie that is set has no value in it, and
// is shown.
func Shown(place, value string) string {
	if strings.HasPrefix(place, cookiePlace) { // of a cookie, its name and how it is kept are shown
		return value
	}
	names := strings.FieldsFunc(strings.TrimPrefix(place, "header "), func(r rune) bool { return strings.ContainsRune(".[]{}?", r) })
	secret := func(name string) bool { // a service may tell which cookies it got
		return isSecretName(name) || strings.HasPrefix(strings.ToLower(name), "cookie")
	}
	_, _, parameter := strings.Cut(place, "?")
	if value != "" && (slices.ContainsFunc(names, secret) || parameter && !isPlainParameter(value)) {
		return redactedText
	}
	if u, err := url.Parse(strings.Trim(value, `"`)); err == nil && u.Host != "" && (u.User != nil || u.RawQuery != "") {
		u.User, u.RawQuery = nil, ""
		return u.String()
	}
	return value
}

// isPlainParameter tells a number or a word, such as that of a page or a language, from
// what may be a token.
func isPlainParameter(value string) bool {
	return len(value) <= 8 && strings.Trim(value, "0123456789") == "" || len(value) <= 16 && strings.Trim(value, "abcdefghijklmnopqrstuvwxyz") == ""
}

// cookiePlace is what places of cookies begin with.
const cookiePlace = "header set-cookie"

// shownPlaceEnd is how much of a long place is shown of its beginning, and of its end.
const shownPlaceEnd = 70

// ShownPlace is a place as reports may show it: of one that is very long, as in JSON that
// is nested deeply, the middle is left out.
func ShownPlace(place string) string {
	if len(place) <= 2*shownPlaceEnd+len("…") {
		return place
	}
	return strings.ToValidUTF8(place[:shownPlaceEnd], "") + "…" + strings.ToValidUTF8(place[len(place)-shownPlaceEnd:], "")
}

// Private reports whether all of what stands at a place of an answer was declared to be
// redacted.
func (r *Redactor) Private(place string) bool {
	_, all := r.hides(place)
	return all
}

// hides tells whether all of what stands at a place of an answer was declared to be
// redacted, and otherwise the nodes of the tree of paths that the place is at.
func (r *Redactor) hides(place string) (nodes []*pathNode, all bool) {
	place, parameter, _ := strings.Cut(place, "?")
	if parameter != "" && r.secretQuery(parameter) {
		return nil, true
	}
	if name, is := strings.CutPrefix(place, "header "); is {
		return nil, !strings.HasPrefix(place, cookiePlace) && r.secretHeader(name)
	}
	rest, is := strings.CutPrefix(place, "body")
	if !is || !r.strict {
		return nil, false
	}
	if len(place) > maxPlace { // of what is deeper, nobody knows where it stands
		return nil, true
	}
	for nodes = []*pathNode{r.paths}; rest != ""; {
		nodes, rest = stepInto(nodes, rest)
		for _, n := range nodes {
			if n.end {
				return nil, true
			}
		}
	}
	return nodes, false
}

// stepInto takes the first step of a place: [], a name, or {key} for any name.
func stepInto(nodes []*pathNode, place string) (inside []*pathNode, rest string) {
	if rest, is := strings.CutPrefix(place, "[]"); is {
		return elementsOf(nodes), rest
	}
	rest = strings.TrimPrefix(place, ".")
	if after, is := strings.CutPrefix(rest, "{key}"); is {
		return allMembersOf(nodes), after
	}
	if quoted, err := strconv.QuotedPrefix(rest); err == nil && quoted[0] == '"' {
		name, _ := strconv.Unquote(quoted) // which has just been read
		return membersOf(nodes, name), rest[len(quoted):]
	}
	end := before(rest, ".[")
	if end == 0 { // no place at all
		return nil, ""
	}
	return membersOf(nodes, rest[:end]), rest[end:]
}

func elementsOf(nodes []*pathNode) (inside []*pathNode) {
	for _, n := range nodes {
		if n.elements != nil {
			inside = append(inside, n.elements)
		}
	}
	return inside
}

func allMembersOf(nodes []*pathNode) (inside []*pathNode) {
	for _, n := range nodes {
		for _, m := range n.members {
			inside = append(inside, m)
		}
	}
	return inside
}

// begun redacts an object or a list of JSON that is at some nodes of the tree of
// paths, and of which perhaps only the beginning is there: it is kept up to the last
// value that is whole.
func (w *redaction) begun(text string, nodes []*pathNode) string {
	j := &jsonRedaction{w: w, in: []byte(text)}
	if c := j.next(); c != '{' && c != '[' {
		return text
	}
	end, more := len(text), ""
	if err := j.value(nodes, hideNothing, 0); err != nil {
		end, more = j.whole, "…"
	}
	return string(append(j.out, j.in[j.kept:max(j.kept, end)]...)) + more
}

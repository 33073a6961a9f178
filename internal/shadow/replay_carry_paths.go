package shadow

import (
	"net/url"
	"regexp"
	"strings"
)

// What was made may be named by a URL alone: 17 of "href": "/orders/17" stands in no
// field of its own. So the paths of two URLs at the same place are laid side by side,
// part by part. What differs in them must look like a name in both, or the two lead to
// different things, and nothing is taken from them. A name that is short, such as 17 or
// p01, is carried behind the word before it alone: to where something else of orders
// is asked for.

// Bounds of the URLs that are looked at.
const (
	carryURL   = 4096 // bytes
	carryParts = 64   // of a path
)

// startsURL reports whether a text begins as a URL of a web service does that says
// where it is: with a slash, or with a scheme.
func startsURL(text string) bool {
	return len(text) > 1 && (text[0] == '/' || strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://"))
}

// pathBounds tells where the path of a URL begins and ends; false for a text that is none.
// The end is also that of a template (RFC 6570), whose variables are in braces.
func pathBounds(text string) (start, end int, ok bool) {
	if !startsURL(text) || len(text) > carryURL || strings.ContainsAny(text, " \t\r\n<>\"\\") {
		return 0, 0, false
	}
	end = before(text, "?#{")
	if text[0] != '/' || text[1] == '/' {
		start = strings.Index(text, "//") + 2
		start += before(text[start:], "/?#{")
	}
	return start, end, start < end
}

// pathIn gives the host of a URL, "" where it has none, and its path, escaped; "" for a
// text that is no URL.
func pathIn(text string) (host, path string) {
	start, end, ok := pathBounds(text)
	if !ok {
		return "", ""
	}
	_, host, _ = strings.Cut(text[:start], "//")
	return host, text[start:end]
}

// partsOf gives the parts of a path, unescaped; none of one that has too many.
func partsOf(path string) []string {
	if path == "" || strings.Count(path, "/") > carryParts {
		return nil
	}
	parts := strings.Split(path[1:], "/")
	for i, part := range parts {
		if plain, err := url.PathUnescape(part); err == nil {
			parts[i] = plain
		}
	}
	return parts
}

// urlOf tells where a URL was found.
type urlOf uint8

const (
	urlOfLink    urlOf = iota // which may lead to somebody else's
	urlOfAddress              // to which the user is sent
	urlOfMade                 // of what the request has made: its last part is a name, whatever it looks like
)

// path notes what stands for the names in the paths of two URLs at the same place. One
// of them may have the path of a base in front.
func (p *pairing) path(before, after string, of urlOf) {
	if before == after || len(p.found) >= carryValues || !startsURL(before) || !startsURL(after) {
		return
	}
	host, path := pathIn(before)
	_, path2 := pathIn(after)
	if path == path2 || of == urlOfLink && !p.isOwn(host) {
		return
	}
	was, is := partsOf(path), partsOf(path2)
	both := min(len(was), len(is))
	more, more2 := len(was)-both, len(is)-both
	if both == 0 || more+more2 > 0 && was[more] != is[more2] {
		return
	}
	if p.parts(was[more:], is[more2:], of == urlOfMade) && more == 0 {
		p.base(before, after, more2)
	}
}

// parts notes what stands for the names in the parts of two paths, and tells whether
// there are some.
func (p *pairing) parts(was, is []string, made bool) bool {
	at := namedParts(was, is, made)
	var keys []string
	for _, i := range at {
		scope := confined(was[i], scopeBefore(was, i))
		if made && i == len(was)-1 && !isBareNumber(was[i]) { // nobody else is called that
			scope = ""
		}
		p.note(scope, was[i], is[i])
		keys = append(keys, carryKey(scope, was[i]))
	}
	p.paths = p.paths || len(at) > 0
	for _, i := range at { // if one of them has moved, so have all
		p.remember(partText(was, i), partText(is, i), keys...)
		if confined(was[i], "x") == "" {
			p.remember(`"`+was[i]+`"`, `"`+is[i]+`"`, keys...)
		}
	}
	return len(at) > 0
}

// base notes what stands before the paths that are the same but for their names: a host,
// and so many parts of the other path.
func (p *pairing) base(before, after string, parts int) {
	start, _, _ := pathBounds(before)
	start2, end2, _ := pathBounds(after)
	for ; parts > 0; parts-- {
		start2 += 1 + strings.IndexByte(after[start2+1:end2], '/')
	}
	if before[:start] != after[:start2] {
		p.note(baseScope, before[:start], after[:start2])
	}
}

// baseScope is the scope of what stands before paths. No word in plural is that.
const baseScope = "base"

// isOwn reports whether a URL with that host is one of who was asked, and not of
// somebody else. A host that nobody knows is.
func (p *pairing) isOwn(host string) bool {
	asked := p.asked.Host
	return host == "" || asked == "" || strings.EqualFold(hostname(host), hostname(asked)) ||
		strings.EqualFold(hostname(host), hostname(p.asked.Header.Get("X-Forwarded-Host")))
}

// namedParts tells which parts of two paths of the same length are names that differ;
// none where something else differs, but for versions and days.
func namedParts(was, is []string, made bool) (at []int) {
	for i := range was {
		switch {
		case was[i] == is[i] || isEdition(was[i]) && isEdition(is[i]):
		case namesPart(was, i) && namesPart(is, i) || hasPseudonym(was[i]) && is[i] != "",
			made && i > 0 && i == len(was)-1 && isMadeName(was[i]) && isMadeName(is[i]):
			at = append(at, i)
		default:
			return nil
		}
	}
	return at
}

var (
	// edition is a version as it stands in a path: v1, v2beta1, 1.0.
	edition = regexp.MustCompile(`^(?i:v\d+([._-]?\d+)*((alpha|beta|rc)\d*)?|\d+(\.\d+)+)$`)
	// countingWords are words before numbers that are no ids.
	countingWords = setOf("pages", "ps", "offsets", "limits", "skips", "starts", "sizes", "per_pages", "counts", "tops", "firsts", "lasts",
		"sorts", "steps", "levels", "depths", "zooms", "widths", "heights", "ws", "hs", "qualities", "versions", "vs", "vers", "revs",
		"years", "months", "weeks", "days", "quarters", "hours", "dates", "times", "timestamps", "sinces", "untils", "befores", "afters",
		"prices", "rates", "ratings", "amounts", "quantities")
)

// isEdition reports whether a part of a path is a version or a day.
func isEdition(part string) bool {
	return part != "" && (edition.MatchString(part) || isDay(part))
}

// namesPart reports whether a part of a path looks like the name of something: letters
// and digits, or a number behind a word that has ids.
func namesPart(parts []string, i int) bool {
	part := parts[i]
	switch {
	case isBareNumber(part):
		return hasIDs(parts, i) && (i+1 == len(parts) || !isBareNumber(parts[i+1])) // no day, no tile of a map
	case len(part) < carryShort && i == 0, isEdition(part), !isNameText(part):
		return false
	}
	return isMixed(part) || uuids.MatchString(part)
}

// hasIDs reports whether the part before another is a word of what has ids.
func hasIDs(parts []string, i int) bool {
	return i > 0 && parts[i-1] != "" && strings.Trim(parts[i-1], "0123456789.-") != "" && !isEdition(parts[i-1]) && !countingWords[scopeBefore(parts, i)]
}

// isMadeName reports whether the last part of an address may name what was made.
func isMadeName(part string) bool { return isNameText(part) && !isBareNumber(part) }

// scopeBefore is what a name in a path is the name of: the word before it.
func scopeBefore(parts []string, i int) string {
	if i == 0 {
		return ""
	}
	return plural(strings.ToLower(parts[i-1]))
}

// confined gives the scope of a name out of a URL, which a long one has not: it is
// nothing else by chance.
func confined(name, scope string) string {
	if isBareNumber(name) || len(name) < carryShort {
		return scope
	}
	return ""
}

// partText is what a part of a path is known by among the names of an answer. No text
// of a value begins with a slash: see nameIn.
func partText(parts []string, i int) string {
	return "/" + carryKey(confined(parts[i], scopeBefore(parts, i)), parts[i])
}

// leavePath forgets what was found of the names in the path of a URL.
func (p *pairing) leavePath(quoted []byte, names map[string][]string) {
	if len(quoted) < 4 || quoted[1] != '/' && quoted[1] != '\\' && quoted[1] != 'h' {
		return
	}
	_, path := pathIn(string(unescapedJSON(quoted)))
	parts := partsOf(path)
	for i := range parts {
		for _, key := range names[partText(parts, i)] {
			delete(p.found, key)
		}
	}
}

package shadow

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// keptCookies are the names of cookies that the recording has as they were.
func (p *replaying) keptCookies() []string {
	if r, ok := p.source.(interface{ Declared() Declared }); ok && !r.Declared().Unknown {
		return r.Declared().KeptCookies
	}
	return nil
}

// keptOf gives those of the cookies of a request that the recording has as they were.
func keptOf(names []string, recorded http.Header) (pairs []string) {
	if len(names) == 0 {
		return nil
	}
	for _, line := range recorded["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			if name, value, is := strings.Cut(pair, "="); is && slices.Contains(names, name) && !hasPseudonym(value) {
				pairs = append(pairs, pair)
			}
		}
	}
	return pairs
}

// ownCookies are the cookies of a lane, but for those that are sent as users sent them:
// by these, such as the language or the variant of a test, all versions are asked alike.
func (c *carried) ownCookies(kept []string) (pairs []string) {
	for _, name := range slices.Sorted(maps.Keys(c.cookies)) {
		if !slices.ContainsFunc(kept, func(pair string) bool { return strings.HasPrefix(pair, name+"=") }) {
			pairs = append(pairs, name+"="+c.cookies[name])
		}
	}
	return pairs
}

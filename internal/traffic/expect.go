package traffic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"resilience/internal/plan"
)

// maxBody is how much of an answer is looked at, in bytes; the rest is read
// and thrown away.
const maxBody = 1 << 20

// expectation is a plan's expect, ready to be checked.
type expectation struct {
	contains []byte
	matches  *regexp.Regexp
	paths    []string // sorted, so that the first reason is always the same
	json     map[string]string
	names    []string
	headers  map[string]string
}

// newExpectation compiles an expect; nil when there is none.
func newExpectation(e *plan.Expect) (*expectation, error) {
	if e == nil {
		return nil, nil
	}
	x := &expectation{
		contains: []byte(e.Contains),
		json:     e.JSON, paths: slices.Sorted(maps.Keys(e.JSON)),
		headers: e.Headers, names: slices.Sorted(maps.Keys(e.Headers)),
	}
	if e.Matches != "" {
		re, err := regexp.Compile(e.Matches)
		if err != nil {
			return nil, fmt.Errorf("expect: matches: %w", err)
		}
		x.matches = re
	}
	if e.Contains == "" && x.matches == nil && len(x.paths) == 0 && len(x.names) == 0 {
		return nil, fmt.Errorf("expect: says nothing; give contains, matches, json or headers")
	}
	return x, nil
}

// check looks at an answer and says in a few words what is wrong with it, ""
// when nothing is.
func (x *expectation) check(header http.Header, body []byte) string {
	for _, name := range x.names {
		if got := header.Values(name); !slices.Contains(got, x.headers[name]) {
			return fmt.Sprintf("header %s is %.60q, want %.60q", name, strings.Join(got, ", "), x.headers[name])
		}
	}
	if !bytes.Contains(body, x.contains) {
		return fmt.Sprintf("does not contain %.80q%s", x.contains, ofLong(body))
	}
	if x.matches != nil && !x.matches.Match(body) {
		return fmt.Sprintf("does not match %.80q%s", x.matches, ofLong(body))
	}
	return x.checkJSON(body)
}

// ofLong reminds the reader that only the beginning was looked at.
func ofLong(body []byte) string {
	if len(body) < maxBody {
		return ""
	}
	return " in its first MiB"
}

func (x *expectation) checkJSON(body []byte) string {
	if len(x.paths) == 0 {
		return ""
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var root any
	if err := decoder.Decode(&root); err != nil {
		return "not JSON" + ofLong(body)
	}
	for _, path := range x.paths {
		value, ok := lookUp(root, path)
		if !ok {
			return fmt.Sprintf("JSON has no %s", path)
		}
		if got := jsonText(value); !sameText(got, x.json[path]) {
			return fmt.Sprintf("JSON %s is %.60q, want %.60q", path, got, x.json[path])
		}
	}
	return ""
}

// lookUp follows a dotted path; a number is an index into an array.
func lookUp(value any, path string) (any, bool) {
	for key := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			inner, ok := v[key]
			if !ok {
				return nil, false
			}
			value = inner
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}

func jsonText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	text, _ := json.Marshal(value) // was JSON before
	return string(text)
}

// sameText compares as text and, where both are numbers, as numbers: 5 is 5.0.
func sameText(got, want string) bool {
	if got == want {
		return true
	}
	g, err1 := strconv.ParseFloat(got, 64)
	w, err2 := strconv.ParseFloat(want, 64)
	return err1 == nil && err2 == nil && g == w
}

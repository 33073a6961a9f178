package plan

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
)

// MaxBody is how much of an answer is looked at, in bytes; the rest is read
// and thrown away.
const MaxBody = 1 << 20

// Expectation is an [Expect] ready to be checked. It may be used by several
// goroutines at the same time.
type Expectation struct {
	contains []byte
	matches  *regexp.Regexp
	paths    []string // sorted, so that the first reason is always the same
	json     map[string]string
	names    []string
	headers  map[string]string
}

// Compile makes an expectation ready to be checked. It is an error if its
// regular expression is none, or if it says nothing.
func (e Expect) Compile() (*Expectation, error) {
	x := &Expectation{
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

// Check looks at an answer, of whose body the first [MaxBody] bytes are given,
// and says in a few words what is wrong with it, "" when nothing is.
func (x *Expectation) Check(header http.Header, body []byte) string {
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
	if len(body) < MaxBody {
		return ""
	}
	return " in its first MiB"
}

func (x *Expectation) checkJSON(body []byte) string {
	if len(x.paths) == 0 {
		return ""
	}
	root, err := readJSON(body)
	if err != nil {
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

// JSONAt gives what is at a dotted path of a JSON text, as text; a number in the
// path is an index into an array. It is an error if the text is no JSON, or has
// nothing there.
func JSONAt(text []byte, path string) (string, error) {
	root, err := readJSON(text)
	if err != nil {
		return "", fmt.Errorf("the answer is not JSON: %w", err)
	}
	value, ok := lookUp(root, path)
	if !ok {
		return "", fmt.Errorf("the answer's JSON has no %s", path)
	}
	return jsonText(value), nil
}

// readJSON reads the first value of a text, with numbers as they are written.
func readJSON(text []byte) (root any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&root)
	return root, err
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

package shadow

import (
	"bytes"
	"slices"
)

// A URL often has a part that differs whenever one asks: a cursor, a token, the id of a
// session. It is compared in parts, so that this hides neither where the URL leads to nor
// its other parameters. A parameter is a place: header location?next.

// urls compares two texts that are URLs, of which at least one has a query, and reports
// whether they are. raw are they as they stand there.
func (r *comparison) urls(a, b, rawA, rawB []byte) bool {
	if len(a) > maxRecognised || len(b) > maxRecognised || bytes.IndexByte(a, '?') < 0 && bytes.IndexByte(b, '?') < 0 || !looksURL(a) || !looksURL(b) {
		return false
	}
	x, queryA := splitURL(a)
	y, queryB := splitURL(b)
	if !bytes.Equal(x, y) {
		r.differ(kindOf(x, y), likeRaw(x, rawA), likeRaw(y, rawB))
	}
	for len(queryA)+len(queryB) > 0 {
		name := nextParameter(queryA, queryB)
		var these, those []byte
		var has, has2 bool
		these, has, queryA = takeParameter(queryA, name)
		those, has2, queryB = takeParameter(queryB, name)
		r.parameter(name, these, those, has, has2)
	}
	return true
}

// parameter compares the values of one.
func (r *comparison) parameter(name, a, b []byte, has, has2 bool) {
	length := len(r.place)
	r.place = appendName(r.place, name, false)
	if len(r.place) > length {
		r.place[length] = '?' // and not a dot
	}
	switch {
	case !has2:
		r.differ(Missing, a, nil)
	case !has:
		r.differ(Added, nil, b)
	case !bytes.Equal(a, b) && !r.moments(a, b, a, b):
		r.differ(kindOf(a, b), a, b)
	}
	r.place = r.place[:length]
}

// looksURL tells a path or a URL from another text.
func looksURL(text []byte) bool {
	if bytes.ContainsAny(text, " \t\r\n\"<>{}") && !bytes.HasPrefix(text, []byte("{host}")) {
		return false
	}
	scheme := bytes.Index(text, []byte("://"))
	return len(text) > 0 && (text[0] == '/' || text[0] == '?' || scheme > 0 && scheme < 16)
}

// splitURL gives a URL without its query, and the parameters of that, by their names;
// those of one name stay in their order.
func splitURL(text []byte) (rest []byte, query [][]byte) {
	text, fragment, _ := bytes.Cut(text, []byte("#"))
	rest, raw, has := bytes.Cut(text, []byte("?"))
	if len(fragment) > 0 {
		rest = append(append(bytes.Clone(rest), '#'), fragment...)
	}
	if has && len(raw) > 0 {
		query = bytes.Split(raw, []byte("&"))
		slices.SortStableFunc(query, func(p, q []byte) int { return bytes.Compare(parameterName(p), parameterName(q)) })
	}
	return rest, query
}

func parameterName(pair []byte) []byte {
	name, _, _ := bytes.Cut(pair, []byte("="))
	return name
}

// nextParameter is the first name of two sorted queries.
func nextParameter(a, b [][]byte) []byte {
	switch {
	case len(a) == 0:
		return parameterName(b[0])
	case len(b) == 0 || bytes.Compare(parameterName(a[0]), parameterName(b[0])) < 0:
		return parameterName(a[0])
	}
	return parameterName(b[0])
}

// takeParameter takes all values of a name from the beginning of a query.
func takeParameter(query [][]byte, name []byte) (values []byte, has bool, rest [][]byte) {
	for len(query) > 0 && bytes.Equal(parameterName(query[0]), name) {
		_, value, _ := bytes.Cut(query[0], []byte("="))
		if has {
			values = append(bytes.Clone(values), '&')
		}
		values, has, query = append(values[:len(values):len(values)], value...), true, query[1:]
	}
	return values, has, query
}

// likeRaw puts a text in quotes where what it is a part of is.
func likeRaw(text, raw []byte) []byte {
	if len(raw) > 0 && raw[0] == '"' {
		return append(append([]byte{'"'}, text...), '"')
	}
	return text
}

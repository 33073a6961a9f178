package shadow

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
)

// anyField looks through what a request says by names: the parameters of its query, and in
// its body the fields of a form or the texts of an object of JSON, or of each one in a list.
func (r Request) anyField(is func(name, value string) bool) bool {
	if _, query, has := strings.Cut(r.Target, "?"); has && anyPair(query, is) {
		return true
	}
	if len(r.Body.Data) == 0 {
		return false
	}
	media, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case media == "application/x-www-form-urlencoded":
		return anyPair(string(r.Body.Data), is)
	case strings.HasPrefix(media, "multipart/"):
		return anyPart(r.Body.Data, parameters["boundary"], is)
	case media == "application/graphql":
		return is(graphQuery, string(r.Body.Data))
	}
	return anyMember(r.Body.Data, is)
}

// anyPair looks through a query or a form.
func anyPair(query string, is func(name, value string) bool) bool {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if is(unescapedPair(name), unescapedPair(value)) {
			return true
		}
	}
	return false
}

func unescapedPair(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// anyPart looks through a form of several parts. What is JSON in it counts, too: so files
// are sent with a query of GraphQL.
func anyPart(data []byte, boundary string, is func(name, value string) bool) bool {
	parts := multipart.NewReader(bytes.NewReader(data), boundary)
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return false
		}
		value, err := io.ReadAll(part)
		if is(part.FormName(), string(value)) || err == nil && anyMember(value, is) {
			return true
		}
	}
}

// anyMember looks through an object of JSON, or those of a list. Of a name that is there
// several times, each counts: nobody knows which one a service takes.
func anyMember(data []byte, is func(name, value string) bool) bool {
	if !looksJSON(data) {
		return false
	}
	t := treePool.Get().(*jsonTree)
	defer t.release()
	if t.parse(data) != nil {
		return false
	}
	if t.nodes[0].kind != jsonList {
		return t.anyMember(0, is)
	}
	for i := int32(1); i < t.nodes[0].next; i = t.nodes[i].next {
		if t.anyMember(i, is) {
			return true
		}
	}
	return false
}

// anyMember looks through the texts of an object; other values have none.
func (t *jsonTree) anyMember(object int32, is func(name, value string) bool) bool {
	if t.nodes[object].kind != jsonObject {
		return false
	}
	for i := object + 1; i < t.nodes[object].next; i = t.nodes[i].next {
		if t.nodes[i].kind == jsonString && is(string(t.name(i)), string(unescapedJSON(t.raw(i)))) {
			return true
		}
	}
	return false
}

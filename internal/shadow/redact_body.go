package shadow

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
)

// keyedDigest begins the digest of a body that was left out. A plain digest of few
// bytes tells what they are to whoever tries some.
const keyedDigest = "hmac-sha256:"

// body gives a body without its secrets. One that can not be searched for them is
// left out: its size and a digest with the key stay.
func (w *redaction) body(b Body, contentType string) Body {
	if len(b.Data) == 0 {
		return b
	}
	media, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(strings.ToLower(contentType), ";")
	}
	var clean []byte
	switch {
	case strings.HasPrefix(media, "multipart/"):
		if w.secretParts(b, parameters["boundary"]) {
			return w.leftOut(b)
		}
		return b
	case isJSON(media, b.Data):
		if b.Cut {
			return w.leftOut(b)
		}
		w.grant = bytes.Contains(b.Data, []byte(`"grant_type"`))
		clean, err = w.json(withoutBOM(b.Data))
		w.grant = false
		if err != nil {
			if !w.r.strict && bytes.IndexByte(b.Data, '"') < 0 { // some services call "ok" JSON
				return b
			}
			return w.leftOut(b)
		}
	case isForm(media, b.Data):
		clean = w.form(b.Data)
	default:
		kind, is := textKindOf(media, b.Data)
		if !is {
			return b
		}
		clean = b.Data
		if strings.Contains(media, "html") {
			clean = w.html(clean)
		}
		clean = w.text(clean, kind)
	}
	return changed(b, clean)
}

func changed(b Body, clean []byte) Body {
	if bytes.Equal(clean, b.Data) {
		return b
	}
	b.Data = clean
	if !b.Cut {
		b.Size = int64(len(clean))
	}
	return b
}

func (w *redaction) leftOut(b Body) Body {
	text := string(b.Data)
	if b.Cut && b.Digest != "" {
		text = b.Digest
	}
	return Body{Size: b.Size, Cut: true, Digest: keyedDigest + hex.EncodeToString(w.r.mac(text)), Encoding: b.Encoding, Damage: b.Damage}
}

// html gives HTML without the values of hidden fields, and of meta elements, whose names
// tell of a secret: by these a form is sent.
func (w *redaction) html(data []byte) []byte {
	var clean []byte
	copied := 0
	namedValues(data, func(v namedValue) bool {
		if w.r.secretQuery(html.UnescapeString(v.name)) && !isSecretLabel(data[v.from:v.to]) {
			clean = append(append(clean, data[copied:v.from]...), w.hide(html.UnescapeString(string(data[v.from:v.to])))...)
			copied = v.to
		}
		return true
	})
	if copied == 0 {
		return data
	}
	return append(clean, data[copied:]...)
}

// isJSON tells JSON by its type, or by how it begins: not all services say what
// they send.
func isJSON(media string, data []byte) bool {
	if media == "application/json" || strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "/json") || strings.Contains(media, "ndjson") || strings.Contains(media, "jsonl") {
		return true
	}
	kind, _, _ := strings.Cut(media, "/")
	return !slices.Contains([]string{"image", "audio", "video", "font"}, kind) && mayBeJSON(withoutBOM(data))
}

// mayBeJSON reports whether a text begins as an object or a list of JSON does, and
// rules of CSS or lines of a log do not.
func mayBeJSON(data []byte) bool {
	const space = " \t\r\n"
	data = bytes.TrimLeft(data, space)
	if len(data) == 0 {
		return false
	}
	next := bytes.TrimLeft(data[1:], space)
	switch {
	case data[0] == '{':
		return len(next) > 0 && (next[0] == '"' || next[0] == '}')
	case data[0] == '[':
		return len(next) > 0 && bytes.IndexByte([]byte(`{["]-0123456789tfn`), next[0]) >= 0
	}
	return false
}

func withoutBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

func isForm(media string, data []byte) bool {
	if media != "" && media != "text/plain" && media != "application/octet-stream" {
		return strings.HasSuffix(media, "/x-www-form-urlencoded")
	}
	pair, _, _ := bytes.Cut(data, []byte("&"))
	return bytes.IndexByte(pair, '=') > 0 && !bytes.ContainsAny(data, " \t\r\n<>")
}

func (w *redaction) form(data []byte) []byte {
	pairs := strings.Split(string(data), "&")
	code := hasCode(string(data))
	for i, pair := range pairs {
		pairs[i] = w.parameter(pair, code)
	}
	return []byte(strings.Join(pairs, "&"))
}

// secretParts reports whether a form of several parts has one that is a secret, or
// can not be read to its end.
func (w *redaction) secretParts(b Body, boundary string) bool {
	if boundary == "" || b.Cut {
		return true
	}
	parts := multipart.NewReader(bytes.NewReader(b.Data), boundary)
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF { // itself: one that is wrapped is an end that came too early
			return false
		}
		if err != nil || w.r.secretQuery(part.FormName()) || strings.Contains(part.Header.Get("Content-Type"), "json") {
			return true
		}
		if begin, _ := bufio.NewReader(part).Peek(64); mayBeJSON(begin) { // browsers do not say so
			return true
		}
	}
}

// echoes replaces the secrets of an exchange where it repeats them.
func (w *redaction) echoes(x *Exchange) {
	for _, secret := range w.secrets {
		for _, form := range echoForms(secret) {
			pseudonym := w.echoed(secret)
			x.Request.Target = strings.ReplaceAll(x.Request.Target, form, pseudonym)
			x.Response.Failure = strings.ReplaceAll(x.Response.Failure, form, pseudonym)
			x.Route = strings.ReplaceAll(x.Route, form, pseudonym)
			for _, h := range []map[string][]string{x.Request.Header, x.Response.Header} {
				for _, values := range h { // a copy already
					for i, v := range values {
						values[i] = strings.ReplaceAll(v, form, pseudonym)
					}
				}
			}
			for _, b := range []*Body{&x.Request.Body, &x.Response.Body} {
				if bytes.Contains(b.Data, []byte(form)) {
					*b = changed(*b, bytes.ReplaceAll(b.Data, []byte(form), []byte(pseudonym)))
				}
			}
		}
	}
}

// echoForms are the ways in which a secret is written.
func echoForms(secret string) []string {
	quoted := strings.Trim(string(k6JSON(secret)), `"`)
	forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), quoted, strings.ReplaceAll(quoted, "/", `\/`)}
	slices.Sort(forms)
	return slices.Compact(forms)
}

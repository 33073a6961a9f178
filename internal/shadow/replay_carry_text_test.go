package shadow

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// asRecorded is an exchange as a recording has it: out of the redactor, in the session
// of its cookie.
func asRecorded(t testing.TB, r *Redactor, after time.Duration, method, target, header, body, answerHeader, answer string) Exchange {
	t.Helper()
	e := recordedGet(after, "", target)
	e.Request.Method, e.Request.Body = method, jsonBody(body)
	e.Response.Body, e.Response.Header = jsonBody(answer), http.Header{}
	e.Request.Header.Set("Cookie", "sid=anna-anna-anna")
	for _, pair := range []struct {
		to   http.Header
		text string
	}{{e.Request.Header, header}, {e.Response.Header, answerHeader}} {
		if name, value, is := strings.Cut(pair.text, ": "); is {
			pair.to.Set(name, value)
		}
	}
	e = r.Redact(e)
	e.Route = method + " " + strings.Split(target, "?")[0]
	return e
}

const (
	formType = "Content-Type: application/x-www-form-urlencoded"
	htmlType = "Content-Type: text/html"
)

// TestCarryOutOfTexts: each target's own token, cursor or id goes into what its pages and
// URLs were made for.
func TestCarryOutOfTexts(t *testing.T) {
	page := func(token, id string) string {
		return `<!doctype html><meta name="csrf-token" content="` + token + `m"><form method=post><input type="hidden" value='` + token + `' name=_csrf><INPUT
			TYPE=hidden name=order value=` + id + ` /><input name=note value="` + id + `"><input type=hidden name=state value=open></form>`
	}
	for name, c := range map[string]struct {
		header, recorded, own string // of the first answer, in both
		ownHeader             string
		method, target        string // of the second request
		body, want            string // its body, or its target where that is none
	}{
		"a hidden field": {
			header: htmlType, recorded: page("recorded-token-1", "c-1234"), ownHeader: htmlType, own: page("own+token/2", "c-9999"),
			method: "POST", target: "/save", body: "_csrf=recorded-token-1&order=c-1234&state=open&note=c-1234", want: "_csrf=own%2Btoken%2F2&order=c-9999&state=open&note=c-9999",
		},
		"a word is no name": {
			header: htmlType, recorded: "<input type=hidden name=state value=open>", ownHeader: htmlType, own: "<input type=hidden name=state value=closed>",
			method: "POST", target: "/save", body: "state=open", want: "state=open",
		},
		"with entities": {
			header: htmlType, recorded: `<input type=hidden name=token value="a&amp;b&#43;recorded">`, ownHeader: htmlType, own: `<input type=hidden name=token value="c&amp;d">`,
			method: "POST", target: "/save", body: "token=a%26b%2Brecorded", want: "token=c%26d",
		},
		"an id of JSON into a form": {recorded: `{"id":"c-123456"}`, own: `{"id":"c-999999"}`, method: "POST", target: "/save", body: "id=c-123456&at=2026-01-02", want: "id=c-999999&at=2026-01-02"},
		"a link": {
			header: `Link: </items?cursor=abc&size=20>; rel="next", </items?cursor=zzz>; rel=last`, recorded: "[]", own: "[]",
			ownHeader: `Link: </items?cursor=yyy>; rel=last, </items?size=20&cursor=x%2Fy>; rel=next`, method: "GET", target: "/items?cursor=abc&size=20", want: "/items?cursor=x%2Fy&size=20",
		},
		"a location":    {header: "Location: /done?ref=abc123&page=2", recorded: "", own: "", ownHeader: "Location: /done?ref=xyz789&page=3", method: "GET", target: "/done?ref=abc123&page=2", want: "/done?ref=xyz789&page=2"},
		"a URL in JSON": {recorded: `{"next":"/items?cursor=abc\u0026page=2","n":1}`, own: `{"next":"/items?cursor=xyz\u0026page=3","n":2}`, method: "GET", target: "/items?page=2&cursor=abc", want: "/items?page=2&cursor=xyz"},
		"a secret one":  {recorded: `{"next":"https://shop/items?access_token=recorded-tok"}`, own: `{"next":"https://v2/items?access_token=own-tok"}`, method: "GET", target: "/items?access_token=recorded-tok", want: "/items?access_token=own-tok"},
		"another order": {recorded: `[{"at":"/i?id=abc123"},{"at":"/i?id=abd124"}]`, own: `[{"at":"/i?id=abd124"},{"at":"/i?id=abc123"}]`, method: "GET", target: "/i?id=abc123", want: "/i?id=abc123"},
		"a page's time": {recorded: `{"next":"/items?since=2026-01-02&from=a"}`, own: `{"next":"/items?since=2026-05-05&from=b"}`, method: "GET", target: "/items?since=2026-01-02&from=a", want: "/items?since=2026-01-02&from=a"},
		"no URL":        {recorded: `{"text":"why? id=abc123"}`, own: `{"text":"why? id=abd124"}`, method: "GET", target: "/i?id=abc123", want: "/i?id=abc123"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := NewRedactor(RedactionRules{})
				require.NoError(t, err)
				first := asRecorded(t, r, 0, "GET", "/form", "", "", c.header, c.recorded)
				second := asRecorded(t, r, time.Second, c.method, c.target, map[bool]string{true: formType}[c.body != ""], c.body, "", "{}")
				candidate := &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) {
					own := map[string]string{}
					if name, value, is := strings.Cut(c.ownHeader, ": "); is {
						own[name] = value
					}
					return 200, own, c.own, 0
				}}
				s := staged{test: shadowTest(), tape: tape{exchanges: []Exchange{first, second}}, candidate: candidate}
				s.test.Writes = &plan.Writes{Routes: plan.Names{"POST /save"}}
				s.run(t, t.Context())
				require.Len(t, candidate.seen, 2)
				got := candidate.seen[1].target
				if c.body != "" {
					got = candidate.seen[1].body
				}
				require.Equal(t, c.want, got)
			})
		})
	}
}

// TestHiddenFieldsAreRedacted: what guards a form is a secret in the page, too, and the
// same one as in the form that is sent.
func TestHiddenFieldsAreRedacted(t *testing.T) {
	r, err := NewRedactor(RedactionRules{})
	require.NoError(t, err)
	for _, page := range []string{
		`<form><input type="hidden" name="csrf_token" value="SECRET"></form>`, `<input value=SECRET name=csrf_token type=hidden>`,
		`<input type=hidden name=csrf_token value=SECRET`, `<META content='SECRET' name='csrf-token'/>`, `<input type=hidden name=csrf_token value="SECRET`,
		strings.Repeat("<input type=hidden name=a value=b>", 5000) + `<input type=hidden name=csrf_token value=SECRET>`,
	} {
		e := recordedGet(0, "", "/form")
		e.Response.Header.Set("Content-Type", "text/html; charset=utf-8")
		e.Response.Body = jsonBody(strings.ReplaceAll(page, "SECRET", "s3cr3t"))
		got := string(r.Redact(e).Response.Body.Data)
		require.Equal(t, strings.ReplaceAll(page, "SECRET", r.Pseudonym("s3cr3t")), got)
	}
	plain := `<input type=text name=csrf value=abc><input type=hidden name=page value=2><inputs><input>< input type=hidden name=token value=x>`
	e := recordedGet(0, "", "/form")
	e.Response.Header.Set("Content-Type", "text/html")
	e.Response.Body = jsonBody(plain)
	require.Equal(t, plain, string(r.Redact(e).Response.Body.Data))
}

// FuzzNamedValues wants what is found to stand in the text.
func FuzzNamedValues(f *testing.F) {
	f.Add(`<input type=hidden name=a value="b">`)
	f.Add(`<meta name='a' content=b/><input`)
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		namedValues([]byte(text), func(v namedValue) bool {
			if v.from < last || v.to <= v.from || v.to > len(text) {
				t.Fatalf("%+v after %d of %d", v, last, len(text))
			}
			last = v.to
			return true
		})
		linkURLs([]string{text})
		queryOf(text)
	})
}

package shadow

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// short is a secret that is too short to be looked for where it is repeated: it is
// hidden where it stands, or not at all.
const short = "s3cr3t"

func jsonOfType(kind, body string) Exchange {
	return Exchange{Response: Response{Header: http.Header{"Content-Type": {kind}}, Body: jsonBody(body)}}
}

func withHeader(name, value string) Exchange {
	return Exchange{Request: Request{Header: http.Header{name: {value}}}}
}

// TestEachPlaceIsRedacted plants one secret at a time, so that none is found by
// another.
func TestEachPlaceIsRedacted(t *testing.T) {
	r := redactor(t, RedactionRules{Paths: []string{"email", "user.pin"}, Headers: []string{"X-Declared"}, Query: []string{"Declared"}})
	pn := r.Pseudonym(short)
	for name, c := range map[string]struct {
		x    Exchange
		want string // what it becomes, somewhere in the exchange
	}{
		"credentials":                    {withHeader("Authorization", "Bearer "+short), "Bearer " + pn},
		"credentials of no known scheme": {withHeader("Authorization", short+" abc"), r.Pseudonym(short + " abc")},
		"credentials for a proxy":        {withHeader("Proxy-Authorization", short), pn},
		"a cookie":                       {withHeader("Cookie", "theme="+short), "theme=" + pn},
		"a quoted cookie":                {withHeader("Cookie", `theme="`+short+`"`), "theme=" + pn},
		"a cookie of RFC 2965":           {withHeader("Cookie2", "theme="+short), "theme=" + pn},
		"a cookie that is set":           {withHeader("Set-Cookie", "theme="+short+"; Path=/"), "theme=" + pn + "; Path=/"},
		"one of RFC 2965":                {withHeader("Set-Cookie2", "theme="+short+"; Path=/"), "theme=" + pn + "; Path=/"},
		"what is said of it":             {withHeader("Set-Cookie", "a=1; comment="+short), "; " + r.Pseudonym("comment="+short)},
		"a header that is declared":      {withHeader("X-Declared", short), pn},
		"a URL in a header":              {withHeader("X-Link", "https://anna:"+short+"@shop/a"), "https://" + r.Pseudonym("anna:"+short) + "@shop/a"},
		"a parameter in a header":        {withHeader("X-Link", "/a?token="+short), "/a?token=" + pn},
		"a parameter":                    {Exchange{Request: Request{Target: "/a?token=" + short + "&b=1"}}, "/a?token=" + pn + "&b=1"},
		"one that is declared":           {Exchange{Request: Request{Target: "/a?declared=" + short}}, "/a?declared=" + pn},
		"one that is a path":             {Exchange{Request: Request{Target: "/a?email=" + short}}, "/a?email=" + pn},
		"one with an escaped name":       {Exchange{Request: Request{Target: "/a?api%5Fkey=" + short}}, "/a?api%5Fkey=" + pn},
		"one of the path":                {Exchange{Request: Request{Target: "/a;jsessionid=" + short + "/b?c=1"}}, "/a;jsessionid=" + pn + "/b?c=1"},
		"one of a fragment":              {Exchange{Request: Request{Target: "/a#token=" + short}}, "/a#token=" + pn},
		"the user of a URL":              {Exchange{Request: Request{Target: "https://" + short + "@shop/a"}}, "https://" + pn + "@shop/a"},
		"a password with a slash":        {Exchange{Request: Request{Target: "https://anna:a/" + short + "@shop/"}}, "https://" + r.Pseudonym("anna:a/"+short) + "@shop/"},
		"a URL as a parameter":           {Exchange{Request: Request{Target: "/a?next=" + url.QueryEscape("https://b/?token="+short)}}, url.QueryEscape("token=" + pn)},
		"the user of a host":             {Exchange{Request: Request{Host: short + "@shop"}}, pn + "@shop"},
		"a route":                        {Exchange{Route: "GET /a;sid=" + short}, "GET /a;sid=" + pn},
		"why there was no answer":        {Exchange{Response: Response{Failure: "Get https://" + short + "@shop/: EOF"}}, "https://" + pn + "@shop/"},
		"a member":                       {jsonOfType("application/json", `{"a":1,"token":"`+short+`"}`), `{"a":1,"token":"` + pn + `"}`},
		"a member with an escaped name":  {jsonOfType("application/json", `{"tok\u0065n":"`+short+`"}`), pn},
		"a path":                         {jsonOfType("application/json", `{"user":{"pin":"`+short+`"}}`), pn},
		"a path in capitals":             {jsonOfType("application/json", `{"User":{"PIN":"`+short+`"}}`), pn},
		"a path of one name":             {jsonOfType("application/json", `{"email":"`+short+`"}`), pn},
		"behind a mark of the order":     {jsonOfType("application/json", "\xef\xbb\xbf"+`{"token":"`+short+`","n":1}`), `{"token":"` + pn + `","n":1}`},
		"behind it, of no type":          {jsonOfType("", "\xef\xbb\xbf"+`{"token":"`+short+`"}`), pn},
		"of no type":                     {jsonOfType("", `{"token":"`+short+`"}`), pn},
		"of a type of its own":           {jsonOfType("application/problem+json", `"a" {"token":"`+short+`"}`), `"a" {"token":"` + pn + `"}`},
		"of an old type":                 {jsonOfType("text/json", `"a" {"token":"`+short+`"}`), `"a" {"token":"` + pn + `"}`},
		"lines":                          {jsonOfType("application/x-ndjson", `"a"`+"\n"+`{"token":"`+short+`"}`), `{"token":"` + pn + `"}`},
		"other lines":                    {jsonOfType("application/jsonl", `"a"`+"\n"+`{"token":"`+short+`"}`), `{"token":"` + pn + `"}`},
		"a field of a form":              {jsonOfType("application/x-www-form-urlencoded", "a=1&password="+short), "a=1&password=" + pn},
		"one that is declared, there":    {jsonOfType("application/x-www-form-urlencoded", "a=1&declared="+short), "a=1&declared=" + pn},
		"one that is a path, there":      {jsonOfType("application/x-www-form-urlencoded", "a=1&email="+short), "a=1&email=" + pn},
		"a field of a form of no type":   {jsonOfType("", "a=1&password="+short), "a=1&password=" + pn},
	} {
		y := r.Redact(c.x)
		all := fmt.Sprint(y.Route, " ", y.Request.Host, " ", y.Request.Target, " ", y.Request.Header, " ", y.Response.Failure, " ", string(y.Response.Body.Data))
		require.NotContains(t, all, short, name)
		require.Contains(t, all, c.want, name)
	}
}

// TestEchoesAreRedacted has a secret come back in each place, and in all ways in which
// it is written.
func TestEchoesAreRedacted(t *testing.T) {
	const secret = `s3cr3t/"a" +b\c`
	r := redactor(t, RedactionRules{})
	forms := echoForms(secret)
	require.Subset(t, forms, []string{secret, "s3cr3t%2F%22a%22+%2Bb%5Cc", "s3cr3t%2F%22a%22%20+b%5Cc", `s3cr3t/\"a\" +b\\c`, `s3cr3t\/\"a\" +b\\c`})
	for _, form := range forms {
		for name, put := range map[string]func(*Exchange){
			"target":              func(x *Exchange) { x.Request.Target = "/who/" + form },
			"route":               func(x *Exchange) { x.Route = "GET /who/" + form },
			"failure":             func(x *Exchange) { x.Response.Failure = "no " + form },
			"header of a request": func(x *Exchange) { x.Request.Header.Set("X-Debug", form) },
			"header of an answer": func(x *Exchange) { x.Response.Header.Set("X-Debug", form) },
			"body of a request":   func(x *Exchange) { x.Request.Body = jsonBody("<p>" + form) },
			"body of an answer":   func(x *Exchange) { x.Response.Body = jsonBody("<p>" + form) },
		} {
			x := Exchange{Request: Request{Header: http.Header{"X-Api-Key": {secret}}}, Response: Response{Header: http.Header{}}}
			put(&x)
			y := r.Redact(x)
			all := fmt.Sprint(y.Route, y.Request.Target, y.Request.Header, y.Response.Failure, y.Response.Header, string(y.Request.Body.Data), string(y.Response.Body.Data))
			require.NotContains(t, all, "s3cr3t", "%s: %s", name, form)
			require.Equal(t, 2, strings.Count(all, r.Pseudonym(secret)), "%s: %s", name, form)
			require.EqualValues(t, len(y.Response.Body.Data), y.Response.Body.Size)
		}
	}
}

// TestWhatCanNotBeSearchedIsLeftOut wants a digest in its place that nobody can try
// bodies against.
func TestWhatCanNotBeSearchedIsLeftOut(t *testing.T) {
	const form = "multipart/form-data; boundary=b"
	part := func(head, body string) string {
		return "--b\r\nContent-Disposition: form-data; " + head + "\r\n\r\n" + body + "\r\n"
	}
	for name, c := range map[string]struct {
		x    Exchange
		cut  bool
		kept bool
	}{
		"a form":                 {jsonOfType(form, part(`name="a"`, "1")+"--b--\r\n"), false, true},
		"a part that is secret":  {jsonOfType(form, part(`name="a"`, "1")+part(`name="token"`, short)+"--b--\r\n"), false, false},
		"a part that is JSON":    {jsonOfType(form, part("name=\"a\"\r\nContent-Type: application/json", `{"token":"`+short+`"}`)+"--b--\r\n"), false, false},
		"a form without its end": {jsonOfType(form, part(`name="a"`, short)), false, false},
		"a form that was cut":    {jsonOfType(form, part(`name="a"`, "1")+"--b--\r\n"), true, false},
		"a form of no boundary":  {jsonOfType("multipart/form-data", part(`name="a"`, short)), false, false},
		"JSON that was cut":      {jsonOfType("application/json", `{"a":1}`), true, false},
		"no JSON":                {jsonOfType("application/json", `{"token":"`+short), false, false},
		"JSON that is too deep":  {jsonOfType("application/json", strings.Repeat("[", maxJSONDepth+2)+`{"token":"`+short+`"}`+strings.Repeat("]", maxJSONDepth+2)), false, false},
	} {
		c.x.Response.Body.Cut = c.cut
		before := c.x.Response.Body
		b := redactor(t, RedactionRules{}).Redact(c.x).Response.Body
		if c.kept {
			require.Equal(t, before, b, name)
			continue
		}
		require.Empty(t, b.Data, name)
		require.True(t, b.Cut, name)
		require.Regexp(t, "^"+keyedDigest+"[0-9a-f]{64}$", b.Digest, name)
		require.NotContains(t, b.Digest, digestOf(before.Data), name)
	}
}

// TestPseudonymsAreTheKeys wants one key to make the same pseudonyms for as long as a
// redactor lives, and each secret to have one, however it is written.
func TestPseudonymsAreTheKeys(t *testing.T) {
	key := []byte("0123456789abcdef")
	r := redactor(t, RedactionRules{Key: key})
	same := redactor(t, RedactionRules{Key: slices.Clone(key)})
	copy(key, bytes.Repeat([]byte("x"), len(key)))
	require.Equal(t, same.Pseudonym("a"), r.Pseudonym("a"), "the key is the redactor's own")
	require.Equal(t, "/a?token="+r.Pseudonym("a+b"), r.Redact(Exchange{Request: Request{Target: "/a?token=a%2Bb"}}).Request.Target)
	_, err := NewRedactor(RedactionRules{Key: key[:15]})
	require.ErrorContains(t, err, "at least 16 bytes; this one has 15")
}

// TestNamesAreForgotten: whoever makes up names of headers does not fill the memory.
func TestNamesAreForgotten(t *testing.T) {
	var c nameCache
	for i := range 2 * mostNames {
		require.Equal(t, i%2 == 0, c.isSecret(fmt.Sprint([]string{"token-", "plain-"}[i%2], i)))
		require.LessOrEqual(t, len(c.known), mostNames)
	}
}

// TestUnsought wants secrets counted that are not looked for in the rest of an exchange.
func TestUnsought(t *testing.T) {
	r := redactor(t, RedactionRules{})
	require.Empty(t, r.Unsought().String())
	list := make([]string, mostEchoes+3)
	for i := range list {
		list[i] = fmt.Sprintf(`"longer-than-eight-%d"`, i)
	}
	r.Redact(jsonOfType("application/json", `{"token":[`+strings.Join(list, ",")+`],"pin":"1234","password":""}`))
	require.Equal(t, Unsought{Short: 1, Many: 3}, r.Unsought())
	require.Equal(t, "secrets that were replaced, but not looked for in the rest of their exchange: 1 are shorter than 8 bytes, 3 are beyond the first 64 of an exchange", r.Unsought().String())
}

package shadow

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func redactor(t testing.TB, rules RedactionRules) *Redactor {
	t.Helper()
	if rules.Key == nil {
		rules.Key = []byte("0123456789abcdef")
	}
	r, err := NewRedactor(rules)
	require.NoError(t, err)
	return r
}

// TestNoLeak plants secrets in every place where something declares them, and looks
// for them in all bytes of the recording, packed and unpacked.
func TestRedactURLsInJSON(t *testing.T) {
	r, err := NewRedactor(RedactionRules{})
	require.NoError(t, err)
	e := recordedGet(0, "", "/")
	e.Response.Body = jsonBody(`{"next":"/items?page=2&access_token=s3cr3t","text":"what? a token"}`)
	require.JSONEq(t, `{"next":"/items?page=2&access_token=`+r.Pseudonym("s3cr3t")+`","text":"what? a token"}`, string(r.Redact(e).Response.Body.Data))
}

func TestNoLeak(t *testing.T) {
	var planted []string
	secret := func(place string) string {
		s := fmt.Sprintf("s3cr3t/%s+%d", place, len(planted))
		planted = append(planted, s)
		return s
	}
	password := secret("basic")
	basic := base64.StdEncoding.EncodeToString([]byte("anna:" + password))
	planted = append(planted, basic)
	inJSON := func(s string) string {
		text, _ := json.Marshal(s)
		return string(text)
	}
	echoed := secret("echoed")
	exchanges := []Exchange{
		{
			Route: "POST /login;sid=" + echoed, Tenant: "acme",
			Request: Request{
				Method: "POST", Host: secret("hostuser") + "@shop.example",
				Target: "https://anna:" + secret("userinfo") + "@shop.example/login;jsessionid=" + url.QueryEscape(secret("matrix")) + "?api_key=" + url.QueryEscape(secret("query")) +
					"&declared=" + url.QueryEscape(secret("declaredquery")) + "&next=" + url.QueryEscape("https://a/?access_token="+secret("nested")) + "#access_token=" + secret("fragment"),
				Header: http.Header{
					"Authorization": {"Bearer " + echoed}, "Proxy-Authorization": {"Basic " + basic}, "Cookie": {"sid=" + secret("cookie") + "; theme=" + secret("theme"), secret("bare")},
					"X-Api-Key": {secret("apikey")}, "X-Auth-Token": {secret("xauth")}, "X-Amz-Security-Token": {secret("amz")}, "X-Csrf-Token": {secret("csrf")},
					"X-Declared": {secret("declaredheader")}, "Referer": {"https://shop/?token=" + url.QueryEscape(secret("referer"))}, "authorization": {secret("lowercase")},
					"Content-Type": {"application/x-www-form-urlencoded"},
				},
				Body: Body{Data: []byte("user=anna&password=" + url.QueryEscape(secret("form")) + "&declared=" + url.QueryEscape(secret("declaredform")))},
			},
			Response: Response{
				Status: 302, Header: http.Header{
					"Set-Cookie":   {"sid=" + secret("setcookie") + "; Path=/; HttpOnly; odd=" + secret("attribute")},
					"Location":     {"/home?session_id=" + url.QueryEscape(secret("location"))},
					"X-Debug":      {"you sent " + echoed},
					"Content-Type": {"text/html"},
				},
				Body: Body{Data: []byte("<p>you sent Bearer " + echoed + " and " + basic + ", that is " + password + ", or \"" + strings.ReplaceAll(echoed, "/", `\/`) + "\"</p>")},
			},
		},
		{
			Request: Request{Header: http.Header{"Content-Type": {"application/json"}}, Body: Body{Data: []byte(
				`{"user":{"name":"anna","email":` + inJSON(secret("email")) + `},"cards":[{"number":` + inJSON(secret("card")) + `,"more":{"deep":[` + inJSON(secret("deep")) + `]}}],"access_token":` + inJSON(secret("token")) +
					`,"headers":{"Authorization":[` + inJSON(secret("listed")) + `, "Bearer ` + secret("scheme") + `"]}}`)}},
			Response: Response{Header: http.Header{"Content-Type": {"text/plain"}}, Body: Body{Data: []byte(`  [{"pass\u0077ord":` + inJSON(secret("escaped")) + `}] {"secret":"` + secret("second") + `"}`)}},
		},
		{
			Request:  Request{Header: http.Header{"Content-Type": {"application/json"}}, Body: Body{Data: []byte(`{"user":{"email":"` + secret("broken") + `"`)}},
			Response: Response{Header: http.Header{"Content-Type": {"application/problem+json; charset=utf-8"}}, Body: Body{Data: []byte(`{"user":{"email":"` + secret("cut")), Cut: true, Size: 1 << 30, Digest: digestOf([]byte("x"))}},
		},
		{
			Request: Request{Header: http.Header{"Content-Type": {`multipart/form-data; boundary=b`}}, Body: Body{Data: []byte(
				"--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n" + secret("multipart") + "\r\n--b--\r\n")}},
			Response: Response{Failure: "Get \"https://anna:" + secret("failure") + "@shop/\": EOF", Header: http.Header{}},
		},
	}
	r := redactor(t, RedactionRules{Paths: []string{"user.email", "$.cards[*]"}, Headers: []string{"x-declared"}, Query: []string{"declared"}})
	var clean []Exchange
	for i, x := range exchanges {
		x.At = recordingStart
		before, _ := json.Marshal(x)
		clean = append(clean, r.Redact(x))
		after, _ := json.Marshal(exchanges[i])
		require.Contains(t, string(before), string(after[len(after)-20:]), "what was given stays as it is")
	}
	path := record(t, clean...)
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	reader := openRecording(t, path)
	all, _ := readAll(t, reader)
	require.Len(t, all, len(exchanges))
	unpacked := string(reader.raw) // of the only block
	require.Contains(t, unpacked, "shop.example/login")
	require.Contains(t, unpacked, "theme=pn-")
	for _, s := range planted {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), strings.ReplaceAll(s, "/", `\/`)} {
			require.NotContains(t, unpacked, form)
			require.False(t, bytes.Contains(file, []byte(form)), form)
		}
	}
	require.NotContains(t, unpacked, "0123456789abcdef", "the key")
	for _, b := range []Body{all[2].Request.Body, all[2].Response.Body, all[3].Request.Body} {
		require.Empty(t, b.Data)
		require.True(t, b.Cut)
		require.Contains(t, b.Digest, keyedDigest)
	}
	require.Contains(t, unpacked, `"name":"anna"`, "what is no secret stays")
}

// TestPseudonymsCorrelate: the same secret has the same pseudonym wherever it is.
func TestPseudonymsCorrelate(t *testing.T) {
	r := redactor(t, RedactionRules{Paths: []string{"login.jwt"}})
	login := r.Redact(Exchange{
		Request: Request{Target: "/login"},
		Response: Response{
			Header: http.Header{"Set-Cookie": {`sid="abc def"; Path=/`}, "Content-Type": {"application/json"}},
			Body:   Body{Data: []byte(`{"login":{"jwt":"e.y.J","n":1.0}}`), Size: 33},
		},
	})
	later := r.Redact(Exchange{Request: Request{Header: http.Header{"Cookie": {"theme=dark; sid=abc def"}, "Authorization": {"Bearer e.y.J"}}}})
	sid, jwt := r.Pseudonym("abc def"), r.Pseudonym("e.y.J")
	require.Regexp(t, "^pn-[0-9a-f]{32}$", sid)
	require.Equal(t, []string{"sid=" + sid + "; Path=/"}, login.Response.Header["Set-Cookie"])
	require.Equal(t, []string{"theme=" + r.Pseudonym("dark") + "; sid=" + sid}, later.Request.Header["Cookie"])
	require.Equal(t, []string{"Bearer " + jwt}, later.Request.Header["Authorization"])
	require.JSONEq(t, `{"login":{"jwt":"`+jwt+`","n":1.0}}`, string(login.Response.Body.Data))
	require.EqualValues(t, len(login.Response.Body.Data), login.Response.Body.Size)
	require.Equal(t, sid, login.Session)
	require.Equal(t, sid, later.Session)

	other := redactor(t, RedactionRules{Key: []byte("another key, as long")})
	require.NotEqual(t, sid, other.Pseudonym("abc def"))
	random, err := NewRedactor(RedactionRules{})
	require.NoError(t, err)
	again, err := NewRedactor(RedactionRules{})
	require.NoError(t, err)
	require.NotEqual(t, random.Pseudonym("a"), again.Pseudonym("a"))
	require.Empty(t, random.Pseudonym(""))
}

func TestSessions(t *testing.T) {
	for name, c := range map[string]struct {
		rule   string
		header http.Header
		raw    string
		want   string
	}{
		"a cookie of a session":     {"", http.Header{"Cookie": {"_ga=1; JSESSIONID=a"}, "Authorization": {"Bearer b"}}, "", "a"},
		"no session of a form":      {"", http.Header{"Cookie": {"csrf_token=c; XSRF-TOKEN=d; login_token=a"}}, "", "a"},
		"authorization":             {"", http.Header{"Cookie": {"_ga=1"}, "Authorization": {"Bearer b"}}, "raw", "b"},
		"what the source says":      {"", http.Header{"Cookie": {"_ga=1"}}, "raw", "raw"},
		"nobody":                    {"", nil, "", ""},
		"a declared cookie":         {"cookie:_ga", http.Header{"Cookie": {"_ga=1; sid=a"}}, "", "1"},
		"a declared header":         {"header:x-user", http.Header{"X-User": {"u"}, "Cookie": {"sid=a"}}, "", "u"},
		"a declared header, absent": {"header:x-user", http.Header{"Cookie": {"sid=a"}}, "raw", "raw"},
	} {
		r := redactor(t, RedactionRules{Session: c.rule, Tenant: "header:X-Tenant"})
		got := r.Redact(Exchange{Session: c.raw, Tenant: "source's", Request: Request{Header: c.header}})
		require.Equal(t, r.Pseudonym(c.want), got.Session, name)
		require.Equal(t, "source's", got.Tenant, name)
	}
}

func TestTenants(t *testing.T) {
	x := Exchange{Tenant: "source's", Request: Request{Header: http.Header{"X-Org": {"acme"}, "X-Api-Key": {"k"}, "Cookie": {"org=beta"}}}}
	pn := redactor(t, RedactionRules{}).Pseudonym
	for rule, want := range map[string]string{"": "source's", "header:x-org": "acme", "header:X-Absent": "source's", "header:X-Api-Key": pn("k"), "cookie:org": pn("beta")} {
		require.Equal(t, want, redactor(t, RedactionRules{Tenant: rule}).Redact(x).Tenant, rule)
	}
}

// TestNoJSON: what is called JSON and is none is kept where it can not have members,
// unless paths are declared: then nobody knows what it has.
func TestNoJSON(t *testing.T) {
	for text, kept := range map[string][2]bool{"made": {true, false}, `)]}',` + "\n" + `{"token":"s"}`: {}, `{"token":"s`: {}, "": {true, true}, `{"a":1}`: {true, true}} {
		for i, rules := range []RedactionRules{{}, {Paths: []string{"user.email"}}} {
			x := Exchange{Response: Response{Header: http.Header{"Content-Type": {"application/json"}}, Body: Body{Data: []byte(text), Size: int64(len(text))}}}
			require.Equal(t, kept[i], !redactor(t, rules).Redact(x).Response.Body.Cut, "%s %d", text, i)
		}
	}
}

// TestCutJSON: what is cut is left out, also where it happens to end between values.
func TestCutJSON(t *testing.T) {
	b := Body{Data: []byte("{\"a\":1}\n{\"a\":2}\n"), Cut: true, Size: 100, Digest: digestOf([]byte("all of it"))}
	got := redactor(t, RedactionRules{}).Redact(Exchange{Response: Response{Header: http.Header{"Content-Type": {"application/x-ndjson"}}, Body: b}}).Response.Body
	require.Empty(t, got.Data)
	require.NotContains(t, got.Digest, b.Digest, "a plain digest of few bytes tells them")
	require.EqualValues(t, 100, got.Size)
}

func TestLooksJSON(t *testing.T) {
	for _, text := range []string{`{"a`, ` [ {`, `[1`, `[]`, `{}`, `["`, "\n{\n\"a\":1}"} {
		require.True(t, mayBeJSON([]byte(text)), text)
	}
	for _, text := range []string{"", "{", "{ color: red }", "[INFO] started", "<p>", "a=b", "1", `"a"`} {
		require.False(t, mayBeJSON([]byte(text)), text)
	}
}

func TestRedactionKeepsTheRest(t *testing.T) {
	r := redactor(t, RedactionRules{Paths: []string{"a[*].b", "x.*.y"}})
	pn := r.Pseudonym
	for in, want := range map[string]string{
		`{"tokens":["a"],"auth":[{"n":"a"},["a"],1,"b"],"n":["a"]}`: `{"tokens":["a"],"auth":[{"n":"` + pn("a") + `"},["` + pn("a") + `"],1,"` + pn("b") + `"],"n":["a"]}`,
		`{"auth":[["a"],"b"]}`:                                      `{"auth":[["` + pn("a") + `"],"` + pn("b") + `"]}`,
		`{"a":[{"b":1.50,"c":1.50},{"b":null}]}`:                    `{"a":[{"b":"` + pn("1.50") + `","c":1.50},{"b":null}]}`,
		` { "A" : [ {"B":"v"} ] , "e" : 1e5 } `:                     ` { "A" : [ {"B":"` + pn("v") + `"} ] , "e" : 1e5 } `,
		`{"x":{"1":{"y":[true,{"z":"v"}]},"2":{"z":1}}}`:            `{"x":{"1":{"y":["` + pn("true") + `",{"z":"` + pn("v") + `"}]},"2":{"z":1}}}`,
		`{"token_type":"bearer","sessions":[{"id":1}],"page":12}`:   `{"token_type":"bearer","sessions":[{"id":1}],"page":12}`,
		`{"token":"Bearer abc","nextPageToken":"n","id":"ä\u00e4"}`: `{"token":"Bearer ` + pn("abc") + `","nextPageToken":"n","id":"ä\u00e4"}`,
		`[]`: `[]`, `{}`: `{}`, `[1,2]`: `[1,2]`, "\"\xff\"": "\"\xff\"",
	} {
		got := r.Redact(Exchange{Response: Response{Header: http.Header{"Content-Type": {"application/json"}}, Body: Body{Data: []byte(in), Size: int64(len(in))}}})
		require.Equal(t, want, string(got.Response.Body.Data))
		require.EqualValues(t, len(want), got.Response.Body.Size)
	}
	plain := Exchange{
		Request: Request{
			Target: "/a;v=1/b?page=2&q=a+b%20c&&=x#top", Host: "shop:80",
			Header: http.Header{"Accept": {"text/html;q=0.9, */*"}, "Idempotency-Key": {"k"}, "User-Agent": {"x (y; z)"}, "Www-Authenticate": {"Basic realm=x"}},
		},
		Response: Response{Status: 200, Header: http.Header{"Link": {`</a?page=3>; rel="next"`}}, Body: Body{Data: []byte("{ not JSON"), Size: 10, Encoding: "gzip"}},
	}
	plain.Response.Header.Set("Content-Type", "text/css")
	require.Equal(t, plain, r.Redact(plain))
}

// TestNestedURLs: URLs within URLs are looked into, and do not take for ever.
func TestNestedURLs(t *testing.T) {
	target := "https://a/?token=s3cr3t"
	for range 30 {
		target = "https://a/?u=" + url.QueryEscape(target)
	}
	require.NotContains(t, redactor(t, RedactionRules{}).Redact(Exchange{Request: Request{Target: target}}).Request.Target, "s3cr3t")
	long := "/" + strings.Repeat("?;#&=//@:%3A%2F%2F", 3600)
	body := Body{Data: []byte(strings.Repeat("{\"token\":[", 500)), Size: 5000}
	redactor(t, RedactionRules{}).Redact(Exchange{Request: Request{Target: long, Header: http.Header{"Referer": {long}, "Cookie": {long}, "Set-Cookie": {long}}, Body: body}})
}

func TestBadRules(t *testing.T) {
	for want, rules := range map[string]RedactionRules{
		`JSON path "a..b": write names`:                              {Paths: []string{"a..b"}},
		`JSON path "a[0]"`:                                           {Paths: []string{"a[0]"}},
		`JSON path "a."`:                                             {Paths: []string{"a."}},
		`JSON path "$" names nothing`:                                {Paths: []string{"$"}},
		`session "sid": write "header:NAME" or`:                      {Session: "sid"},
		`tenant "header:": write "header:NAME" or`:                   {Tenant: "header:"},
		`a key for pseudonyms has at least 16 bytes; this one has 3`: {Key: []byte("abc")},
	} {
		_, err := NewRedactor(rules)
		require.ErrorContains(t, err, want)
	}
}

func TestSecretNames(t *testing.T) {
	for _, name := range []string{"X-Api-Key", "apiKey", "api_key", "APIKEY", "access_token", "accessToken", "refreshToken", "X-Auth-Request-Email", "auth", "PHPSESSID", "connect.sid", "client_secret", "X-Amz-Signature", "sig", "userPassword", "pwd", "X-CSRF-Token", "id_token", "sessionId", "Ocp-Apim-Subscription-Key", "X-Forwarded-Client-Cert", "cardNumber", "credit_card_number", "ssn", "security_code", "iban", "userPin", "cardCVV", "Authorization", "Proxy-Authorization"} {
		require.True(t, isSecretName(name), name)
	}
	for _, name := range []string{"Accept", "author", "authority", ":authority", "Idempotency-Key", "key", "page_token", "X-Request-Id", "Sec-Websocket-Key", "compass", "signal", "passenger", "Www-Authenticate", "token_type", "", "mapping", "card_type", "spinner", "libanon"} {
		require.False(t, isSecretName(name), name)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("https://u:p@h/a?token=x;y=z#t=1", "Bearer x", "a=b; c", "application/json", []byte(`{"a":{"token":"x"}}`))
	f.Add("//", "", "=;=", "multipart/form-data; boundary=b", []byte("--b\r\n\r\n\r\n--b--"))
	f.Add("/12345678", "12345678", "12345678", "application/json", []byte(`{"pin":12345678,"token":123456.78,"a":[1234567890,"12345678"],"pins":[-4e1]}`))
	f.Add("@", "x y", "", "", []byte("a=b&token=%zz"))
	f.Add("/", "", "", "application/yaml", []byte("password: |2-\n  x\n y\ntoken:\n- a: \"x\n  y\"\n- b\n- name: pin\n  value: 'z\n"))
	f.Add("/", "", "", "application/json", []byte(`[["token","x"],{"value":["x",{}],"name":"pin"},{"type":"otp","value":17}]`))
	f.Add("/", "", "", "text/xml", []byte("<a><name>token</name> <value><string>x</string></value><b key='pin' value = \"y\"/><c name='token'>z</c>"))
	r := redactor(f, RedactionRules{Paths: []string{"a.b", "[*].c"}})
	f.Fuzz(func(t *testing.T, target, authorization, cookie, kind string, body []byte) {
		const secret = "s3cr3t-which-is-looked-for"
		x := Exchange{
			Request: Request{
				Target: target, Header: http.Header{"Authorization": {authorization + secret}, "Cookie": {cookie, "sid=" + secret}, "Content-Type": {kind}},
				Body: Body{Data: append(bytes.Clone(body), secret...), Size: int64(len(body) + len(secret))},
			},
			Response: Response{Header: http.Header{"Location": {target}, "Content-Type": {kind}}, Body: Body{Data: body, Size: int64(len(body))}},
		}
		y := r.Redact(x)
		require.NotContains(t, fmt.Sprint(y.Request.Target, y.Request.Header, y.Response.Header, string(y.Request.Body.Data), string(y.Response.Body.Data)), secret)
		require.Equal(t, secret, x.Request.Header["Cookie"][1][4:], "what was given stays")
		for _, b := range []Body{y.Request.Body, y.Response.Body} {
			require.True(t, b.Cut || b.Size == int64(len(b.Data)))
		}
		if b := y.Response.Body; kind == "application/json" && json.Valid(body) && !b.Cut {
			require.Equal(t, len(body) == 0, !json.Valid(b.Data), "JSON stays JSON")
		}
	})
}

// TestSecretsWithin: JSON is looked into where it is a parameter, a part of a form or
// a text of other JSON, and tokens tell by what they are like.
func TestSecretsWithin(t *testing.T) {
	const secret, token = "s3cr3t-which-leaks", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
	r := redactor(t, RedactionRules{})
	with := func(kind, body string) Exchange {
		return Exchange{Request: Request{Target: "/", Header: http.Header{"Content-Type": {kind}}, Body: Body{Data: []byte(body), Size: int64(len(body))}}}
	}
	inner := `{"user":"anna","password":"` + secret + `"}`
	quoted, err := json.Marshal(inner)
	require.NoError(t, err)
	for name, x := range map[string]Exchange{
		"variables of GraphQL":    {Request: Request{Target: "/graphql?query=q&variables=" + url.QueryEscape(inner)}},
		"a field of a form":       with("application/x-www-form-urlencoded", "a=b&payload="+url.QueryEscape(inner)),
		"a part of a form":        with("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n"+inner+"\r\n--b--\r\n"),
		"a text of JSON":          with("application/json", `{"n":1.0,"message":`+string(quoted)+`,"z":[]}`),
		"a token in a path":       {Request: Request{Target: "/verify/" + token + "/now"}, Route: "GET /verify/" + token},
		"a token in a header":     {Request: Request{Target: "/", Header: http.Header{"Sec-Websocket-Protocol": {"v1, " + token}}}},
		"a token in a text":       with("text/html", "<a href='/in/"+token+"'>"),
		"a token that is cut off": with("text/plain", "see "+token[:34]),
	} {
		y := r.Redact(x)
		text := fmt.Sprint(y.Route, y.Request.Target, y.Request.Header, string(y.Request.Body.Data))
		require.NotContains(t, text, secret, name)
		require.NotContains(t, text, token[21:34], name)
		if b := y.Request.Body; len(b.Data) > 0 && strings.HasPrefix(string(b.Data), "{") {
			require.True(t, json.Valid(b.Data))
			require.Contains(t, string(b.Data), `{"n":1.0,"message":"{\"user\":\"anna\",\"password\":\"pn-`)
		}
	}
	for _, same := range []Exchange{
		{Request: Request{Target: `/?filter=` + url.QueryEscape(`{"a":[1.0]}`) + `&b={"c":1}`}},
		with("application/json", `{"a":"{\"b\":1.0}","c":"[not JSON","d":"eyJ.eyJ"}`),
	} {
		require.Equal(t, same, r.Redact(same))
	}
}

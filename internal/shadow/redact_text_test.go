package shadow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSecretsInTexts plants one secret at a time in texts that are not parsed. It is
// too short to be found by another.
func TestSecretsInTexts(t *testing.T) {
	r := redactor(t, RedactionRules{Paths: []string{"nickname"}})
	pn := r.Pseudonym(short)
	const graph = "application/graphql"
	for name, c := range map[string]struct{ kind, text, want string }{
		"GraphQL":                       {graph, `mutation { login(name: "anna", password: "` + short + `") { id } }`, `name: "anna", password: "` + pn + `")`},
		"GraphQL in JSON":               {"application/json", `{"query":"{ login(password: \"` + short + `\") }","n":1.0}`, `{"query":"{ login(password: \"` + pn + `\") }","n":1.0}`},
		"a URL in JSON":                 {"application/json", `{"next":"https://a/b?token=` + short + `\u0026c=1"}`, `?token=` + pn},
		"an element of XML":             {"text/xml", `<a><password>` + short + `</password><b>c</b></a>`, `<password>` + pn + `</password><b>c</b>`},
		"one with attributes":           {"application/soap+xml", `<w:Password Type="text">` + short + `</w:Password>`, `<w:Password Type="text">` + pn + `</w:Password>`},
		"an attribute of XML":           {"application/xml", `<login user='anna' password = '` + short + `'/>`, `password = '` + pn + `'/>`},
		"a field of a form in HTML":     {"text/html", `<input type="hidden" name="csrf_token" value="` + short + `">`, `name="csrf_token" value="` + pn + `">`},
		"one with its value before":     {"text/html", `<input value="` + short + `" name="csrf_token">`, `value="` + pn + `" name="csrf_token"`},
		"a meta in HTML":                {"text/html", `<meta name="csrf-token" content="` + short + `" />`, `content="` + pn + `"`},
		"data in HTML":                  {"text/html", `<div data-api-key="` + short + `">`, `data-api-key="` + pn + `"`},
		"a link in HTML":                {"text/html", `<a href="/reset?token=` + short + `&amp;a=1">`, `/reset?token=` + pn + `&amp;a=1`},
		"JSON in HTML":                  {"text/html", `<script>window.state={"session":{"x":1},"token":"` + short + `"}</script>`, `"token":"` + pn + `"}`},
		"JSON in a string in HTML":      {"text/html", `<script>push("{\"token\":\"` + short + `\"}")</script>`, `{\"token\":\"` + pn + `\"}`},
		"JSON in an attribute":          {"text/html", `<div data-x="{&quot;token&quot;:&quot;` + short + `&quot;}">`, `&quot;token&quot;:&quot;` + pn + `&quot;`},
		"JSONP":                         {"application/javascript", `cb({"name":"anna","token":"` + short + `"})`, `"token":"` + pn + `"})`},
		"an assignment":                 {"text/javascript", `var token = "` + short + `";`, `var token = "` + pn + `";`},
		"a header in JavaScript":        {"text/javascript", `{Authorization:'Bearer ` + short + `'}`, `{Authorization:'Bearer ` + pn + `'}`},
		"server-sent events":            {"text/event-stream", "event: a\ndata: {\"token\":\"" + short + "\"}\n\n", `{"token":"` + pn + `"}`},
		"YAML":                          {"application/yaml", "user: anna\n  password: " + short + " # old\n", "\n  password: " + pn + " # old\n"},
		"YAML with spaces":              {"application/yaml", "password: a " + short + "\n", "password: " + r.Pseudonym("a "+short) + "\n"},
		"properties":                    {"text/plain", "spring.datasource.password=" + short + "\nx=1", "password=" + pn + "\nx=1"},
		"a line":                        {"text/plain", "Password: " + short + "\r\nUser: anna", "Password: " + pn + "\r\nUser: anna"},
		"the environment":               {"text/plain", "export API_KEY='" + short + "'", "API_KEY='" + pn + "'"},
		"HTML in JSON":                  {"application/json", `{"html":"<i name=\"csrf\" value=\"` + short + `\"></i>"}`, `{"html":"<i name=\"csrf\" value=\"` + pn + `\"></i>"}`},
		"a log":                         {"text/plain", "level=info token=" + short + " user=anna", "level=info token=" + pn + " user=anna"},
		"a header":                      {"text/plain", "GET / HTTP/1.1\nAuthorization: Bearer " + short + "\n", "Authorization: Bearer " + pn + "\n"},
		"a declared name":               {"text/xml", "<nickname>" + short + "</nickname>", "<nickname>" + pn + "</nickname>"},
		"a text that is cut":            {graph, `{ login(password: "` + short, `password: "` + pn},
		"an object":                     {"application/json", `{"password":{"value":"` + short + `","type":"plain"}}`, `{"password":{"value":"` + pn + `","type":"plain"}}`},
		"an object in a list":           {"application/json", `{"password":[{"value":"` + short + `"}]}`, `{"value":"` + pn + `"}`},
		"the code of a grant in JSON":   {"application/json", `{"grant_type":"authorization_code","code":"` + short + `"}`, `"code":"` + pn + `"`},
		"the code of a grant in a form": {"application/x-www-form-urlencoded", "grant_type=authorization_code&code=" + short, "&code=" + pn},
	} {
		got := string(r.Redact(jsonOfType(c.kind, c.text)).Response.Body.Data)
		require.NotContains(t, got, short, name)
		require.Contains(t, got, c.want, name)
	}
}

// TestSecretNamesOfProtocols wants secrets hidden that protocols of logins have.
func TestSecretNamesOfProtocols(t *testing.T) {
	r := redactor(t, RedactionRules{})
	pn := r.Pseudonym(short)
	for _, name := range []string{"SAMLResponse", "SAMLRequest", "client_assertion", "assertion", "passcode", "code_verifier", "pw", "ticket", "recovery_key", "recovery_code", "backup_code", "device_code"} {
		form := r.Redact(jsonOfType("application/x-www-form-urlencoded", "a=1&"+name+"="+short)).Response.Body.Data
		require.Equal(t, "a=1&"+name+"="+pn, string(form))
	}
	for target, want := range map[string]string{
		"/cb?code=" + short + "&state=1": "/cb?code=" + pn + "&state=1",
		"/cb?state=1&code=" + short:      "/cb?state=1&code=" + pn,
		"/items?code=" + short:           "/items?code=" + short,
	} {
		require.Equal(t, want, r.Redact(Exchange{Request: Request{Target: target}}).Request.Target)
	}
	for value, want := range map[string]string{
		"chat, bearer." + short:                          "chat, bearer." + pn,
		"base64url.bearer.authorization.k8s.io." + short: "base64url.bearer.authorization.k8s.io." + pn,
		"access_token, " + short:                         "access_token, " + pn,
		"graphql-ws, v1.json":                            "graphql-ws, v1.json",
	} {
		require.Equal(t, want, r.Redact(withHeader("Sec-Websocket-Protocol", value)).Request.Header.Get("Sec-Websocket-Protocol"))
	}
}

// TestSecretsByTheirShape wants secrets found wherever they are that their makers mark.
func TestSecretsByTheirShape(t *testing.T) {
	r := redactor(t, RedactionRules{})
	x := func(n int) string { return strings.Repeat("aB3", n)[:n] }
	pem := "-----BEGIN RSA PRIVATE KEY-----\nMIIE" + x(30) + "\n-----END RSA PRIVATE KEY-----"
	for _, secret := range []string{
		"AIza" + x(35), "AKIA" + strings.ToUpper(x(16)), "ghp_" + x(36), "gho_" + x(36), "github_pat_" + x(40), "xoxb-" + x(24), "xoxp-" + x(24),
		"sk_live_" + x(24), "rk_live_" + x(24), pem,
	} {
		for _, y := range []Exchange{
			{Request: Request{Target: "/a/" + secret + "/b"}},
			withHeader("X-Note", "it is "+secret), jsonOfType("text/html", "<p>"+secret+"</p>"),
			jsonOfType("application/json", `{"note":`+string(k6JSON(secret))+`,"n":1.0}`), jsonOfType("text/css", "/* "+secret+" */"),
		} {
			got := r.Redact(y)
			all := fmt.Sprint(got.Request.Target, got.Request.Header, string(got.Response.Body.Data))
			require.NotContains(t, all, secret)
			require.NotContains(t, all, secret[max(0, len(secret)-12):])
			require.Contains(t, all, pseudonymMark)
		}
	}
	cut := r.Redact(jsonOfType("text/plain", pem[:50])).Response.Body.Data
	require.NotContains(t, string(cut), "MIIE", "the beginning of a key")
}

// TestInnocentTexts wants texts that only speak of secrets to stay as they are, byte by
// byte.
func TestInnocentTexts(t *testing.T) {
	r := redactor(t, RedactionRules{})
	for name, c := range map[string][2]string{
		"HTML": {"text/html", `<!doctype html><title>Password: forgotten?</title><label for="password" class="auth-form">Your password:</label>
<input type="password" name="password" id=password value="" placeholder="Password" autocomplete="current-password"><meta name="csrf-param" content="authenticity_token">
<p>The password is: long. Session: none. Enter password=... here <a href="/login?next=/session/new">log in</a></p><button name="token_reset" value="1">Reset</button>`},
		"CSS": {"text/css", `.password:hover, [name="token"] { content: "secret"; --token: "x17"; } input[type=password]{width:1px}`},
		"JavaScript": {"text/javascript", `const labels={password:"Your password",token:"Token",auth:"please log in"};if(password=="a1"||token===b){session=next()}
var passwordField=document.getElementById("password1");token=getToken();form.password.type="password";x.headers["csrf-token"]=token;export{session as default};const isAuth=(token)=>token.length>0;
fetch("/login",{credentials:"same-origin",headers:{authorization:"Bearer ".concat(t)}});load('/snippet?sid=' + l.URL.split('/').slice(-1) + '&token=' + t + '&a=')`},
		"prose": {"text/plain", "Your password: choose a long one.\nPassword: at least 8 characters, and none that you use elsewhere.\nThe token is sent by mail; a session = what a log ends.\nNote: password rules (secret: keep it)."},
		"JSON":  {"application/json", `{"tokens":17,"token_count":3,"max_tokens":4096,"password_length":12,"sessions":[{"id":"a1"}],"password":true,"help":"Your password: choose a long one","hint":"no password=","when":"2026-01-02T03:04:05Z","html":"<p id=\"a\">AUTH_HEADER:'Checkout otherStuffz', '?sid=' + x.split('/')</p>","url":"https://a/b?page=2"}`},
		"XML":   {"text/xml", `<a><name>token</name><password/><token></token><author>anna</author><session><b>1</b></session></a>`},
		"SDL":   {"application/graphql", "mutation Login(\n  $password: String!\n  $token: String\n) {\n  login(\n    password: $password\n    token: $token\n  ) { id }\n}"},
		"bytes": {"application/octet-stream", "\x00\x01password: \"s3cr3t1\""},
		"image": {"image/png", "\x89PNG password=\"s3cr3t1\""},
	} {
		x := jsonOfType(c[0], c[1])
		y := r.Redact(x)
		require.Equal(t, c[1], string(y.Response.Body.Data), name)
		require.Equal(t, x, y, name)
	}
}

// TestTextsThatAreSlow wants texts made to be slow to read to take no longer.
func TestTextsThatAreSlow(t *testing.T) {
	r := redactor(t, RedactionRules{})
	for _, part := range []string{">", ":", "=", "></a", `name="token" `, `token="`, "token: ", `<token>`, `\"token\":\"`, "a.b.c=", " =", "&quot;:"} {
		_, cpu := spent(func() {
			r.Redact(jsonOfType("text/html", strings.Repeat(part, 1<<18/len(part))))
			r.Redact(jsonOfType("text/plain", strings.Repeat(part, 1<<18/len(part))))
		})
		require.Less(t, cpu, 20*time.Second, part)
	}
}

package shadow

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSecretsInPairs wants values hidden that something beside them names, and nothing
// else of what they stand in.
func TestSecretsInPairs(t *testing.T) {
	r := redactor(t, RedactionRules{Paths: []string{"nickname"}})
	pn := r.Pseudonym(short)
	for name, c := range map[string]struct{ kind, text string }{
		"a name and a value":     {"application/json", `{"a":[{"name":"password","value":"SECRET"},{"name":"city","value":"Ulm"}]}`},
		"the value first":        {"application/json", `{"value" : "SECRET", "n":1.0, "name":"X-Api-Key"}`},
		"far apart":              {"application/json", `{"value":["SECRET",{"b":[]}],"more":{"c":[1,"x",null]},"n":true,"key":"csrf_token"}`},
		"a key":                  {"application/json", `{"key":"spring.datasource.password","value":"SECRET"}`},
		"words":                  {"application/json", `{"Name":"API key","Value":"SECRET"}`},
		"a kind":                 {"application/json", `{"type":"password","value":"SECRET","temporary":false}`},
		"a kind and a name":      {"application/json", `{"type":"string","name":"client_secret","string_value":"SECRET"}`},
		"an object":              {"application/json", `{"name":"token","value":{"text":"SECRET","n":1}}`},
		"an escaped name":        {"application/json", `{"name":"pass\u0077ord","value":"SECRET"}`},
		"a content":              {"application/json", `{"name":"authorization","content":"SECRET"}`},
		"a declared name":        {"application/json", `{"name":"nickname","value":"SECRET"}`},
		"a row":                  {"application/json", `{"form":[["token","SECRET"],["city","Ulm"]]}`},
		"rows with lists":        {"application/json", `[["Authorization",["SECRET"]],["Accept",["*/*"]]]`},
		"a text of other JSON":   {"application/json", `{"body":"[{\"name\":\"password\",\"value\":\"SECRET\"}]"}`},
		"XML, an attribute":      {"text/xml", `<property name="password" value="SECRET"/>`},
		"XML, another line":      {"text/xml", "<add key='Password'\n\tvalue=\"SECRET\" />"},
		"XML, the value first":   {"text/xml", `<add value='SECRET' key="Password"/>`},
		"XML, the text":          {"text/xml", `<string name="api_token">SECRET</string>`},
		"XML, an element":        {"application/xml", "<property>\n <name>fs.s3.secret.key</name>\n <value>SECRET</value>\n</property>"},
		"XML, parameters":        {"application/xml", `<context-param><param-name>apiKey</param-name><param-value>SECRET</param-value></context-param>`},
		"XML-RPC":                {"text/xml", `<member><name>password</name><value><string>SECRET</string></value></member>`},
		"XML with names before":  {"text/xml", `<ns:entry><k:key>token</k:key><k:value>SECRET</k:value></ns:entry>`},
		"a list of properties":   {"text/xml", "<dict>\n<key>password</key>\n<string>SECRET</string></dict>"},
		"YAML, literal":          {"application/yaml", "a: 1\npassword: |\n  SECRET\nb: 2\n"},
		"YAML, folded":           {"application/yaml", "user:\n  password: >-\n\n    SECRET\n\n  b: 2\n"},
		"YAML, the next line":    {"application/yaml", "password:\n  SECRET\nb: 2\n"},
		"YAML, in quotes":        {"application/yaml", "password:\n  'SECRET'\nb: 2\n"},
		"YAML, a list":           {"application/yaml", "passwords:\n- SECRET\n- \"SECRET\"\nb: 2\n"},
		"YAML, an object":        {"application/yaml", "password:\n  type: plain\n  value: SECRET\n  length: 7\nb: 2\n"},
		"YAML, lists in it":      {"application/yaml", "secrets:\n  - a:\n      - SECRET\n    b: |\n      SECRET\n  - value: SECRET\n  - SECRET\nb: 2\n"},
		"YAML, with a tag":       {"application/yaml", "password: !vault |\n  SECRET\nb: 2\n"},
		"YAML, a pair":           {"application/yaml", "env:\n- name: DB_PASSWORD\n  value: SECRET\n- name: CITY\n  value: Ulm\n"},
		"YAML, a pair in quotes": {"application/yaml", "- key: \"token\"\n  value: 'SECRET'\n"},
		"a text, literal":        {"text/plain", "password: |\n  SECRET\nb: 2\n"},
		"properties":             {"text/x-java-properties", "password=\\\n  SECRET\nb=2\n"},
	} {
		got := string(r.Redact(jsonOfType(c.kind, strings.ReplaceAll(c.text, "SECRET", short))).Response.Body.Data)
		require.Equal(t, strings.ReplaceAll(c.text, "SECRET", pn), got, name)
	}
}

// TestSecretsOfManyLines wants nothing left of a secret that is written in several lines.
func TestSecretsOfManyLines(t *testing.T) {
	r := redactor(t, RedactionRules{})
	for name, c := range map[string]struct{ text, secret, want string }{
		"literal":      {"key: |\n    a\npassword: |\n    one11\n     two22\n\n    three33\n  # no comment\nb: 2\n", "one11\n two22\n\nthree33", "key: |\n    a\npassword: |\n    PN\n  # no comment\nb: 2\n"},
		"folded":       {"- password: >\n    one11\n    two22\n- b", "one11 two22", "- password: >\n    PN\n- b"},
		"plain":        {"password: one11\n  two22\n  three33\nb: 2", "one11 two22 three33", "password: PN\nb: 2"},
		"double":       {"password: \"one11\n  two22: x\n  three33\"\nb: 2", "one11 two22: x three33", "password: \"PN\"\nb: 2"},
		"single":       {"password: 'one11\n\n  two22'\nb: 2", "one11 two22", "password: 'PN'\nb: 2"},
		"a key":        {"tls:\n  private_key: |\n    -----BEGIN X-----\n    one11/two22\n    three33==\n    -----END X-----\n", "-----BEGIN X-----\none11/two22\nthree33==\n-----END X-----", "tls:\n  private_key: |\n    PN\n"},
		"not closed":   {"password: \"one11\n  two22", "one11 two22", "password: \"PN"},
		"in brackets":  {"passwords: [one11,\n  two22]\nb: []", "[one11, two22]", "passwords: PN\nb: []"},
		"another line": {"password:\n\n    one11\n    two22\nb: 2", "one11 two22", "password:\n\n    PN\nb: 2"},
	} {
		for _, ending := range []string{"\n", "\r\n"} {
			text := strings.ReplaceAll(c.text, "\n", ending)
			got := string(r.Redact(jsonOfType("application/yaml", text)).Response.Body.Data)
			want := strings.ReplaceAll(strings.ReplaceAll(c.want, "\n", ending), "PN", r.Pseudonym(c.secret))
			require.Equal(t, want, got, name)
		}
	}
}

// TestInnocentPairs wants pairs and lines that only look like those of secrets to stay as
// they are, byte by byte.
func TestInnocentPairs(t *testing.T) {
	r := redactor(t, RedactionRules{})
	for name, c := range map[string][2]string{
		"pairs":     {"application/json", `[{"name":"Ann","value":3},{"value":"x","name":"city"},{"key":"token_type","value":"bearer"},{"key":"auth.title","value":"Log in"},{"name":"password","value":"required"},{"key":"login.password","value":"Your password"}]`},
		"kinds":     {"application/json", `[{"type":"token","content":"Hel"},{"type":"token","text":"lo"},{"id":"session","text":"It has ended"},{"name":"pin","value":0},{"name":"password","value":""},{"name":"token","value":null}]`},
		"sentences": {"application/json", `[{"name":"How to choose a password that lasts","value":"p1"},{"key":"session.expired","text":"Log in again, 2 of 3"}]`},
		"lists":     {"application/json", `{"required":["password","email"],"rows":[["password","email_token"],["token","x","y"],["token"],["city","x1"],[["a"],"b"]],"grants":["authorization_code","x1"]}`},
		"columns":   {"application/json", `{"fields":[{"name":"password","label":"a1","max":12}],"value":"v1"}`},
		"XML":       {"text/xml", `<a><name>token</name><b>x1</b><name>city</name><value>x2</value><x name="city">x3</x><x name="token"/><y>x4</y><x name="token"><z>x5</z></x><text id="token">x6</text><string name="password">Your password</string><name>How to keep a password for long</name><value>x7</value></a>`},
		"HTML":      {"text/html", `<label id="password">Your 1st password</label><div id="token">x1</div><p><name>token</name><value>x2</value></p>`},
		"YAML":      {"application/yaml", "name: Ann\nvalue: x1\npassword:\nb: x2\ntokens:\n  total: 17\n  name: x3\n- name: city\n  value: Ulm\n- name: DB_PASSWORD\n  valueFrom:\n    keyRef: x4\nsecurity:\n  - x5\n"},
		"prose":     {"text/plain", "Password:\n  at least 8 characters1\nnext: x\n"},
	} {
		x := jsonOfType(c[0], c[1])
		require.Equal(t, c[1], string(r.Redact(x).Response.Body.Data), name)
	}
}

// TestPairsThatAreSlow wants pairs made to be slow to read to take no longer, and nothing
// of what is in them to be lost.
func TestPairsThatAreSlow(t *testing.T) {
	r := redactor(t, RedactionRules{})
	nested := strings.Repeat(`{"value":`, 500) + "1" + strings.Repeat(`,"name":"token"}`, 500)
	for name, c := range map[string][2]string{
		"nested":  {"application/json", "[" + strings.Repeat(nested+",", 100) + nested + "]"},
		"rows":    {"application/json", "[" + strings.Repeat(strings.Repeat("[", 500)+`"token",1`+strings.Repeat("]", 500)+",", 300) + "1]"},
		"values":  {"application/json", `{` + strings.Repeat(`"value":"x",`, 1<<17) + `"name":"city"}`},
		"keys":    {"application/yaml", strings.Repeat("password:\n", 1<<16)},
		"deeper":  {"application/yaml", deeperLines(2000)},
		"opened":  {"application/yaml", strings.Repeat("token: \"\n", 1<<16)},
		"blocks":  {"application/yaml", strings.Repeat("token: |\n", 1<<16)},
		"names":   {"application/yaml", strings.Repeat("- name: token\n", 1<<16)},
		"XML":     {"text/xml", strings.Repeat("<name>token</name>", 1<<16)},
		"opening": {"text/xml", strings.Repeat(`<x name="token" `, 1<<16)},
	} {
		var got []byte
		_, cpu := spent(func() { got = r.Redact(jsonOfType(c[0], c[1])).Response.Body.Data })
		require.Less(t, cpu, 20*time.Second, name)
		t.Logf("%s: %v", name, cpu)
		if c[0] == "application/json" {
			require.True(t, json.Valid(got), name)
		}
	}
}

// deeperLines are names of secrets, each deeper than the one before.
func deeperLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "password:\n")
	}
	return b.String()
}

// pairWriter makes JSON at random, with secrets beside their names.
type pairWriter struct {
	rng    *rand.Rand
	plains int
}

func (w *pairWriter) value(depth int, secret bool) string {
	switch kind := w.rng.IntN(4); {
	case depth == 0 || kind < 2:
		if secret {
			return fmt.Sprintf(`"s3cr3t-%d"`, w.rng.IntN(1000))
		}
		w.plains++
		return fmt.Sprintf(`"plain-%d"`, w.rng.IntN(1000))
	case kind == 2 && !secret:
		return "[" + w.value(depth-1, false) + `,["token", ` + w.value(depth-1, true) + "],17]"
	case kind == 2:
		return "[" + w.value(depth-1, true) + ",17," + w.value(depth-1, true) + "]"
	}
	return w.object(depth-1, secret)
}

// object makes one in which a name stands before or after what it names.
func (w *pairWriter) object(depth int, secret bool) string {
	name, all := "city", secret
	if w.rng.IntN(2) == 0 {
		name, secret = []string{"password", "X-Api-Key", "client secret", "db.token"}[w.rng.IntN(4)], true
	}
	other := `"n":1.0`
	if !all {
		other = `"more":` + w.value(max(0, depth-1), false)
	}
	members := []string{`"name":"` + name + `"`, `"value": ` + w.value(max(0, depth-1), secret), other}
	w.rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members, " , ") + "}"
}

// TestNoPairLeaks wants no secret left in JSON that pairs names with values, and all else
// to stay.
func TestNoPairLeaks(t *testing.T) {
	r := redactor(t, RedactionRules{})
	secrets := 0
	for seed := range uint64(2000) {
		w := pairWriter{rng: rand.New(rand.NewPCG(seed, 8))}
		text := w.object(3, false)
		require.True(t, json.Valid([]byte(text)), text)
		got := string(r.Redact(jsonOfType("application/json", text)).Response.Body.Data)
		require.True(t, json.Valid([]byte(got)), got)
		require.NotContains(t, got, "s3cr3t", text)
		require.Equal(t, w.plains, strings.Count(got, "plain-"), "%s\n%s", text, got)
		secrets += strings.Count(text, "s3cr3t")
	}
	require.Greater(t, secrets, 1000)
}

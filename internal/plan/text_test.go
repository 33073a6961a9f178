package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"services.shop.url": "http://127.0.0.1:81", "port": "81", "secrets.k": "${services.shop.url}"}[name]
	return value, ok
}

func TestExpand(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"plain $HOME ${":           "",
		"a ${port} b${port}":       "a 81 b81",
		"${services.shop.url}/x":   "http://127.0.0.1:81/x",
		"${secrets.k}":             "${services.shop.url}",
		"$${port} $$${port}":       "${port} $${port}",
		"${data.a} $${data.b} $$":  "${data.a} $${data.b} $$",
		`{"a":{"b":"${data.a}"}}`:  `{"a":{"b":"${data.a}"}}`,
		"${services.other.url} $x": "",
	} {
		got, err := Expand(text, lookup)
		if want == "" && text != "" {
			require.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	_, err := Expand("${services.other.url}", lookup)
	require.ErrorContains(t, err, "${services.other.url}")
}

func TestExpandData(t *testing.T) {
	row := func(name string) (string, bool) { return strings.ToUpper(name), name != "none" }
	got, err := ExpandData("/${data.a}/$${data.b}/${port}$${x}", row)
	require.NoError(t, err)
	require.Equal(t, "/A/${data.b}/${port}$${x}", got)
	_, err = ExpandData("${data.none}", row)
	require.ErrorContains(t, err, `no column "none"`)
	_, err = ExpandData("${data.a", row)
	require.Error(t, err)
}

// TestEscaped wants any value of a variable to come out as it went in.
func TestEscaped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOfN(rapid.SampledFrom([]rune("${}a.:-é")), 0, 12, -1).Draw(t, "value")
		escaped := strings.ReplaceAll(value, "${", escape)
		got, err := Expand(escaped, lookup)
		require.NoError(t, err)
		require.Equal(t, value, got)
	})
}

func TestVariables(t *testing.T) {
	plan := func(value string) string {
		return `{name: p, env: {V: "` + value + `"}, services: {shop: {command: x}}, targets: {t: {url: "http://127.0.0.1"}},
phases: [{name: p, candidate: t, gates: [availability > 9%], tests: [{name: t, load: {script: s, vus: 1, duration: 1s}}]}]}`
	}
	opts := Options{Vars: map[string]string{"A": "var", "E": ""}, Getenv: env(map[string]string{"A": "env", "B": "env", "D": "5$"}), Recorded: true}
	for value, want := range map[string]string{
		"${A}-${B}":                    "var-env",
		"${C:-none}":                   "none",
		"${C:-}":                       "",
		"${E:-empty}":                  "empty",
		"${E}":                         "",
		"${C:-${services.shop.url}}/x": "${services.shop.url}/x",
		"${C:-${A}}":                   "var",
		"$${A}":                        "$${A}",
		"${D}":                         "5$",
		"${C:-a}}":                     "a}",
		"$A {x} 100$":                  "$A {x} 100$",
		"${C:-http://h:1/?q=a,b[0]#x}": "http://h:1/?q=a,b[0]#x",
		"${D}{x}":                      "",
		"${D}${services.shop.url}":     "",
		"${}":                          "",
		"${A:?no}":                     "",
		"${services.shop.url:-x}":      "",
	} {
		p, err := Parse([]byte(plan(value)), opts)
		if want == "" && value != "${C:-}" && value != "${E}" {
			require.Error(t, err, value)
			continue
		}
		require.NoError(t, err, value)
		require.Equal(t, want, p.Env["V"], value)
	}
}

func TestBind(t *testing.T) {
	vus := 3
	in := Test{Name: "t", Load: &Profile{
		Env:    map[string]string{"URL": "${services.shop.url}"},
		Stages: []Stage{{VUs: &vus}},
		Requests: []Request{{
			Path: "/${data.id}", JSON: map[string]any{"a": []any{"${port}", 1, nil}}, Expect: &Expect{Headers: map[string]string{"A": "$${x}"}},
		}},
	}}
	out, err := Bind(in, lookup)
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:81", out.Load.Env["URL"])
	require.Equal(t, map[string]any{"a": []any{"81", 1, nil}}, out.Load.Requests[0].JSON)
	require.Equal(t, "/${data.id}", out.Load.Requests[0].Path)
	require.Equal(t, "${x}", out.Load.Requests[0].Expect.Headers["A"])
	require.Nil(t, out.Stress)

	*out.Load.Stages[0].VUs = 4
	out.Load.Requests[0].Path = "/"
	require.Equal(t, 3, vus)
	require.Equal(t, "${services.shop.url}", in.Load.Env["URL"], "the value itself is left alone")
	require.Equal(t, "/${data.id}", in.Load.Requests[0].Path)

	_, err = Bind(map[string]string{"a": "${dependencies.x.url}"}, lookup)
	require.ErrorContains(t, err, "${dependencies.x.url}")
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte("abc\n\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "long"), make([]byte, maxSecret+1), 0o600))
	p := Plan{Dir: dir, Secrets: map[string]Secret{
		"file": {File: "token"}, "env": {Env: "TOKEN"}, "unset": {Env: "NONE"}, "missing": {File: "none"}, "long": {File: "long"},
	}}
	getenv := env(map[string]string{"TOKEN": "xyz"})
	for name, want := range map[string]string{"file": "abc\n", "env": "xyz"} {
		got, err := p.Secret(name, getenv)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for name, want := range map[string]string{"unset": "NONE", "missing": "none", "long": "64 KiB", "other": "no secret"} {
		_, err := p.Secret(name, getenv)
		require.ErrorContains(t, err, want)
	}
}

func TestHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.1.2.3": true, "192.168.0.1": true, "fd00::1": true, "169.254.1.1": true, "fe80::1": true,
		"0.0.0.0": true, "::ffff:10.0.0.1": true, "localhost": true, "LOCALHOST.": true, "shop": true, "shop.local": true, "a.b.internal": true,
		"orders.shop.svc": true, "orders.shop.svc.cluster.local": true,
		"8.8.8.8": false, "::ffff:8.8.8.8": false, "example.com": false, "example.com.": false, "134744072": false, "0x8080808": false,
		"127.1": false, "local.example.com": false, "": false, "evil-internal": true, "xinternal.com": false,
	} {
		require.Equal(t, want, Private(host), host)
	}
	allow := []string{"Shop.example.com", "*.example.org"}
	require.True(t, allowed(allow, "shop.EXAMPLE.com."))
	require.True(t, allowed(allow, "a.b.example.org"))
	require.False(t, allowed(allow, "example.org"))
	require.False(t, allowed(allow, "evilexample.org"))

	p := Plan{
		Targets: map[string]Target{
			"a": {URL: "http://127.0.0.1:81/x"},
			"b": {URL: "https://Shop.example.com", Auth: &Auth{OAuth2: &OAuth2{TokenURL: "https://login.example.com/t"}}},
		},
		Dependencies: map[string]Dependency{"d": {Upstream: "http://[::1]"}, "e": {Upstream: "http://127.0.0.1:81"}},
	}
	hosts, err := p.Hosts()
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:81", "[::1]:80", "login.example.com:443", "shop.example.com:443"}, hosts)
}

func TestAccepts(t *testing.T) {
	target := Target{Accept: []string{"2xx", "404"}}
	for status, want := range map[int]bool{200: true, 299: true, 301: false, 404: true, 405: false, 0: false, 503: false} {
		require.Equal(t, want, Accepts(target, status), status)
	}
}

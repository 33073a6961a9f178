package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDisruptionAlone(t *testing.T) {
	settle := Duration(10 * time.Second)
	for name, d := range map[string]Disruption{
		"latency": {
			Name: "slow", Dependency: "payments", At: Duration(time.Second), For: Duration(time.Minute), Share: 0.25,
			Latency: &Latency{Delay: Duration(400 * time.Millisecond), Jitter: Duration(50 * time.Millisecond)},
			Match:   &Match{Path: "/pay/*", Method: "POST", Header: map[string]string{"X-Tenant": "a: b"}},
		},
		"texts stand for themselves": {
			Name: "wrong", Dependency: "payments", For: Duration(time.Second), Share: 1,
			Error: &Error{Status: 503, Body: "${HOME} ${data.x} $${a} ${services.a.url} {\"a\": \"\u00e9\\n\"}\n\tend "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d.Settle = &settle
			text, err := SpellDisruption(d)
			require.NoError(t, err)
			back, err := ParseDisruption(text)
			require.NoError(t, err, "%s", text)
			require.Equal(t, d, back)
		})
	}
}

func TestDisruptionAloneIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		``:   "disruption:1:1: the file is empty; `resilience demo` writes a plan to start from",
		`[]`: "disruption:1:1: a plan is a mapping of keys to values, not a list; begin with name: and phases:",
		`{"name": "a", "for": "1s", "latency": {"delay": "1s"}, "dependency": "d", "lateness": 1}`: `disruption:1:75: unknown key "lateness" in a disruption`,
		`{"name": "a", "for": "1s", "latency": {"delay": 1}, "dependency": "d"}`:                   `disruption:1:49: delay wants a duration with its unit, such as 1s or 1ms; got "1"`,
		`{"name": "a", "for": "1s", "dependency": "d"}`:                                            "disruption:1:1: a disruption wants one of ",
		`{"name": "a", "for": "1s", "latency": {"delay": "1s"}}`:                                   "disruption:1:1: latency wants dependency: or kubernetes:",
		`{"for": "1s", "latency": {"delay": "1s"}, "dependency": "d"}`:                             "disruption:1:1: a disruption wants name:",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := ParseDisruption([]byte(text))
			require.ErrorContains(t, err, want)
		})
	}
}

func TestDependenciesAlone(t *testing.T) {
	got, err := ParseDependencies("proxies.yaml", []byte("payments: {upstream: \"http://127.0.0.1:1\", listen: \"127.0.0.1:${PORT}\"}\nstock:\n  upstream: http://127.0.0.1:2\n"),
		Options{Getenv: env(map[string]string{"PORT": "9001"})})
	require.NoError(t, err)
	require.Equal(t, map[string]Dependency{
		"payments": {Upstream: "http://127.0.0.1:1", Protocol: "http", Listen: "127.0.0.1:9001"},
		"stock":    {Upstream: "http://127.0.0.1:2", Protocol: "http"},
	}, got)
	for text, want := range map[string]string{
		"a: {upstream: \"http://127.0.0.1:1\", protocl: http}": `f.yaml:1:37: unknown key "protocl" in a dependency; did you mean "protocol"?`,
		"a: {upstream: \"ftp://127.0.0.1:1\"}":                 "f.yaml:1:15: upstream wants ",
		"a b: {upstream: \"http://127.0.0.1:1\"}":              "f.yaml:1:1: a name holds letters",
		"- a": "f.yaml:1:1: a plan is a mapping",
	} {
		_, err := ParseDependencies("f.yaml", []byte(text), Options{})
		require.ErrorContains(t, err, want)
	}
}

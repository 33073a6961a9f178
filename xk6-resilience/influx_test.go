package xk6resilience

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/cmd"

	"resilience/fixtures/servers"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// asK6 is set in child processes: the test binary is then k6.
const asK6 = "XK6_RESILIENCE_TEST_AS_K6"

func TestMain(m *testing.M) {
	if os.Getenv(asK6) != "" {
		cmd.Execute()
		return
	}
	os.Exit(m.Run())
}

// counting is a system under test that counts its requests.
func counting(t *testing.T) (url string, seen *atomic.Uint64) {
	seen = &atomic.Uint64{}
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	t.Cleanup(web.Close)
	return web.URL, seen
}

// distributed is a test whose traffic several runners share.
type distributed struct {
	influx   servers.Influx
	settings plan.Settings
	dir      string // of the script, the settings and the spools
	of       int
}

// secret is a credential of the settings.
const secret = "s3cret-of-the-target"

// distribute writes down a test of ten seconds, or until the rate of 40 per
// second has made so many iterations.
func distribute(t *testing.T, to servers.Influx, target, run string, of int, duration string) distributed {
	t.Helper()
	d := distributed{influx: to, dir: t.TempDir(), of: of}
	d.settings = plan.Settings{
		Source: "k6 beta/checkout/candidate", Headers: map[string]string{"Authorization": secret},
		Stream: plan.Stream{
			Phase: "beta", Arm: measure.Candidate, Run: run, Plan: "shop", Target: plan.Target{URL: target},
			Test: plan.Test{Name: "checkout", Load: &plan.Profile{}},
		},
	}
	d.write(t, "script.js", `const http = require('k6/http'); exports.default = function () { http.get(__ENV.TARGET_URL); }`)
	d.write(t, "main.js", `const resilience = require('k6/x/resilience');
module.exports = resilience.entry(require('./script.js'), JSON.stringify({scenarios: {test: {
  executor: 'constant-arrival-rate', rate: 40, timeUnit: '1s', duration: '`+duration+`', preAllocatedVUs: 10}}}));`)
	settings, err := json.Marshal(d.settings)
	require.NoError(t, err)
	d.write(t, "settings.json", string(settings))
	d.write(t, "token", to.Token+"\n")
	return d
}

func (d distributed) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600))
}

// runner is the command of one, as k6-operator starts it.
func (d distributed) runner(n int) *exec.Cmd {
	ends := make([]string, d.of+1)
	for i := range ends {
		ends[i] = fmt.Sprintf("%d/%d", i, d.of)
	}
	ends[0], ends[d.of] = "0", "1"
	c := exec.Command(os.Args[0], "run", "--quiet", "--no-usage-report", "--no-color", "--out", "resilience=influx",
		"--execution-segment="+ends[n-1]+":"+ends[n], "--execution-segment-sequence="+strings.Join(ends, ","),
		"--tag", fmt.Sprintf("instance_id=%d", n), "--address", "", filepath.Join(d.dir, "main.js"))
	c.Env = append(os.Environ(), asK6+"=1", "K6_AUTO_EXTENSION_RESOLUTION=false", "TARGET_URL="+d.settings.Stream.Target.URL, "TMPDIR="+d.dir,
		settingsFile+"="+filepath.Join(d.dir, "settings.json"),
		"INFLUX_URL="+d.influx.URL, "INFLUX_ORG="+d.influx.Org, "INFLUX_BUCKET="+d.influx.Bucket, "INFLUX_TOKEN=", "INFLUX_TOKEN_FILE="+filepath.Join(d.dir, "token"))
	return c
}

// finish runs a command to its end and gives what it said.
func finish(t *testing.T, c *exec.Cmd) (said string, err error) {
	t.Helper()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err = c.Run()
	require.NotContains(t, out.String(), secret)
	return out.String(), err
}

// TestRunnerThatCanNotBegin sends nothing, and says why.
func TestRunnerThatCanNotBegin(t *testing.T) {
	target, seen := counting(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer refusing.Close()
	for name, test := range map[string]struct {
		env, want string
	}{
		"no settings":          {settingsFile + "=", "needs the settings of the test: name their file in RESILIENCE_SETTINGS"},
		"settings not there":   {settingsFile + "=/nowhere.json", "RESILIENCE_SETTINGS: open /nowhere.json"},
		"no InfluxDB":          {"INFLUX_URL=", "needs an InfluxDB: set INFLUX_URL"},
		"no bucket":            {"INFLUX_BUCKET=", "InfluxDB wants a bucket: set INFLUX_BUCKET"},
		"no token in its file": {"INFLUX_TOKEN_FILE=/dev/null", `the secret \"INFLUX_TOKEN_FILE\" is empty`},
		"token over http":      {"INFLUX_URL=http://influx.example:8086", "unencrypted"},
		"neither true or not":  {"INFLUX_INSECURE_HTTP=perhaps", "want true or false"},
		"a bad token":          {"INFLUX_TOKEN=bad", "InfluxDB refuses the token (401"},
	} {
		t.Run(name, func(t *testing.T) {
			d := distribute(t, servers.Influx{URL: refusing.URL, Token: "token-of-influx", Org: "o", Bucket: "b"}, target, "run-1", 1, "1s")
			c := d.runner(1)
			c.Env = append(c.Env, test.env)
			said, err := finish(t, c)
			require.Error(t, err)
			require.Contains(t, said, test.want)
			require.NotContains(t, said, "token-of-influx")
			require.Zero(t, seen.Load(), "requests")
			left, err := filepath.Glob(filepath.Join(d.dir, "resilience-spool-*"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestSettingsThatAreNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.json")
	for text, want := range map[string]string{
		`{"Headers": {"Authorization": ` + secret + `}}`:                "are no settings of this version",
		`{"Source": "s", "Sourness": 1}`:                                "are no settings of this version",
		`{"Source": "s", "Stream": {"Run": "r", "Test": {"Name": ""}}}`: "lacks Stream.Test.Name",
		`{"Source": "s", "Stream": {"Test": {"Name": "t"}}}`:            "lacks Stream.Run",
		`{"Stream": {"Run": "r", "Test": {"Name": "t"}}}`:               "lacks Source",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := readSettings(path)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), secret)
	}
}

package xk6resilience

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/cmd"

	"resilience/fixtures/servers"
	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/store"
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

// distribute writes down a test of 40 iterations a second, for a duration as k6
// writes it.
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
  executor: 'constant-arrival-rate', rate: 40, timeUnit: '1s', duration: '`+duration+`', preAllocatedVUs: 20}}}));`)
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

// finish runs a command to its end and gives what it said, which is no secret.
func finish(t *testing.T, c *exec.Cmd) (said string, err error) {
	t.Helper()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err = c.Run()
	if strings.Contains(out.String(), secret) {
		t.Errorf("it told the secret: %s", out.String())
	}
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

// between is an InfluxDB with somebody in front of it, who answers the writes
// for which status is not 0 with that status, and takes nothing of them.
func between(t *testing.T, to servers.Influx, status func(write int64) int) servers.Influx {
	t.Helper()
	behind, err := url.Parse(to.URL)
	require.NoError(t, err)
	pass := httputil.NewSingleHostReverseProxy(behind)
	var writes atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/write") {
			if code := status(writes.Add(1)); code != 0 {
				w.WriteHeader(code)
				return
			}
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	to.URL = front.URL
	return to
}

// listener takes what is followed.
type listener struct {
	*store.Follower
	mu  sync.Mutex
	all measure.Batch
}

func (l *listener) emit(batch measure.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Windows = append(l.all.Windows, batch.Windows...)
	l.all.Events = append(l.all.Events, batch.Events...)
	l.all.Examples = append(l.all.Examples, batch.Examples...)
	return nil
}

// requests are how many the windows say were sent.
func (l *listener) requests() (n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.all.Windows {
		if w.Series.Metric == measure.MetricRequest {
			n += w.Count
		}
	}
	return n
}

func (l *listener) events(kind string) (found []measure.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.all.Events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func listen(t *testing.T, d distributed, from servers.Influx) *listener {
	t.Helper()
	l := &listener{}
	ctx, cancel := context.WithCancel(context.Background())
	f, err := store.Follow(ctx, store.Influx{URL: from.URL, Token: from.Token, Org: from.Org, Bucket: from.Bucket}, d.settings.Stream.Run, d.settings.Source+"/", l.emit)
	require.NoError(t, err)
	t.Cleanup(func() { cancel(); <-f.Done() })
	l.Follower = f
	return l
}

// TestRunnersAreFollowed: two runners send what one would, and all they measured
// arrives.
func TestRunnersAreFollowed(t *testing.T) {
	to := servers.InfluxDB(t)
	target, seen := counting(t)
	d := distribute(t, to, target, fmt.Sprintf("run-%d", time.Now().UnixNano()), 2, "3s")
	l := listen(t, d, to)
	var all sync.WaitGroup
	for n := range d.of {
		all.Go(func() {
			said, err := finish(t, d.runner(n+1))
			if err != nil || strings.Contains(said, to.Token) {
				t.Errorf("runner %d: %v: %s", n+1, err, said)
			}
		})
	}
	all.Wait()
	require.NoError(t, l.Sync(t.Context()))

	require.Equal(t, seen.Load(), l.requests())
	require.LessOrEqual(t, seen.Load(), uint64(122), "what one runner would send")
	require.Greater(t, seen.Load(), uint64(40), "k6 leaves out the last ones where this machine stands still")
	runners := l.Runners()
	require.Len(t, runners, 2)
	host, err := os.Hostname()
	require.NoError(t, err)
	for i, r := range runners {
		require.Equal(t, fmt.Sprintf("k6 beta/checkout/candidate/%d", i+1), r.Source)
		require.Equal(t, []string{strconv.Itoa(i + 1), host, []string{"0:1/2", "1/2:1"}[i], ""}, []string{r.Number, r.Host, r.Segment, r.Twice})
		require.True(t, r.Settled())
		require.True(t, r.End.Complete, r.End.Reason)
		require.Zero(t, r.End.Lost)
		require.Equal(t, []uint64{r.End.Windows, r.End.Events}, []uint64{r.Windows, r.Events})
		require.Positive(t, r.Windows)
	}
	require.Len(t, l.events(measure.EventTest), 2)
	for _, e := range l.events(measure.EventRunner) {
		require.Equal(t, "2", e.Attrs["of"])
		require.Equal(t, []string{"beta", "checkout", measure.Candidate}, []string{e.Phase, e.Test, e.Arm})
	}
	left, err := filepath.Glob(filepath.Join(d.dir, "resilience-spool-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestRunnersThatDoNotGetThere: one that is stopped says so, one that is killed
// never ends.
func TestRunnersThatDoNotGetThere(t *testing.T) {
	to := servers.InfluxDB(t)
	target, _ := counting(t)
	d := distribute(t, to, target, fmt.Sprintf("run-%d", time.Now().UnixNano()), 2, "5m")
	l := listen(t, d, to)
	stopped, killed := d.runner(1), d.runner(2)
	for _, c := range []*exec.Cmd{stopped, killed} {
		require.NoError(t, c.Start())
		t.Cleanup(func() { _ = c.Process.Kill() })
	}
	require.Eventually(t, func() bool {
		list := l.Runners()
		return len(list) == 2 && list[0].Windows > 0 && list[1].Windows > 0
	}, 2*time.Minute, 10*time.Millisecond)
	require.NoError(t, killed.Process.Kill())
	require.NoError(t, stopped.Process.Signal(syscall.SIGTERM))
	require.Error(t, killed.Wait())
	require.Error(t, stopped.Wait())
	require.NoError(t, l.Sync(t.Context()))

	one, two := l.Runners()[0], l.Runners()[1]
	require.True(t, one.Settled())
	require.False(t, one.End.Complete)
	require.Contains(t, one.End.Reason, "signal")
	require.False(t, two.Ended)
	require.False(t, two.Settled())
	require.False(t, two.Heard.IsZero())
}

// TestRunnerWithoutInfluxDB sends all the same, and what it measured arrives
// when InfluxDB is back.
func TestRunnerWithoutInfluxDB(t *testing.T) {
	to := servers.InfluxDB(t)
	target, seen := counting(t)
	away := between(t, to, func(write int64) int {
		if write <= 5 {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	d := distribute(t, away, target, fmt.Sprintf("run-%d", time.Now().UnixNano()), 1, "1s")
	said, err := finish(t, d.runner(1))
	require.NoError(t, err, said)
	require.Contains(t, said, "what is measured waits on disk: InfluxDB answers 503")
	l := listen(t, d, to)
	require.Positive(t, seen.Load())
	require.Equal(t, seen.Load(), l.requests())
	require.True(t, l.Runners()[0].Settled())
	require.True(t, l.Runners()[0].End.Complete)
}

// TestRunnerThatLost says how much InfluxDB refused.
func TestRunnerThatLost(t *testing.T) {
	to := servers.InfluxDB(t)
	target, _ := counting(t)
	refusing := between(t, to, func(write int64) int {
		if write == 2 { // the first says that the runner is there
			return http.StatusUnprocessableEntity
		}
		return 0
	})
	d := distribute(t, refusing, target, fmt.Sprintf("run-%d", time.Now().UnixNano()), 1, "3s")
	said, err := finish(t, d.runner(1))
	require.NoError(t, err, said)
	r := listen(t, d, to).Runners()[0]
	require.True(t, r.Settled())
	require.False(t, r.End.Complete)
	require.Positive(t, r.End.Lost)
	require.Equal(t, r.End.Windows+r.End.Events-r.End.Lost, r.Windows+r.Events)
	require.Contains(t, r.End.Reason, "lost (InfluxDB answers 422")
}

package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
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

	"resilience/canary"
	"resilience/internal/store"
)

const canaryTrialPlan = `
name: trial
secrets: {hook: {env: HOOK}}
targets: {web: {url: %q}}
tenants: {file: tenants.csv}
canary:
  target: web
  script: canary.js
  tenants: all
  vus: 5
  transactions:
    order: {every: 1s, timeout: 900ms}
  receivers:
    hook: {webhook: {url: "${secrets.hook}"}}
  alerts:
    orders: {open: [3 in a row], close: 3 in a row, quiet: 1500ms, owner: team, runbook: "https://runbooks.example/orders", to: hook}
`

const canaryTrialScript = `
import http from 'k6/http';

export function order() {
  http.get(__ENV.TARGET_URL + '/order');
}
`

// TestCanaryTrials kills the daemon or its k6 process at random moments, again and
// again, while the target fails and recovers and the receiver of alerts is not
// always there. Every outage is one incident, told once as opened and once as
// closed at least, and no stretch of history is missing but those in which no
// daemon ran. CANARY_TRIALS says how often it is killed; `make canary-trials` does 100.
func TestCanaryTrials(t *testing.T) {
	if testing.Short() {
		t.Skip("this sends real traffic")
	}
	n, seed := numberFrom(t, "CANARY_TRIALS", 4), numberFrom(t, "TRIALS_SEED", 1)
	w := newCanaryWorld(t, rand.New(rand.NewPCG(uint64(seed), 7)))
	for i := 0; w.kills < n; i++ {
		w.outage(i%2 == 0)
	}
	w.settle()
	w.stop()
	w.check()
}

// daemonStarts is for how long nobody may try anything after a kill, while a daemon
// and its k6 start on a busy machine.
const daemonStarts = 30 * time.Second

// canaryWorld is a target, a receiver and a daemon between them.
type canaryWorld struct {
	*testing.T
	random *rand.Rand
	dir    string
	env    []string
	flags  []string
	down   atomic.Bool
	target *httptest.Server
	daemon *exec.Cmd

	kills, killedK6 int
	outages         []time.Time // when each began

	mu      sync.Mutex
	told    map[string]map[string]int // by key of an incident and kind: how often
	refused int
	patient bool // the receiver refuses nothing
}

func newCanaryWorld(t *testing.T, random *rand.Rand) *canaryWorld {
	w := &canaryWorld{T: t, random: random, dir: t.TempDir(), told: map[string]map[string]int{}}
	w.target = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.target.Close)
	hook := httptest.NewServer(http.HandlerFunc(w.hear))
	t.Cleanup(hook.Close)
	tenants := "name,cell\n"
	for i := range 20 {
		tenants += fmt.Sprintf("t%02d,c%d\n", i, i%2)
	}
	w.write("plan.yaml", fmt.Sprintf(canaryTrialPlan, w.target.URL))
	w.write("canary.js", canaryTrialScript)
	w.write("tenants.csv", tenants)
	w.env = append(os.Environ(), "HOOK="+hook.URL+"/secret", "GORACE=atexit_sleep_ms=0")
	w.begin()
	return w
}

func (w *canaryWorld) serve(rw http.ResponseWriter, _ *http.Request) {
	if w.down.Load() {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
}

// hear takes notices, and refuses some.
func (w *canaryWorld) hear(rw http.ResponseWriter, r *http.Request) {
	var n canary.Notice
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		w.Errorf("a notice that is none: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused++; w.refused%3 == 0 && !w.patient {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if w.told[n.Key] == nil {
		w.told[n.Key] = map[string]int{}
	}
	w.told[n.Key][n.Kind]++
}

func (w *canaryWorld) write(name, text string) {
	require.NoError(w, os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600))
}

// begin starts the daemon for the first time. What it said is shown when the test
// fails.
func (w *canaryWorld) begin() {
	w.start()
	w.Cleanup(func() {
		w.kill(w.daemon.Process.Pid)
		if text, err := os.ReadFile(filepath.Join(w.dir, "log")); err == nil && w.Failed() {
			w.Logf("the daemon said:\n%s", text)
		}
	})
}

func (w *canaryWorld) start() {
	w.daemon = exec.Command("resilience", append([]string{"canary", "plan.yaml"}, w.flags...)...)
	w.daemon.Dir, w.daemon.Env = w.dir, w.env
	log, err := os.OpenFile(filepath.Join(w.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(w, err)
	defer log.Close()
	w.daemon.Stdout, w.daemon.Stderr = log, log
	require.NoError(w, w.daemon.Start())
}

func (w *canaryWorld) kill(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }

// outage lets the target fail for a while and be well again; meanwhile the daemon
// or its k6 process is killed.
func (w *canaryWorld) outage(daemon bool) {
	w.await("the incident before is closed", func(all []canary.Incident) bool {
		return len(all) == len(w.outages) && (len(all) == 0 || !all[len(all)-1].Open())
	})
	w.outages = append(w.outages, time.Now())
	w.down.Store(true)
	w.strike(daemon)
	w.await("the outage is found", func(all []canary.Incident) bool { return len(all) == len(w.outages) })
	if w.random.IntN(2) == 0 {
		w.strike(!daemon)
	}
	w.down.Store(false)
	w.strike(daemon)
}

// strike kills something after a moment, if it is there.
func (w *canaryWorld) strike(daemon bool) {
	<-time.After(time.Duration(w.random.IntN(1500)) * time.Millisecond) // the moment is what is tried
	if !daemon {
		for _, pid := range w.children() {
			w.kill(pid)
			w.killedK6++
			w.kills++
		}
		return
	}
	w.kill(w.daemon.Process.Pid)
	_ = w.daemon.Wait()
	w.kills++
	w.start()
}

// children are the processes that the daemon has started.
func (w *canaryWorld) children() (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(w.daemon.Process.Pid) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// await waits until the incidents in the state are as they should be.
func (w *canaryWorld) await(what string, is func([]canary.Incident) bool) {
	var all []canary.Incident
	require.Eventually(w, func() bool {
		all = w.incidents()
		return is(all)
	}, 3*time.Minute, 50*time.Millisecond, "%s; %d outages, %v", what, len(w.outages), &all)
}

// incidents reads them beside the daemon, which has the state open.
func (w *canaryWorld) incidents() (all []canary.Incident) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, canaryDir, "trial.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	require.NoError(w, err)
	defer db.Close()
	rows, err := db.Query("SELECT data FROM documents WHERE name LIKE 'incident/%' ORDER BY name")
	if err != nil {
		return nil // there is no state yet
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		var i canary.Incident
		require.NoError(w, rows.Scan(&text))
		require.NoError(w, json.Unmarshal(text, &i))
		all = append(all, i)
	}
	require.NoError(w, rows.Err())
	return all
}

// settle waits until all is well and everybody was told.
func (w *canaryWorld) settle() {
	w.await("all is closed", func(all []canary.Incident) bool {
		return len(all) == len(w.outages) && !all[len(all)-1].Open()
	})
	require.Eventually(w, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, kinds := range w.told {
			if kinds[canary.Closed] == 0 {
				return false
			}
		}
		return len(w.told) == len(w.outages)
	}, 3*time.Minute, 50*time.Millisecond, "everybody is told")
}

// stop interrupts the daemon, which ends well.
func (w *canaryWorld) stop() {
	require.NoError(w, w.daemon.Process.Signal(syscall.SIGTERM))
	require.NoError(w, w.daemon.Wait())
	require.Empty(w, w.children())
}

func (w *canaryWorld) check() {
	for i, found := range w.incidents() {
		began := time.Unix(0, found.Start).Sub(w.outages[i])
		require.Greater(w, began, -3*time.Second, found.ID)
		require.Less(w, began, daemonStarts, found.ID)
		kinds := w.told["trial/"+found.ID]
		require.GreaterOrEqual(w, kinds[canary.Opened], 1, found.ID)
		require.GreaterOrEqual(w, kinds[canary.Closed], 1, found.ID)
		require.Len(w, kinds, 2, "%s: %v", found.ID, kinds)
	}
	state, err := store.OpenState(filepath.Join(w.dir, canaryDir, "trial.db"), store.Keep{})
	require.NoError(w, err)
	defer state.Close()
	attempts, err := state.Attempts(w.outages[0].UnixNano(), time.Now().UnixNano())
	require.NoError(w, err)
	last, seen := map[string]int64{}, map[[2]string]bool{}
	for _, a := range attempts {
		id := [2]string{a.Series.Tenant, strconv.FormatInt(a.At, 10)}
		require.False(w, seen[id], "an attempt is there twice")
		seen[id] = true
		if before := last[a.Series.Tenant]; before > 0 {
			require.Less(w, time.Duration(a.At-before), daemonStarts, "history of %s at %d", a.Series.Tenant, a.At)
		}
		last[a.Series.Tenant] = a.At
	}
	require.Len(w, last, 20)
	w.Logf("%d kills (%d of k6), %d outages, %d attempts kept", w.kills, w.killedK6, len(w.outages), len(attempts))
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/containers"
	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// shared is what the worlds of all trials have in common.
type shared struct {
	toxiproxy string // the URL of its API
	engines   []*containers.Engine
	turns     []sync.Mutex // of the engines: a container takes them a second to start, and lifting has 5
	disks     bool         // whether disks can be mounted
}

func newShared(t *testing.T) *shared {
	url, end, err := startToxiproxy()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, end()) })
	s := &shared{toxiproxy: url}
	for _, name := range containers.Here(t) {
		s.engines = append(s.engines, containers.Open(t, name))
		t.Logf("containers of %s", name)
	}
	s.turns = make([]sync.Mutex, len(s.engines))
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "none", dir).CombinedOutput(); err != nil {
		t.Logf("without full disks: %v: %s", err, out)
		return s
	}
	s.disks = true
	require.NoError(t, exec.Command("umount", dir).Run())
	return s
}

// possible is the harm that can be done on this machine.
func (s *shared) possible(t *testing.T) []harm {
	return slices.DeleteFunc(slices.Clone(harms), func(h harm) bool { return h.name == "disk" && !s.disks })
}

// world is what a run may harm, outside of it.
type world struct {
	*shared
	name     string
	dir      string
	said     *watched
	on       atomic.Bool // the flag of the API
	api      *httptest.Server
	control  string // of the proxy elsewhere
	proxy    disrupt.Dependency
	victim   *exec.Cmd
	toxicsAt string             // a Toxiproxy server; "" where it is not used
	engine   *containers.Engine // of the containers; nil where there are none
	disk     string             // a folder with a disk of its own; "" where there is none
}

func newWorld(t *testing.T, name string, s *shared) *world {
	w := &world{shared: s, name: name, dir: t.TempDir(), said: &watched{}}
	w.api = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.api.Close)
	w.startProxy(t)
	w.victim = exec.Command("sleep", "600")
	require.NoError(t, w.victim.Start())
	t.Cleanup(func() {
		_ = w.victim.Process.Kill()
		_ = w.victim.Wait()
	})
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "victim.pid"), []byte(strconv.Itoa(w.victim.Process.Pid)), 0o600))
	return w
}

// words replaces those of the disruptions.
func (w *world) words() *strings.Replacer {
	words := []string{"%API%", w.api.URL, "%NAME%", w.name}
	if w.engine != nil {
		words = append(words, "%ENGINE%", "unix://"+w.engine.Socket)
	}
	return strings.NewReplacer(words...)
}

func (w *world) useToxiproxy(*testing.T) { w.toxicsAt = w.toxiproxy }

// noToxics looks at the proxy, which a run makes and may have removed again.
func (w *world) noToxics() error {
	resp, err := http.Get(w.toxicsAt + "/proxies") //nolint:noctx // a server of this test
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var all map[string]struct {
		Enabled bool
		Toxics  []any
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		return err
	}
	if proxy, is := all[w.name]; is && (!proxy.Enabled || len(proxy.Toxics) > 0) {
		return fmt.Errorf("the proxy of the Toxiproxy server is harmed: %+v", proxy)
	}
	return nil
}

// mountDisk mounts a small disk.
func (w *world) mountDisk(t *testing.T) {
	w.disk = filepath.Join(w.dir, "disk")
	require.NoError(t, os.Mkdir(w.disk, 0o700))
	require.NoError(t, exec.Command("mount", "-t", "tmpfs", "-o", "size=16m", "none", w.disk).Run())
	t.Cleanup(func() { require.NoError(t, exec.Command("umount", w.disk).Run()) })
}

func (w *world) diskIsFree() error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(w.disk, &disk); err != nil {
		return err
	}
	if disk.Bfree != disk.Blocks {
		return fmt.Errorf("of %d blocks of the disk only %d are free", disk.Blocks, disk.Bfree)
	}
	return w.noBurden()
}

// noBurden looks for processes that burden the machine for the run.
func (w *world) noBurden() error {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path) // or it has ended
		dir, _ := os.Readlink(filepath.Join(filepath.Dir(path), "cwd"))
		if strings.HasPrefix(dir, w.dir) && bytes.HasSuffix(line, []byte("\x00stress\x00")) {
			return fmt.Errorf("a process burdens this machine: %s", filepath.Dir(path))
		}
	}
	return nil
}

// runContainers runs two, of the engine whose turn it is.
func (w *world) runContainers(t *testing.T) {
	if w.engine != nil {
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(w.name, "trial"))
	require.NoError(t, err)
	n %= len(w.engines)
	w.turns[n].Lock()
	t.Cleanup(w.turns[n].Unlock)
	w.engine = w.engines[n]
	for _, name := range w.containers() {
		w.engine.Run(t, containers.Container{Name: name})
	}
}

func (w *world) containers() []string { return []string{w.name + "-1", w.name + "-2"} }

func (w *world) containersRun() (err error) {
	for _, name := range w.containers() {
		if is, wrong := w.engine.Look(name); wrong != nil || !is.Running || is.Paused {
			err = errors.Join(err, wrong, fmt.Errorf("the container %s of %s is harmed: %+v", name, w.engine.Name, is))
		}
	}
	return err
}

// requireAnswers wants containers not only to be said to run.
func (w *world) requireAnswers(t *testing.T) {
	if w.engine == nil {
		return
	}
	for _, name := range w.containers() {
		require.Eventually(t, func() bool { return w.engine.Answers(t, name) }, time.Minute, 10*time.Millisecond, name)
	}
}

func (w *world) nothing() error { return nil }

// serve is an API of feature flags.
func (w *world) serve(out http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/on":
		fmt.Fprintln(out, "hello")
	case r.Method == http.MethodGet:
		if !w.on.Load() {
			http.NotFound(out, r)
		}
	case r.Header.Get("X-Key") != "a-key-that-nobody-may-see":
		http.Error(out, "who are you?", http.StatusUnauthorized)
	default:
		w.on.Store(r.Method == http.MethodPut)
	}
}

// startProxy starts what `resilience proxy` does, outside of the run.
func (w *world) startProxy(t *testing.T) {
	proxy, err := disrupt.NewDependency(t.Context(), "elsewhere", plan.Dependency{Upstream: w.api.URL, Protocol: "http"}, "", w.dir, func(measure.Batch) error { return nil })
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	control := disrupt.NewControl(map[string]disrupt.Dependency{"elsewhere": proxy}, "a-key-that-nobody-may-see", 5*time.Second)
	go func() { _ = control.Serve(listener) }() // until it is closed
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = control.Close(ctx)
		_ = proxy.Close()
	})
	w.proxy, w.control = proxy, "http://"+listener.Addr().String()
}

func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.Command("resilience", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "GITHUB_STEP_SUMMARY=", "GITHUB_OUTPUT=", "TRIAL_KEY=a-key-that-nobody-may-see")
	return cmd
}

func (w *world) noMarker() error     { return w.absent("marker") }
func (w *world) noSlowMarker() error { return w.absent("slowly") }

func (w *world) absent(name string) error {
	if _, err := os.Stat(filepath.Join(w.dir, name)); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the file %s is there", name)
	}
	return nil
}

func (w *world) flagOff() error {
	if w.on.Load() {
		return errors.New("the flag is on")
	}
	return nil
}

func (w *world) victimRuns() error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.victim.Process.Pid))
	if err != nil || bytes.Contains(stat, []byte(") T ")) {
		return fmt.Errorf("the victim stands still: %s", stat)
	}
	return nil
}

func (w *world) proxyIsFast() error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(w.proxy.URL() + "/")
	if err != nil {
		return fmt.Errorf("the proxy elsewhere: %w", err)
	}
	return resp.Body.Close()
}

// processes are those that run in the folder of the trial.
func (w *world) processes(t *testing.T) (pids []int) {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, link := range folders {
		if dir, err := os.Readlink(link); err == nil && strings.HasPrefix(dir, w.dir) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return alive(pids)
}

func (w *world) watchdogSaid() string {
	paths, _ := filepath.Glob(filepath.Join(w.dir, runsDir, "*.logs", "watchdog.log"))
	var said strings.Builder
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		said.Write(text)
	}
	return said.String()
}

// nowhere wants a secret to be in no file that the run wrote, and not in what
// it said.
func (w *world) nowhere(t *testing.T, secret string) {
	t.Helper()
	require.NotContains(t, w.said.String(), secret)
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		require.NotContains(t, string(text), secret, path)
		return err
	}))
}

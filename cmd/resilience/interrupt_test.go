package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/report"
	"resilience/internal/store"
)

// The plan of these tests lasts longer than they do. Its service leaves a
// process of its own behind, unless that is stopped with it.
const longPlan = `
name: long
services:
  upstream: {command: exec testserver, ready: /ready}
  web: {command: "sleep 600 & exec testserver", ready: /ready}
targets:
  web: {url: "${services.web.url}"}
dependencies:
  upstream: {upstream: "${services.upstream.url}"}
phases:
  - name: beta
    candidate: web
    after: echo > cleaned
    tests:
      - {name: browse, load: {script: browse.js, rate: 20/s, duration: 60s}}
      - {name: requests, load: {rate: 20/s, duration: 60s, requests: [{path: /through}]}}
    disruptions:
      - {name: slow, dependency: upstream, at: 1s, for: 50s, latency: {delay: 60s}}
    gates: [availability >= 99%, availability >= 99% during slow]
`

const browse = "import http from 'k6/http';\nexport default function () { http.get(`${__ENV.TARGET_URL}/`); }\n"

// program is a run of longPlan.
type program struct {
	*exec.Cmd
	dir  string
	said *watched

	ended chan struct{}
}

func startLongRun(t *testing.T, plan string) *program {
	t.Helper()
	if testing.Short() {
		t.Skip("this sends real traffic")
	}
	p := &program{dir: t.TempDir(), said: &watched{}, ended: make(chan struct{})}
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "plan.yaml"), []byte(plan), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "browse.js"), []byte(browse), 0o600))
	p.Cmd = exec.Command("resilience", "run", "plan.yaml", "--phase", "beta", "--out", "out")
	p.Dir, p.Stdout, p.Stderr = p.dir, p.said, p.said
	p.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "GITHUB_STEP_SUMMARY=", "GITHUB_OUTPUT=")
	require.NoError(t, p.Start())
	go func() {
		_ = p.Wait() // its state is looked at
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
	})
	return p
}

// until waits for a line of the live view.
func (p *program) until(t *testing.T, line string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.said.String(), line) }, 2*time.Minute, 20*time.Millisecond, "%q in:\n%s", line, p.said)
}

// code waits for the end.
func (p *program) code(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		require.Fail(t, "it does not end", p.said.String())
	}
	return p.ProcessState.ExitCode()
}

// report reads what it left in --out.
func (p *program) report(t *testing.T) (doc report.Document) {
	t.Helper()
	for _, file := range []string{"verdict.txt", "junit.xml", "report.md", "github.txt"} {
		require.FileExists(t, filepath.Join(p.dir, "out", file))
	}
	text, err := os.ReadFile(filepath.Join(p.dir, "out", "report.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &doc))
	return doc
}

// events reads the record.
func (p *program) events(t *testing.T) []measure.Event {
	t.Helper()
	db, err := store.Open(filepath.Join(p.dir, "out", "record.db"))
	require.NoError(t, err)
	defer db.Close()
	rec, err := db.Record("beta")
	require.NoError(t, err)
	return rec.Events
}

func find(events []measure.Event, kind, name string) *measure.Event {
	for i := range events {
		if events[i].Kind == kind && events[i].Name == name {
			return &events[i]
		}
	}
	return nil
}

func TestAnInterruptLiftsStopsAndReports(t *testing.T) {
	for name, interrupt := range map[string]func(*testing.T, *program){
		"Ctrl-C":  func(t *testing.T, p *program) { require.NoError(t, p.Process.Signal(os.Interrupt)) },
		"SIGTERM": func(t *testing.T, p *program) { require.NoError(t, p.Process.Signal(syscall.SIGTERM)) },
		"twice": func(t *testing.T, p *program) {
			require.NoError(t, p.Process.Signal(os.Interrupt))
			p.until(t, "slow lifted")
			_ = p.Process.Signal(os.Interrupt) // it may have ended already
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := startLongRun(t, longPlan)
			p.until(t, "slow in effect")
			family := descendants(t, p.Process.Pid)
			require.GreaterOrEqual(t, len(family), 4, "two services, one with a child, and k6")
			interrupt(t, p)
			require.Equal(t, gates.ExitInterrupted, p.code(t), p.said)

			require.Eventually(t, func() bool { return len(alive(family)) == 0 }, time.Minute, 10*time.Millisecond, "some of %v are left", family)
			if name != "twice" { // then nobody waits for it
				require.FileExists(t, filepath.Join(p.dir, "cleaned"))
			}
			doc := p.report(t)
			require.Equal(t, gates.ExitInterrupted, doc.ExitCode)
			require.NotEqual(t, gates.Pass, doc.Outcome)
			require.Contains(t, doc.Reason, "interrupted")
			events := p.events(t)
			lifted := find(events, measure.EventLifted, "slow")
			require.NotNil(t, lifted)
			require.Empty(t, lifted.Attrs["error"])
			require.Equal(t, "stopped", last(events, "web").Attrs["state"])
		})
	}
}

// A pipeline may close the other end of the output: the run must go on, or its
// faults would outlive it.
func TestNobodyReadsTheOutput(t *testing.T) {
	if testing.Short() {
		t.Skip("this sends real traffic")
	}
	dir := t.TempDir()
	quick := strings.NewReplacer("duration: 60s", "duration: 4s, grace: 1s", "at: 1s, for: 50s", "at: 1s, for: 2s").Replace(longPlan)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte(quick), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "browse.js"), []byte(browse), 0o600))
	read, write, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, read.Close())
	cmd := exec.Command("resilience", "run", "plan.yaml", "--phase", "beta", "--out", "out")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, write, write
	_ = cmd.Run() // it says that it could not print
	require.NoError(t, write.Close())
	require.Positive(t, cmd.ProcessState.ExitCode(), "killed by a signal: %s", cmd.ProcessState)
	require.FileExists(t, filepath.Join(dir, "cleaned"))
	require.FileExists(t, filepath.Join(dir, "out", "report.json"))
}

func TestKilledK6IsTheGenerators(t *testing.T) {
	onlyK6 := regexp.MustCompile(`(?m)^.*name: requests.*$`).ReplaceAllString(longPlan, "")
	p := startLongRun(t, onlyK6)
	p.until(t, "slow in effect")
	require.NoError(t, syscall.Kill(k6Of(t, p.Process.Pid), syscall.SIGKILL))
	require.Equal(t, gates.ExitGenerator, p.code(t), p.said)
	require.Contains(t, p.report(t).Reason, "killed")
}

func last(events []measure.Event, service string) (e measure.Event) {
	for _, one := range events {
		if one.Kind == measure.EventService && one.Name == service {
			e = one
		}
	}
	return e
}

// descendants are the ids of the processes that a process started, and those
// that they started.
func descendants(t *testing.T, pid int) (all []int) {
	t.Helper()
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	require.NoError(t, err)
	for _, path := range children {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(field)
			require.NoError(t, err)
			all = append(append(all, child), descendants(t, child)...)
		}
	}
	return all
}

// k6Of finds the child that is k6.
func k6Of(t *testing.T, pid int) int {
	t.Helper()
	for _, child := range descendants(t, pid) {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)); err == nil && bytes.Contains(line, []byte("\x00k6\x00run\x00")) {
			return child
		}
	}
	require.Fail(t, "k6 does not run")
	return 0
}

// alive are those of the processes that have not ended. One that waits to be
// reaped, by an init that may not be there, has.
func alive(pids []int) (left []int) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !bytes.Contains(stat, []byte(") Z ")) && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			left = append(left, pid)
		}
	}
	return left
}

// watched keeps what is written to it, for others to read meanwhile.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

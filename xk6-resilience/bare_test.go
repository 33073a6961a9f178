package xk6resilience_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// xk6Main is the program that `xk6 build --with resilience=.` writes.
const xk6Main = `package main

import (
	k6cmd "go.k6.io/k6/v2/cmd"

	_ "resilience"
)

func main() { k6cmd.Execute() }
`

const bareScript = `
import http from 'k6/http';
import { transaction } from 'k6/x/resilience';
export const options = { vus: 1, iterations: 4, thresholds: {
  transaction_duration: ['max>=0'], transaction_accepted: ['rate==0.5'], transaction_completed: ['rate==1'],
} };
export default function () {
  transaction('good', (tx) => { http.get(__ENV.TARGET_URL + '/ok'); tx.completed(); });
  transaction('bad', () => http.get(__ENV.TARGET_URL + '/503'));
}
`

// buildK6 builds a k6 as xk6 does: a module of its own that replaces this one
// by its folder, with the versions that this one asks for.
func buildK6(t *testing.T) (binary string) {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	dir := t.TempDir()
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	_, requires, found := strings.Cut(string(mod), "\nrequire")
	require.True(t, found)
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("main.go", xk6Main)
	write("go.sum", string(sum))
	write("go.mod", "module k6\n\ngo 1.26.0\n\nrequire resilience v0.0.0\n\nreplace resilience => "+root+"\n\nrequire"+requires)
	binary = filepath.Join(dir, "k6")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir, build.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return binary
}

func TestBuiltByXK6(t *testing.T) {
	if testing.Short() {
		t.Skip("links a k6")
	}
	binary := buildK6(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/503" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "script.js"), []byte(bareScript), 0o600))
	k6 := func(args ...string) string {
		cmd := exec.Command(binary, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "K6_NO_USAGE_REPORT=true", "K6_AUTO_EXTENSION_RESOLUTION=false", "TARGET_URL="+server.URL)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	version := k6("version")
	require.Contains(t, version, "k6/x/resilience")

	// Its thresholds hold: transactions are metrics of k6.
	require.Contains(t, k6("run", "script.js"), "transaction_completed")

	k6("run", "--no-thresholds", "--out", "resilience=windows.jsonl", "script.js")
	file, err := os.Open(filepath.Join(dir, "windows.jsonl"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	counts, failed := map[string]uint64{}, map[string]uint64{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var batch measure.Batch
		require.NoError(t, json.Unmarshal(lines.Bytes(), &batch))
		for _, w := range batch.Windows {
			counts[w.Series.Metric+w.Series.Transaction] += w.Count
			failed[w.Series.Metric+w.Series.Transaction] += w.Failed
		}
	}
	for _, name := range []string{"transactiongood", "transactionbad", "requestgood", "requestbad", "outcomegood"} {
		require.EqualValues(t, 4, counts[name], name)
	}
	require.EqualValues(t, 4, failed["transactionbad"])
	require.Zero(t, failed["transactiongood"])
}

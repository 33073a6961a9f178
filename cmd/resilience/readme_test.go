package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// block gives the code block of the README that follows a mark in a comment.
func block(t *testing.T, mark string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "<!-- "+mark+" -->\n```")
	require.True(t, found, "the README has no block %q", mark)
	_, after, _ = strings.Cut(after, "\n")
	content, _, found := strings.Cut(after, "```\n")
	require.True(t, found)
	return content
}

func TestReadmePlanIsValid(t *testing.T) {
	text, complaint := block(t, "plan"), block(t, "validate")
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("plan.yaml", []byte(text), 0o600))
	_, err := plan.Load("plan.yaml", plan.Options{Getenv: func(string) (string, bool) { return "", false }})
	require.NoError(t, err)

	misspelt := strings.Replace(text, "warmup:", "warmpu:", 1)
	require.NoError(t, os.WriteFile("plan.yaml", []byte(misspelt), 0o600))
	_, err = plan.Load("plan.yaml", plan.Options{})
	require.EqualError(t, err, strings.TrimSuffix(complaint, "\n"))
}

// TestReadmeDemo runs the demo as the README shows it, whole and without its
// timeout, both at the same time, and compares what they print with the README
// but for the numbers.
func TestReadmeDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo takes 45 seconds")
	}
	program := filepath.Join(t.TempDir(), "resilience")
	// Not this test binary: with the race detector the shop would be slow.
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var demos sync.RWMutex
	for _, tc := range []struct {
		mark string
		args []string
		code int
	}{
		{"demo", nil, 0},
		{"demo no-timeout", []string{"--defect", "no-timeout"}, 99},
	} {
		t.Run(tc.mark, func(t *testing.T) {
			t.Parallel()
			want := shape(block(t, tc.mark))
			var machine sync.Locker = demos.RLocker()
			for try := 1; ; try++ {
				machine.Lock()
				cmd := exec.CommandContext(t.Context(), program, append([]string{"demo", "--quiet"}, tc.args...)...)
				cmd.Dir = t.TempDir()
				got, err := cmd.Output()
				machine.Unlock()
				machine = &demos // from now on alone
				if try < demoTries && (cmd.ProcessState.ExitCode() != tc.code || !slices.Equal(want, shape(string(got)))) {
					t.Logf("this may be the machine: %v\n%s", err, got)
					continue
				}
				require.Equal(t, tc.code, cmd.ProcessState.ExitCode(), "%v\n%s", err, got)
				require.Equal(t, want, shape(string(got)), "%s", got)
				return
			}
		})
	}
}

// demoTries is how often the demo may be run to come out as it should: its gates
// are for a machine that does not stand still for a second, as those do that others
// use. What is wrong with the demo is wrong each time.
const demoTries = 5

var (
	numbers = regexp.MustCompile(`[0-9]+([.,:][0-9]+)*`)
	units   = regexp.MustCompile(`\b(ms|s)\b`)
	ids     = regexp.MustCompile(`NTNZ-[0-9a-zN]+`)
	verdict = regexp.MustCompile(`^(PASS|FAIL) |^  [✓✗?] |^    (gate|disruption|traffic) |^  (record|again) |^  Exit code`)
)

// shape is what stays the same from run to run: the headline, the heads of
// tables, and the mark and first words of every row in them.
func shape(text string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if !verdict.MatchString(line) {
			continue
		}
		line = units.ReplaceAllString(ids.ReplaceAllString(numbers.ReplaceAllString(line, "N"), "ID"), "T")
		words := strings.Fields(line)
		if strings.HasPrefix(line, "  ✓") || strings.HasPrefix(line, "  ✗") || strings.HasPrefix(line, "  ?") {
			words = words[:min(len(words), 4)] // what follows is broken as the numbers are wide
		}
		out = append(out, strings.Join(words, " "))
	}
	return unexplained(out)
}

// unexplained leaves out the explanations below the table of gates: a gate
// that holds with a warning today may hold without one tomorrow.
func unexplained(lines []string) []string {
	var out []string
	rows := false
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "gate "), strings.HasPrefix(line, "disruption "):
			rows = true
		case strings.HasPrefix(line, "traffic "):
			rows = false
		}
		if !rows || !contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

func contains(lines []string, line string) bool {
	for _, l := range lines {
		if l == line {
			return true
		}
	}
	return false
}

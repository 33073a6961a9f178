package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
)

func githubFiles(t *testing.T) (env func(string) string, summary, output string) {
	dir := t.TempDir()
	summary, output = filepath.Join(dir, "summary"), filepath.Join(dir, "output")
	files := map[string]string{"GITHUB_STEP_SUMMARY": summary, "GITHUB_OUTPUT": output}
	return func(name string) string { return files[name] }, summary, output
}

func TestGitHubAppendsAndStaysBelowItsLimit(t *testing.T) {
	env, summary, _ := githubFiles(t)
	earlier := strings.Repeat("x", githubSummary-5_000) + "\n"
	require.NoError(t, os.WriteFile(summary, []byte(earlier), 0o644))
	require.NoError(t, Write(&bytes.Buffer{}, "github", hugeDocument(), Options{Env: env}))
	content, err := os.ReadFile(summary)
	require.NoError(t, err)
	require.LessOrEqual(t, len(content), githubSummary)
	added := strings.TrimPrefix(string(content), earlier)
	require.Contains(t, added, "## ❌ fail")
	require.Contains(t, added, "This summary was cut")
	require.Equal(t, strings.Count(added, "<details>"), strings.Count(added, "</details>"))
}

func TestCutMarkdown(t *testing.T) {
	page := "head\n<details><summary>x</summary>\n" + strings.Repeat("| ä |\n", 100) + "</details>\n"
	require.Equal(t, page, cutMarkdown(page, len(page)))
	require.Empty(t, cutMarkdown(page, 20))
	for limit := 150; limit < len(page); limit++ {
		cut := cutMarkdown(page, limit)
		require.LessOrEqual(t, len(cut), limit)
		require.Contains(t, cut, "was cut")
		require.Equal(t, strings.Count(cut, "<details>"), strings.Count(cut, "</details>"))
	}
}

func TestGitHubAnnotatesAtMostTenOfAKind(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Write(&b, "github", hugeDocument(), Options{}))
	require.Equal(t, 10, strings.Count(b.String(), "::error "))
	require.Contains(t, b.String(), "::error title=more::and 118 more; see the step summary\n")
}

// TestGitHubOutputsCanNotBeForged reads the outputs as the runner does.
func TestGitHubOutputsCanNotBeForged(t *testing.T) {
	v := failing()
	v.Reason = "no\nEND\nexit-code<<END\n0\nEND\nEND_1\n\xff"
	env, _, output := githubFiles(t)
	require.NoError(t, Write(&bytes.Buffer{}, "github", NewDocument(testRun(), []gates.Verdict{v}, nil, gates.ExitSystem), Options{Env: env}))
	content, err := os.ReadFile(output)
	require.NoError(t, err)
	got := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	for len(lines) > 0 {
		name, end, ok := strings.Cut(lines[0], "<<")
		require.True(t, ok, lines[0])
		n := 1
		for lines[n] != end {
			n++
		}
		require.NotContains(t, got, name)
		got[name] = strings.Join(lines[1:n], "\n")
		lines = lines[n+1:]
	}
	require.Equal(t, map[string]string{
		"outcome": "fail", "cause": "system", "exit-code": "99", "record": "",
		"reason": strings.ToValidUTF8(v.Reason, "\uFFFD"),
	}, got)
}

func TestGitHubReportsFilesItCanNotWrite(t *testing.T) {
	var b bytes.Buffer
	missing := filepath.Join(t.TempDir(), "no", "such")
	err := Write(&b, "github", testDocuments()["pass"], Options{Env: func(name string) string { return fmt.Sprint(missing, name) }})
	require.ErrorContains(t, err, "GITHUB_STEP_SUMMARY")
	require.ErrorContains(t, err, "GITHUB_OUTPUT")
	require.True(t, strings.HasPrefix(b.String(), "::notice title=pass%3A shop"), "annotations are written all the same")
}

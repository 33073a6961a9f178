package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// render gives all that a format says, also in the files of GitHub's step.
func render(t *testing.T, format string, doc Document) string {
	t.Helper()
	dir := t.TempDir()
	env := map[string]string{"GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary"), "GITHUB_OUTPUT": filepath.Join(dir, "output")}
	var b bytes.Buffer
	require.NoError(t, Write(&b, format, doc, Options{Env: func(name string) string { return env[name] }}))
	for _, name := range []string{"summary", "output"} {
		if content, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			fmt.Fprintf(&b, "--- %s ---\n%s", name, content)
		}
	}
	return b.String()
}

// plain undoes what a format does to a text, so that texts can be looked for.
func plain(format, content string) string {
	switch format {
	case "json":
		return content
	case "github":
		content = strings.NewReplacer("%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%").Replace(content)
	}
	return strings.ReplaceAll(html.UnescapeString(content), "<!-- -->", "")
}

func expected(format, text string) string {
	if format == "json" {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(text)
		return strings.TrimSpace(b.String())
	}
	return printable(text)
}

// TestContract is what every format must keep, on every document.
func TestContract(t *testing.T) {
	for _, format := range Names() {
		for name, doc := range testDocuments() {
			t.Run(format+"/"+name, func(t *testing.T) {
				content := render(t, format, doc)
				require.Equal(t, content, render(t, format, doc), "the same document, the same bytes")
				require.Contains(t, strings.ToLower(content), doc.Outcome.String())
				require.Regexp(t, fmt.Sprintf(`\b%d\b`, doc.ExitCode), content, "the exit code")
				if format != "json" { // which says everything
					require.Less(t, len(content), 20<<20)
				}
				if format == "text" { // wide enough to hold every gate on one line
					var b bytes.Buffer
					require.NoError(t, Write(&b, format, doc, Options{Width: 10_000}))
					content = b.String()
				}
				seen := plain(format, content)
				for _, v := range doc.Phases {
					for _, c := range v.Checks {
						if format == "json" {
							require.Contains(t, seen, expected(format, c.Text))
							continue
						}
						require.Contains(t, seen, expected(format, rule(c)))
						if format != "junit" { // there the period stands in the sentence
							require.Contains(t, seen, expected(format, c.Period))
						}
					}
				}
			})
		}
	}
}

// TestNothingHarmful looks at the bytes of the formats that people and CI
// systems read as they are.
func TestNothingHarmful(t *testing.T) {
	doc := hostileDocument(hostile)
	invisible := regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u202A-\u202E\u2028]")
	for _, format := range []string{"text", "markdown", "github", "junit"} {
		content := render(t, format, doc)
		if format == "github" { // the outputs are for programs, and keep what they can
			content, _, _ = strings.Cut(content, "--- output ---")
		}
		require.NotRegexp(t, invisible, content, format)
		require.True(t, utf8.ValidString(content), format)
		if format == "markdown" || format == "junit" {
			require.NotContains(t, content, "<script>")
		}
		require.NotContains(t, content, "##[", format+" holds no command")
		for line := range strings.Lines(content) {
			if strings.HasPrefix(strings.TrimSpace(line), "::") {
				require.Equal(t, "github", format, line)
				require.Regexp(t, `^::(error|warning|notice) title=[^:]*::`, line)
			}
		}
	}
}

func TestGolden(t *testing.T) {
	documents := testDocuments()
	for _, format := range Names() {
		for _, name := range []string{"pass", "fail"} {
			golden(t, format+"-"+name, render(t, format, documents[name]))
		}
	}
	for _, format := range Names() {
		golden(t, format+"-modes", render(t, format, documents["modes"]))
	}
	for _, format := range Names() {
		golden(t, format+"-shadow", render(t, format, documents["shadow"]))
	}
	for _, format := range []string{"text", "markdown", "json", "junit"} {
		golden(t, format+"-objectives", render(t, format, documents["objectives"]))
	}
	golden(t, "text-no-counts", render(t, "text", documents["no counts"]))
	golden(t, "text-phases", render(t, "text", documents["phases"]))
	var narrow, coloured bytes.Buffer
	require.NoError(t, Write(&narrow, "text", documents["fail"], Options{Width: 80}))
	require.NoError(t, Write(&coloured, "text", documents["fail"], Options{Width: 120, Color: true}))
	golden(t, "text-narrow", narrow.String())
	golden(t, "text-colour", coloured.String())
}

// golden compares with a file below testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "%s; go test -update writes it anew", path)
}

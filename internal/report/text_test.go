package report

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

func textOf(t *testing.T, doc Document, options Options) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, "text", doc, options))
	return b.String()
}

// TestTextFitsThePage looks at every line of every document: none is wider
// than the page, also on a narrow one.
func TestTextFitsThePage(t *testing.T) {
	for name, doc := range testDocuments() {
		for _, width := range []int{80, 100, 140} {
			for line := range strings.Lines(textOf(t, doc, Options{Width: width})) {
				line = strings.TrimSuffix(line, "\n")
				most := width
				if name == "hostile" {
					most += 2 // lines are broken by characters, and two of its are wide
				}
				require.LessOrEqual(t, utf8.RuneCountInString(line), most, "%s at %d: %s", name, width, line)
			}
		}
	}
}

func TestTextOfAPassIsOneScreen(t *testing.T) {
	for _, width := range []int{80, 100} {
		got := textOf(t, testDocuments()["pass"], Options{Width: width})
		require.LessOrEqual(t, strings.Count(got, "\n"), 24, got)
		require.NotContains(t, got, "examples of failures")
	}
}

func TestTextHasColoursOnlyWhenAsked(t *testing.T) {
	doc := testDocuments()["fail"]
	coloured := textOf(t, doc, Options{Color: true})
	require.Contains(t, coloured, "\x1b[31;1mFAIL")
	require.NotContains(t, textOf(t, doc, Options{}), "\x1b")
	require.Equal(t, textOf(t, doc, Options{}), text.StripEscape(coloured))
}

// each has every example on its own.
func each(examples []measure.Example) []failure {
	var failures []failure
	for _, e := range examples {
		failures = append(failures, failure{e, 1})
	}
	return failures
}

func TestVariedShowsEveryKind(t *testing.T) {
	var kinds []string
	for _, e := range varied(each(testExamples()), 2, 5) {
		kinds = append(kinds, e.Kind)
	}
	require.Equal(t, []string{"status 503", "timeout"}, kinds)
	require.Len(t, varied(each(testExamples()), 10, 1), 2)
	require.Len(t, varied(each(testExamples()), 10, 5), 3)
}

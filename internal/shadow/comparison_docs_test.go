package shadow

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tableAfter gives the rows of the table after a mark in a page.
func tableAfter(t *testing.T, page, mark string) (rows [][]string) {
	t.Helper()
	_, after, found := strings.Cut(page, "<!-- "+mark+" -->\n")
	require.True(t, found)
	for i, line := range strings.Split(after, "\n") {
		if !strings.HasPrefix(line, "|") {
			return rows
		}
		if i >= 2 { // after the head
			rows = append(rows, strings.Split(strings.Trim(line, "| "), " | "))
		}
	}
	return rows
}

// TestPageOfComparison compares each example of the page, and reads its lists.
func TestPageOfComparison(t *testing.T) {
	text, err := os.ReadFile("../../docs/comparison.md")
	require.NoError(t, err)
	page := string(text)
	c := newComparer(t, Rules{})
	for _, row := range tableAfter(t, page, "compared") {
		require.Len(t, row, 3, row)
		a, b := strings.Trim(row[0], "`"), strings.Trim(row[1], "`")
		said := []string{}
		for _, d := range c.Compare("GET /", answered(200, a), answered(200, b)) {
			said = append(said, string(d.Kind)+" "+d.Place)
		}
		if len(said) == 0 {
			said = []string{"none"}
		}
		require.Equal(t, row[2], strings.Join(said, ", "), "%s and %s", a, b)
	}
	listed := map[string]string{}
	for _, row := range tableAfter(t, page, "headers") {
		listed[row[0]] = row[1]
	}
	require.Equal(t, IgnoredHeaders(), listed)
	for _, name := range slices.Concat(keyNames, []string{"`format`"}) {
		require.Contains(t, page, name)
	}
	for _, kind := range kinds {
		require.Contains(t, page, "`"+string(kind)+"`")
	}
	for _, class := range classes {
		require.Contains(t, page, "| "+string(class)+" |")
	}
}

package report

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteAllWritesEveryFormat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, WriteAll(dir, testDocuments()["fail"]))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{"github.txt", "junit.xml", "report.json", "report.md", "verdict.txt"}, names)
}

func TestWriteAllGoesOnAfterAFailure(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "junit.xml"), 0o755)) // a file can not take its place
	require.NoError(t, os.WriteFile(filepath.Join(dir, "report.json"), []byte("old"), 0o644))
	require.ErrorContains(t, WriteAll(dir, testDocuments()["pass"]), "junit.xml")

	content, err := os.ReadFile(filepath.Join(dir, "report.json"))
	require.NoError(t, err)
	require.NotEqual(t, "old", string(content))
	require.FileExists(t, filepath.Join(dir, "verdict.txt"))
	left, err := filepath.Glob(filepath.Join(dir, ".report-*"))
	require.NoError(t, err)
	require.Empty(t, left, "temporary files are removed")
}

func TestWriteRefusesUnknownFormats(t *testing.T) {
	err := Write(io.Discard, "pdf", Document{}, Options{})
	require.EqualError(t, err, `there is no report format "pdf"; use one of github, json, junit, markdown, text`)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteReportsErrors(t *testing.T) {
	for _, format := range Names() {
		require.ErrorContains(t, Write(broken{}, format, testDocuments()["fail"], Options{}), "disk full", format)
	}
}

func TestOptionsForAFile(t *testing.T) {
	options := OptionsFor(io.Discard, func(string) string { return "x" })
	require.False(t, options.Color)
	require.Equal(t, defaultWidth, options.width())
	require.Equal(t, "x", options.env("ANY"))
	require.Equal(t, leastWidth, Options{Width: 3}.width())
}

package main

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"resilience/dashboards"
	"resilience/fixtures/boards"
)

// TestFilesAreCurrent wants the committed boards to be what this command writes.
func TestFilesAreCurrent(t *testing.T) {
	names, err := fs.Glob(dashboards.Files(), "*")
	require.NoError(t, err)
	require.Len(t, names, len(all), "a file that no board writes")
	for name, made := range all {
		want, err := made().json()
		require.NoError(t, err)
		got, err := fs.ReadFile(dashboards.Files(), name)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s is not current: go generate ./dashboards", name)
	}
}

// readBoards reads all boards as they are written now.
func readBoards(t *testing.T) map[string]boards.Board {
	t.Helper()
	files := fstest.MapFS{}
	for name, made := range all {
		data, err := made().json()
		require.NoError(t, err)
		files[name] = &fstest.MapFile{Data: data}
	}
	read, err := boards.Read(files)
	require.NoError(t, err)
	return read
}

// allQueries are those of panels, variables and annotations.
func allQueries(t *testing.T) []boards.Query {
	t.Helper()
	var list []boards.Query
	for _, b := range readBoards(t) {
		list = append(list, b.Queries()...)
	}
	require.Greater(t, len(list), 50)
	return list
}

// TestBoardsAreReadable wants a description on each panel, and panels that
// neither overlap nor leave the board.
func TestBoardsAreReadable(t *testing.T) {
	uids := map[string]bool{}
	for name, b := range readBoards(t) {
		require.NotEmpty(t, b.Title, name)
		require.False(t, uids[b.UID], "%s: the uid %s is that of another board", name, b.UID)
		uids[b.UID] = true
		taken := map[[2]int]string{}
		for _, p := range b.Panels {
			require.NotEmpty(t, p.Description, "%s: %s", name, p.Title)
			require.NotEmpty(t, p.Targets, "%s: %s", name, p.Title)
			g := p.GridPos
			require.LessOrEqual(t, g.X+g.W, columns, "%s: %s", name, p.Title)
			if p.Closed { // it moves what is below when it is opened
				continue
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					require.Empty(t, taken[[2]int{x, y}], "%s: %s lies on another panel", name, p.Title)
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

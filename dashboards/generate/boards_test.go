package main

import (
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/dashboards"
)

// TestFilesAreCurrent wants the committed boards to be what this command writes.
func TestFilesAreCurrent(t *testing.T) {
	names, err := fs.Glob(dashboards.Files(), "*")
	require.NoError(t, err)
	require.Len(t, names, len(boards), "a file that no board writes")
	for name, made := range boards {
		want, err := made().json()
		require.NoError(t, err)
		got, err := fs.ReadFile(dashboards.Files(), name)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s is not current: go generate ./dashboards", name)
	}
}

// parsed is what tests look at in a board.
type parsed struct {
	UID    string
	Title  string
	Panels []struct {
		Type, Title, Description string
		GridPos                  struct{ X, Y, W, H int }
		Targets                  []struct{ Query, ResultFormat string }
	}
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
	Annotations struct {
		List []struct{ Name, Query string }
	}
}

func readBoards(t *testing.T) map[string]parsed {
	t.Helper()
	all := map[string]parsed{}
	for name, made := range boards {
		data, err := made().json()
		require.NoError(t, err)
		var b parsed
		require.NoError(t, json.Unmarshal(data, &b))
		all[name] = b
	}
	return all
}

// asked is a query and where it stands.
type asked struct{ where, text string }

// allQueries are those of panels, variables and annotations.
func allQueries(t *testing.T) []asked {
	t.Helper()
	var list []asked
	for name, b := range readBoards(t) {
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				list = append(list, asked{name + ", panel " + p.Title, q.Query})
			}
		}
		for _, v := range b.Templating.List {
			if v.Type == "query" {
				list = append(list, asked{name + ", variable " + v.Name, v.Query})
			}
		}
		for _, a := range b.Annotations.List {
			list = append(list, asked{name + ", annotation " + a.Name, a.Query})
		}
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
			if p.Type != "row" {
				require.NotEmpty(t, p.Description, "%s: %s", name, p.Title)
				require.NotEmpty(t, p.Targets, "%s: %s", name, p.Title)
			}
			g := p.GridPos
			require.LessOrEqual(t, g.X+g.W, columns, "%s: %s", name, p.Title)
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					require.Empty(t, taken[[2]int{x, y}], "%s: %s lies on another panel", name, p.Title)
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	conduct "resilience/internal/run"
)

// goingRuns makes sockets of runs that go on, and the file of one that was
// killed, in a folder of their own.
func goingRuns(t *testing.T, ids ...string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ack") // a socket wants a short path
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Chdir(dir)
	require.NoError(t, os.MkdirAll(runsDir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(runsDir, "20250101T000000Z-dead"+socketExtension), nil, 0o600))
	for _, id := range ids {
		l, err := net.Listen("unix", filepath.Join(runsDir, id+socketExtension))
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
	}
}

func TestWhatToAck(t *testing.T) {
	one, two := "20260102T150405Z-aaaa", "20260102T160405Z-bbbb"
	for name, tc := range map[string]struct {
		going, args []string
		run, what   string
		problem     string
	}{
		"the one that goes on":           {[]string{one}, nil, one, "", ""},
		"a disruption in it":             {[]string{one}, []string{"slow"}, one, "slow", ""},
		"a run by prefix":                {[]string{one, two}, []string{"20260102T16"}, two, "", ""},
		"a run and an alert":             {[]string{one, two}, []string{one, "HighErrors"}, one, "HighErrors", ""},
		"the last":                       {[]string{one, two}, []string{"last", "slow"}, two, "slow", ""},
		"none goes on":                   {nil, nil, "", "", "no run goes on in this folder"},
		"one that was killed":            {nil, []string{"20250101T000000Z-dead", "slow"}, "", "", "no run goes on"},
		"several":                        {[]string{one, two}, nil, "", "", "several runs go on: say which of " + one + ", " + two},
		"several, and only a disruption": {[]string{one, two}, []string{"slow"}, "", "", "several runs go on"},
		"no such run":                    {[]string{one}, []string{"2027", "slow"}, "", "", "no run called 2027 goes on"},
	} {
		t.Run(name, func(t *testing.T) {
			goingRuns(t, tc.going...)
			socket, what, err := whatToAck(tc.args)
			if tc.problem != "" {
				require.ErrorContains(t, err, tc.problem)
				require.True(t, isUsage(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, filepath.Join(runsDir, tc.run+socketExtension), socket)
			require.Equal(t, tc.what, what)
		})
	}
}

// deadSocket is what a run that was killed leaves.
func deadSocket(t *testing.T, id string) string {
	t.Helper()
	path := filepath.Join(runsDir, id+socketExtension)
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, path)
	return path
}

func TestSocketsOfKilledRunsAreRemoved(t *testing.T) {
	goingRuns(t, "20250102T000000Z-aaaa")
	going := filepath.Join(runsDir, "20250102T000000Z-aaaa"+socketExtension)
	var out, said bytes.Buffer

	dead := deadSocket(t, "20250103T000000Z-gone")
	lift := newRoot(&streams{out: &out, err: &said})
	lift.SetArgs([]string{"lift"})
	require.NoError(t, lift.ExecuteContext(t.Context()), said.String())
	require.NoFileExists(t, dead)
	require.FileExists(t, going)

	// The watchdog of a run whose journal is gone already.
	dead = deadSocket(t, "20250103T000000Z-gone")
	journal := strings.TrimSuffix(dead, socketExtension) + conduct.JournalExtension
	require.NoError(t, watch(t.Context(), journal, strings.NewReader(""), &out), out.String())
	require.NoFileExists(t, dead)
	require.FileExists(t, going)
}

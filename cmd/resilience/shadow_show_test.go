package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/shadow"
)

// aRecording has some blocks of exchanges, and gives the number of them.
func aRecording(t *testing.T) (path string, exchanges int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "t.shadow")
	w, err := shadow.Create(path, shadow.Options{})
	require.NoError(t, err)
	for ; exchanges < 10_000; exchanges++ {
		x := shadow.Exchange{At: time.Unix(int64(exchanges), 0), Route: "GET /\x1b[2J", Tenant: "t\r", Request: shadow.Request{Method: "GET", Target: "/"}}
		x.Response.Body = shadow.Body{Data: []byte{0xff, 0xfe}, Size: 2}
		require.NoError(t, w.Write(x))
	}
	require.NoError(t, w.Close())
	return path, exchanges
}

func shown(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{"shadow", "show"}, args...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestShowDamagedRecording(t *testing.T) {
	path, all := aRecording(t)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	mark := data[9:17]
	second := 18 + bytes.Index(data[18:], mark)              // after the header's own
	third := second + 8 + bytes.Index(data[second+8:], mark) // of the block after it
	data[third-1] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))

	code, out, errs := shown(t, path, "--json")
	require.Equal(t, 1, code)
	require.Contains(t, errs, fmt.Sprintf("%s: damaged at byte %d: the checksum of the exchanges of a block is wrong", path, second))
	require.Equal(t, all-4096, strings.Count(out, "\n"), "the other blocks are shown")
	require.Contains(t, out, `"base64":"//4="`)

	data[second+10] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
	code, out, errs = shown(t, path)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "the checksum of the frame of a block is wrong")
	require.Contains(t, out, fmt.Sprint(all-4096, " exchanges in 2 blocks"))
}

func TestShowUnfinishedRecording(t *testing.T) {
	path, all := aRecording(t)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, info.Size()-3))
	code, out, errs := shown(t, path)
	require.Zero(t, code)
	require.Empty(t, errs)
	require.Contains(t, out, fmt.Sprint(all, " exchanges in 3 blocks"))
	require.Contains(t, out, "! it has no end: its writer still writes, or was killed")
}

// TestShowObeysNothing: what a recording says does not reach a terminal as it is.
func TestShowObeysNothing(t *testing.T) {
	path, _ := aRecording(t)
	_, out, _ := shown(t, path)
	require.Contains(t, out, `GET /\x1b[2J`)
	require.Contains(t, out, `1 tenants: t\r`)
	require.NotContains(t, out, "\x1b")
	require.NotContains(t, out, "\r")
	for text, want := range map[string]string{"/ä/{id}": "/ä/{id}", "\xff": `\xff`, "a\u202eb": `a\u202eb`, `a\b"`: `a\b"`, "": ""} {
		require.Equal(t, want, printableText(text))
	}
}

package shadow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestTee: however a body comes in, its beginning, its size and its digest are those
// of the whole, room is never exceeded, and all of it is given back.
func TestTee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 9000), 0, 8).Draw(t, "parts")
		most := rapid.Int64Range(0, 20_000).Draw(t, "max")
		limit := rapid.Int64Range(0, 60_000).Draw(t, "limit")
		b := &captureBudget{limit: limit}
		tee := &captureTee{budget: b, max: most, decoded: true}
		whole := bytes.Join(parts, nil)
		for _, p := range parts {
			tee.keep(p)
			if b.held.Load() > limit {
				t.Fatalf("%d bytes are held of %d", b.held.Load(), limit)
			}
		}
		if tee.lost {
			require.Empty(t, tee.data)
		} else {
			body := tee.body(nil)
			require.Equal(t, int64(len(whole)), body.Size)
			require.True(t, bytes.Equal(whole[:min(int64(len(whole)), most)], body.Data))
			require.Equal(t, int64(len(whole)) > most, body.Cut)
			if body.Cut {
				sum := sha256.Sum256(whole)
				require.Equal(t, hex.EncodeToString(sum[:]), body.Digest)
			}
		}
		tee.release()
		tee.keep([]byte("late"))
		require.Zero(t, b.held.Load())
	})
}

// TestTeeOfAnEncodedBody: a digest of what is encoded would be compared with one of
// what is not.
func TestTeeOfAnEncodedBody(t *testing.T) {
	tee := &captureTee{budget: &captureBudget{limit: 1 << 20}, max: 2}
	tee.keep([]byte("abcdef"))
	require.Empty(t, tee.sum())
	require.True(t, tee.cut())
}

// TestUploadEnds: whoever still reads when it is closed gets nothing of what the server
// reads next.
func TestUploadEnds(t *testing.T) {
	u := &upload{from: io.NopCloser(strings.NewReader("abc"))}
	require.NoError(t, u.Close())
	n, err := u.Read(make([]byte, 3))
	require.Zero(t, n)
	require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
}

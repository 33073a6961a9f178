package disrupt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadStat(t *testing.T) {
	p, err := readStat("42 (a b) (c) T 7 42 42 0 -1 1 2 3 4 5 6 7 8 9 20 0 1 0 12345 6 7")
	require.NoError(t, err)
	require.Equal(t, proc{pid: 42, parent: 7, group: 42, state: 'T', start: "12345"}, p)
	for _, wrong := range []string{"", "42", "42 (a) T 1", "x (a) T 7 42 42 0 -1 1 2 3 4 5 6 7 8 9 20 0 1 0 12345"} {
		_, err := readStat(wrong)
		require.Error(t, err, wrong)
	}
}

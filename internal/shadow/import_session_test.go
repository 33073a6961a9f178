package shadow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSessionsOfLogs: behind a load balancer one address stands for all, and what it was
// forwarded for, or a word that is named, tells users apart.
func TestSessionsOfLogs(t *testing.T) {
	line := func(user, forwarded, cookie string) string {
		return `10.0.0.1 - ` + user + ` [02/Jan/2026:03:04:06 +0000] "GET / HTTP/1.1" 200 10 "-" "curl"` + forwarded + cookie + "\n"
	}
	for name, c := range map[string]struct {
		a, b   string
		fields map[string]string
		apart  bool
	}{
		"one address":         {line("-", "", ""), line("-", "", ""), nil, false},
		"forwarded":           {line("-", ` "192.0.2.1, 10.0.0.9"`, ""), line("-", ` "192.0.2.2, 10.0.0.9"`, ""), nil, true},
		"by another proxy":    {line("-", ` "192.0.2.1, 10.0.0.9"`, ""), line("-", ` "192.0.2.1, 10.0.0.8"`, ""), nil, false},
		"of nobody":           {line("-", ` "-"`, ""), line("-", ` "unknown"`, ""), nil, false},
		"something else":      {line("-", ` "0.123"`, ""), line("-", ` "0.456"`, ""), nil, false},
		"users":               {line("anna", ` "192.0.2.1"`, ""), line("bob", ` "192.0.2.1"`, ""), nil, true},
		"of one user":         {line("anna", ` "192.0.2.1"`, ""), line("anna", ` "192.0.2.2"`, ""), nil, false},
		"a word":              {line("anna", "", ` x "abc"`), line("anna", "", ` x "abd"`), map[string]string{"session": "11"}, true},
		"a word that is none": {line("anna", "", ` x "-"`), line("anna", "", ` x`), map[string]string{"session": "11"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, counts, err := importText(t, c.a+c.b, ImportOptions{Fields: c.fields})
			require.NoError(t, err)
			require.EqualValues(t, 2, counts.Kept)
			require.Equal(t, c.apart, got[0].Session != got[1].Session)
			require.True(t, hasPseudonym(got[0].Session))
		})
	}
	for value, message := range map[string]string{"x": "wants the number of a word", "0": "wants the number of a word", "129": "from 1 to 128"} {
		_, _, err := importText(t, line("-", "", ""), ImportOptions{Fields: map[string]string{"session": value}})
		require.ErrorContains(t, err, message)
	}
}

// TestImportTellsOfCrowds counts what the busiest session asked.
func TestImportTellsOfCrowds(t *testing.T) {
	for name, c := range map[string]struct {
		n, of, alone int // lines, of so many users, and by one more
		crowded      bool
	}{
		"one for all":          {0, 1, 1000, true},
		"many":                 {1000, 100, 0, false},
		"a busy one":           {1000, 100, 240, false},
		"one that is too busy": {1000, 100, 260, true},
		"few":                  {0, 1, 999, false},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for i := range c.n + c.alone {
				address := fmt.Sprintf("192.0.2.%d", i%c.of)
				if i >= c.n {
					address = "198.51.100.1"
				}
				b.WriteString(address + ` - - [02/Jan/2026:03:04:06 +0000] "GET / HTTP/1.1" 200 10 "-" "curl"` + "\n")
			}
			_, counts, err := importText(t, b.String(), ImportOptions{})
			require.NoError(t, err)
			require.Equal(t, c.crowded, counts.Crowded(), "%d of %d", counts.Busiest, counts.Kept)
		})
	}
}

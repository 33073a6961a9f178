package telemetry

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAClockThatIsOff(t *testing.T) {
	sent := time.Date(2026, 1, 2, 15, 4, 5, 900e6, time.UTC)
	date := func(off time.Duration) string { return sent.Add(off).Format(http.TimeFormat) }
	for name, tc := range map[string]struct {
		date string
		took time.Duration
		want string
	}{
		"ours":                             {date(0), 10 * time.Millisecond, ""},
		"a little behind":                  {date(-5 * time.Second), 10 * time.Millisecond, ""},
		"a little ahead":                   {date(5 * time.Second), 10 * time.Millisecond, ""},
		"behind":                           {date(-21 * time.Second), 10 * time.Millisecond, "has a clock that is about 20s behind ours"},
		"ahead":                            {date(7 * time.Minute), 10 * time.Millisecond, "has a clock that is about 7m0s ahead of ours"},
		"told when it began":               {date(0), time.Minute, ""},
		"told when it ended":               {date(time.Minute), time.Minute, ""},
		"ahead of an answer that was slow": {date(80 * time.Second), time.Minute, "about 20s ahead of ours"},
		"not told":                         {"", 10 * time.Millisecond, ""},
		"told in another way":              {"yesterday", 10 * time.Millisecond, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := apart(tc.date, sent, sent.Add(tc.took))
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// TestAnswersByAClockThatIsOffAreNone: those of an InfluxDB have the times of
// whoever wrote to it.
func TestAnswersByAClockThatIsOffAreNone(t *testing.T) {
	late := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-22*time.Second).UTC().Format(http.TimeFormat))
			_, _ = io.WriteString(w, body)
		}
	}
	all, err := asks(t, "prometheus", web(t, modern(late(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1000,"1"]]}]}}`))))
	require.ErrorContains(t, err, "has a clock that is about 20s behind ours")
	require.Empty(t, all)
	_, err = asks(t, "influxdb", web(t, late(`{"results":[{}]}`)))
	require.NoError(t, err)
}

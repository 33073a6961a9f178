package telemetry

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInfluxDBIsAskedOnce(t *testing.T) {
	url := web(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, http.MethodGet, r.Method)
		require.Equal(t, "/query", r.URL.Path)
		require.Equal(t, "Token s3cret-token", r.Header.Get("Authorization"))
		for key, want := range map[string]string{"db": "app", "epoch": "ms", "q": "up"} {
			require.Equal(t, want, r.URL.Query().Get(key), key)
		}
		_, _ = io.WriteString(w, `{"results":[{"statement_id":0,"series":[
			{"name":"cpu","tags":{"host":"a"},"columns":["time","mean"],"values":[[1000000,1.5],[1005000,null],[1010000,2]]},
			{"name":"cpu","tags":{"host":"b"},"columns":["time","mean"],"values":[[1000000,3]]}]}]}`)
	})
	all, err := asks(t, "influxdb", url)
	require.NoError(t, err)
	require.Equal(t, []series{
		{labels: map[string]string{"": "cpu", "host": "a"}, points: []point{{1000e9, 1.5}, {1010e9, 2}}},
		{labels: map[string]string{"": "cpu", "host": "b"}, points: []point{{1000e9, 3}}},
	}, all)
}

func TestInfluxDBAnswersThatAreNone(t *testing.T) {
	one := func(series string) string { return `{"results":[{"series":[` + series + `]}]}` }
	for name, tc := range map[string]struct {
		status     int
		body, want string
	}{
		"a wrong query":       {400, `{"error":"error parsing query: found EOF"}`, "answers 400: error parsing query: found EOF"},
		"an error of 2.x":     {401, `{"code":"unauthorized","message":"unauthorized access"}`, "answers 401: unauthorized access"},
		"an error inside":     {200, `{"results":[{"error":"database not found: app"}]}`, "answers: database not found: app"},
		"an error page":       {502, "<html>bad gateway</html>", "answers 502: <html>bad gateway</html>"},
		"nothing":             {200, "", "not understood"},
		"an empty object":     {200, "{}", "gives 0 results"},
		"two results":         {200, `{"results":[{},{}]}`, "gives 2 results"},
		"a part of it":        {200, `{"results":[{"partial":true}]}`, "a part of its answer only"},
		"a part of a series":  {200, one(`{"columns":["time","a"],"values":[],"partial":true}`), "a part of its answer only"},
		"several columns":     {200, one(`{"columns":["time","a","b"],"values":[[1000000,1,2]]}`), "gives the columns [time a b]: select one value"},
		"no time":             {200, one(`{"columns":["a","b"],"values":[[1000000,1]]}`), "select one value"},
		"a text":              {200, one(`{"columns":["time","a"],"values":[[1000000,"x"]]}`), "not understood"},
		"a row that is short": {200, one(`{"columns":["time","a"],"values":[[1000000]]}`), "a row without a time and a value"},
		"another time":        {200, one(`{"columns":["time","a"],"values":[[995000,1]]}`), "another time than was asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			url := web(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			all, err := asks(t, "influxdb", url)
			require.ErrorContains(t, err, tc.want)
			require.Empty(t, all)
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func FuzzInfluxDB(f *testing.F) {
	f.Add(`{"results":[{"series":[{"name":"cpu","columns":["time","mean"],"values":[[1000000,1.5],[1005000,null]]}]}]}`)
	f.Add(`{"results":[{"series":[{"columns":["time","mean"],"values":[[1e300,1]]}]}]}`)
	f.Fuzz(func(t *testing.T, body string) { answers(t, "influxdb", body) })
}

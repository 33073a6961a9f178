package telemetry

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrometheusIsAskedForSteps(t *testing.T) {
	url := web(t, modern(func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, r.ParseForm())
		require.Equal(t, "/api/v1/query_range", r.URL.Path)
		require.Equal(t, "Bearer s3cret-token", r.Header.Get("Authorization"))
		require.Empty(t, r.URL.RawQuery)
		for key, want := range map[string]string{"query": "up", "start": "1000", "end": "1015", "step": "5", "lookback_delta": "30"} {
			require.Equal(t, want, r.PostForm.Get(key), key)
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[
			{"metric":{"job":"a"},"values":[[1000,"1.5"],[1005,"NaN"],[1010,"+Inf"],[1015.000,"2e3"]]},{"metric":{},"values":[]}]}}`)
	}))
	all, err := asks(t, "prometheus", url)
	require.NoError(t, err)
	require.Equal(t, []series{
		{labels: map[string]string{"job": "a"}, points: []point{{1000e9, 1.5}, {1015e9, 2000}}, odd: 2},
		{labels: map[string]string{}},
	}, all)
}

// What a source answers when something is wrong, and what is said of it.
func TestPrometheusAnswersThatAreNone(t *testing.T) {
	matrix := func(values string) string {
		return `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[` + values + `]}]}}`
	}
	for name, tc := range map[string]struct {
		status     int
		body, want string
	}{
		"a wrong query":         {422, `{"status":"error","errorType":"bad_data","error":"parse error: unexpected <eof>"}`, "answers 422: parse error: unexpected <eof>"},
		"not allowed":           {401, "Unauthorized\nplease log in", "answers 401: Unauthorized please log in"},
		"an error page":         {502, "<html>bad gateway</html>", "answers 502: <html>bad gateway</html>"},
		"an error with 200":     {200, `{"status":"error","error":"query timed out"}`, "answers 200: query timed out"},
		"nothing":               {200, "", "not understood"},
		"a page":                {200, "<html>", "not understood"},
		"half of it":            {200, matrix("[1000")[:60], "not understood"},
		"a part of the data":    {200, `{"status":"success","warnings":["store x did not answer"],"data":{"resultType":"matrix","result":[]}}`, "does not vouch for its answer: store x did not answer"},
		"a vector":              {200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, "answers with a vector instead of a matrix"},
		"a point without value": {200, matrix("[1000]"), "not understood"},
		"a value that is none":  {200, matrix(`[1000,"x"]`), "not understood"},
		"another time":          {200, matrix(`[995,"1"]`), "another time than was asked for"},
		"a later time":          {200, matrix(`[1020,"1"]`), "another time than was asked for"},
		"out of order":          {200, matrix(`[1005,"1"],[1000,"1"]`), "another time than was asked for"},
		"too many series":       {200, `{"status":"success","data":{"resultType":"matrix","result":[` + strings.TrimSuffix(strings.Repeat("{},", 1001), ",") + `]}}`, "more than 1000 series"},
		"too much":              {200, strings.Repeat(" ", maxAnswer+1), "more than 8 MiB"},
		"a redirect":            {302, "", "answers 302, a redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			url := web(t, modern(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}))
			all, err := asks(t, "prometheus", url)
			require.ErrorContains(t, err, tc.want)
			require.Empty(t, all)
			require.NotContains(t, err.Error(), "s3cret")
			require.Less(t, len(err.Error()), 500)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

// A server that does not obey lookback_delta is believed only where its own
// limit is no longer.
func TestOldValuesAreNotTakenForNew(t *testing.T) {
	matrix := `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1000,"1"]]}]}}`
	for name, tc := range map[string]struct{ flags, want string }{
		"the limit of Prometheus": {`{"status":"success","data":{"query.lookback-delta":"5m"}}`, "may answer with values that are 5m0s old: say stale: 5m0s"},
		"one that says nothing":   {"404 page not found", "may answer with values that are 5m0s old"},
		"another limit":           {`{"status":"success","data":{"query.lookback-delta":"31s"}}`, "may answer with values that are 31s old"},
		"a short one":             {`{"status":"success","data":{"query.lookback-delta":"30s"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			probes := 0
			a, err := newAsker(sourceAt("prometheus", web(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/api/v1/status/flags" {
					probes++
					if tc.flags[0] != '{' {
						w.WriteHeader(http.StatusNotFound)
					}
					_, _ = io.WriteString(w, tc.flags)
					return
				}
				_, _ = io.WriteString(w, matrix)
			})), "")
			require.NoError(t, err)
			for range 3 {
				all, err := a.ask(t.Context(), "up", stretch{1000e9, 1020e9, 5e9}, 30e9)
				if tc.want == "" {
					require.NoError(t, err)
					require.Len(t, all, 1)
					continue
				}
				require.ErrorContains(t, err, tc.want)
			}
			require.Equal(t, 1, probes, "it is asked once")
		})
	}
}

// A source that is not there, or dies while it answers.
func TestSourcesThatBreakOff(t *testing.T) {
	for _, kind := range []string{"prometheus", "influxdb"} {
		url := web(t, modern(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"status":`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}))
		_, err := asks(t, kind, url)
		require.ErrorContains(t, err, "broke off its answer")

		_, err = asks(t, kind, "http://127.0.0.1:1")
		require.ErrorContains(t, err, "can not be reached")
		require.ErrorContains(t, err, "connection refused")
		require.NotContains(t, fmt.Sprint(err), "up", "the query is not told again")
	}
}

func FuzzPrometheus(f *testing.F) {
	f.Add(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1000,"1.5"]]}]}}`)
	f.Add(`{"status":"success","data":{"resultType":"matrix","result":[{"values":[[1e999,"1"],[-1,"0x1p3"]]}]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		answers(t, "prometheus", body)
	})
}

// answers checks what every answer that is taken holds.
func answers(t *testing.T, kind, body string) {
	a, err := newAsker(sourceAt(kind, "http://source"), "")
	require.NoError(t, err)
	fixed := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body))}, nil
	})
	switch a := a.(type) {
	case *prometheus:
		a.http.Transport = fixed
	case *influxDB:
		a.http.Transport = fixed
	}
	all, err := a.ask(t.Context(), "up", stretch{1000e9, 1020e9, 5e9}, 0)
	if err != nil {
		return
	}
	for _, s := range all {
		last := int64(1000e9 - 1)
		for _, p := range s.points {
			require.Greater(t, p.at, last)
			require.Less(t, p.at, int64(1020e9))
			require.False(t, p.value != p.value || p.value-p.value != 0, "not a finite number")
			last = p.at
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

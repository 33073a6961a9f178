package store

import (
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/servers"
)

// version1 gives an InfluxDB 1.8, or skips the test where another one is found.
func version1(t *testing.T) Influx {
	i := servers.StartInfluxDB(t)
	if i.Version != 1 {
		t.Skip("InfluxDB 1.8 is not tested: the influxd that was found is of version 2")
	}
	return Influx{URL: i.URL, Token: i.Token, Bucket: i.Bucket}
}

// statement runs one of InfluxQL.
func statement(t *testing.T, to Influx, text string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, to.URL+"/query?"+url.Values{"q": {text}}.Encode(), http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Token "+to.Token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// TestRetentionPolicyOfVersion1: a bucket may be a database and one of its
// retention policies; the database alone means its default one.
func TestRetentionPolicyOfVersion1(t *testing.T) {
	to := version1(t)
	statement(t, to, `CREATE RETENTION POLICY "year" ON "test" DURATION 0s REPLICATION 1`)
	policy := to
	policy.Bucket = "test/year"
	run := someRun()
	d := createIn(t, t.TempDir(), run)
	for i := range 3 {
		require.NoError(t, d.Append(second("k6", i)))
	}
	push(t, policy, d)
	path, err := Collect(t.Context(), policy, run.ID, t.TempDir())
	require.NoError(t, err)
	want, err := d.Record("beta")
	require.NoError(t, err)
	have, err := openFor(t, path).Record("beta")
	require.NoError(t, err)
	requireSame(t, want, have)
	_, err = Collect(t.Context(), to, run.ID, t.TempDir())
	require.ErrorContains(t, err, "there is no such run", "in the default one")
}

// TestMisfitsOfVersion1 are told before any traffic.
func TestMisfitsOfVersion1(t *testing.T) {
	to := version1(t)
	for name, test := range map[string]struct{ token, bucket, want string }{
		"a wrong password":     {"tester:guessed", "test", "InfluxDB refuses the token (401: Unauthorized): it must be one that may write to the bucket test"},
		"a token of version 2": {"guessed", "test", "InfluxDB refuses the token (401: "},
		"no such database":     {to.Token, "nosuch", `InfluxDB has no database nosuch (404: database not found: "nosuch")`},
		"no such policy":       {to.Token, "test/nosuch", "InfluxDB has no database test/nosuch (500: retention policy not found: nosuch)"},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := to
			wrong.Token, wrong.Bucket = test.token, test.bucket
			s := streamTo(t, wrong, filepath.Join(t.TempDir(), "s"), someRun())
			misfit, err := s.Check(t.Context())
			require.ErrorContains(t, err, test.want)
			require.True(t, misfit, err)
		})
	}
}

// TestOldPointsInVersion1: what is older than the retention policy is refused,
// counted and told.
func TestOldPointsInVersion1(t *testing.T) {
	to := version1(t)
	statement(t, to, `CREATE RETENTION POLICY "hour" ON "test" DURATION 1h REPLICATION 1`)
	to.Bucket = "test/hour"
	run := someRun()
	s := streamTo(t, to, filepath.Join(t.TempDir(), "s"), run)
	require.NoError(t, s.Append(second(run.ID, 1)))
	require.Equal(t, Sent{Lost: pointsOfSecond, Loss: "InfluxDB answers 400: partial write: points beyond retention policy dropped=3"}, closed(t, s))
}

package store

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

// fullRecord is a record that has everything.
func fullRecord(t *testing.T, run gates.Run) *DB {
	d := createIn(t, t.TempDir(), run)
	gate, err := gates.Parse("availability >= 99%")
	require.NoError(t, err)
	for _, phase := range []string{"gamma", "beta"} {
		require.NoError(t, d.SaveGates(phase, []gates.Gate{gate}))
	}
	require.NoError(t, d.SaveDocument("plan", []byte(strings.Repeat("a plan of some length, ", 5000))))
	require.NoError(t, d.SaveDocument("ending", []byte("{}")))
	for i := range 3000 { // more than one chunk of an answer
		require.NoError(t, d.Append(second("k6", i)))
	}
	nasty := window("beta", 7, 1)
	nasty.Series.Step = "it's 100%,\n a=\\ \xff"
	require.NoError(t, d.Append(measure.Batch{Windows: []measure.Window{nasty, window("gamma", 8, 2)}}))
	other := createIn(t, t.TempDir(), gates.Run{ID: "other", Plan: "shop", Started: run.Started})
	for i := range 3 {
		require.NoError(t, other.Append(second("base", i)))
	}
	base, err := other.Record("beta")
	require.NoError(t, err)
	require.NoError(t, d.SaveBaselines("beta", base, base))
	run.Ended = run.Started.Add(time.Minute)
	require.NoError(t, d.Finish(run))
	return d
}

// push sends a whole record and gives how much that was.
func push(t *testing.T, to Influx, d *DB) Sent {
	t.Helper()
	run, err := d.Run()
	require.NoError(t, err)
	s := streamTo(t, to, filepath.Join(t.TempDir(), "s"), run)
	require.NoError(t, s.Record(d))
	sent := closed(t, s)
	require.True(t, sent.Complete(), sent)
	return sent
}

// requireSame wants two records that judge alike: windows are merged by their
// series, whose numbers need not be the same.
func requireSame(t *testing.T, want, got gates.Record) {
	t.Helper()
	require.Equal(t, want.Run, got.Run)
	require.ElementsMatch(t, want.Events, got.Events)
	require.ElementsMatch(t, collect(t, want), collect(t, got))
	require.Len(t, got.Baselines, len(want.Baselines))
	for i := range want.Baselines {
		requireSame(t, want.Baselines[i], got.Baselines[i])
	}
}

func TestCollectedRecordIsTheOneThatWasSent(t *testing.T) {
	to, run := realInflux(t)
	d := fullRecord(t, run)
	first := push(t, to, d)
	require.Equal(t, first, push(t, to, d), "sending it again sends the same")

	path, err := Collect(t.Context(), to, run.ID, t.TempDir())
	require.NoError(t, err)
	got := openFor(t, path)
	for _, phase := range []string{"beta", "gamma"} {
		want, err := d.Record(phase)
		require.NoError(t, err)
		have, err := got.Record(phase)
		require.NoError(t, err)
		requireSame(t, want, have)
		list, err := got.Gates(phase)
		require.NoError(t, err)
		require.Equal(t, "availability >= 99%", list[0].String())
	}
	phases, err := got.Phases()
	require.NoError(t, err)
	require.Equal(t, []string{"gamma", "beta"}, phases)
	for _, name := range []string{"plan", "ending"} {
		want, err := d.Document(name)
		require.NoError(t, err)
		have, err := got.Document(name)
		require.NoError(t, err)
		require.Equal(t, want, have)
	}
}

// TestIncompleteRunIsNotCollected: what is not all there is not judged.
func TestIncompleteRunIsNotCollected(t *testing.T) {
	to, run := realInflux(t)
	_, err := Collect(t.Context(), to, run.ID, t.TempDir())
	require.ErrorContains(t, err, "there is no such run, it is not over, or it was killed")

	s := streamTo(t, to, filepath.Join(t.TempDir(), "s"), run)
	require.NoError(t, s.Append(second("k6", 1)))
	require.True(t, closed(t, s).Complete())
	_, err = Collect(t.Context(), to, run.ID, t.TempDir())
	require.ErrorContains(t, err, "send it with: resilience runs push "+run.ID)

	d := createIn(t, t.TempDir(), run)
	for i := range 3 {
		require.NoError(t, d.Append(second("k6", i)))
	}
	unsent := streamTo(t, to, filepath.Join(t.TempDir(), "u"), run)
	require.NoError(t, unsent.Finish(d)) // but the windows of seconds 0 and 2 were never sent
	require.True(t, closed(t, unsent).Complete())
	_, err = Collect(t.Context(), to, run.ID, t.TempDir())
	require.ErrorContains(t, err, "2 of its 6 windows, 3 of 3 events and 2 of 2 documents are there")
}

func TestCollectingFromWhatIsNoInfluxDB(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		said, want string
	}{
		"no rights":     {http.StatusUnauthorized, `{"code":"unauthorized","message":"no"}`, `InfluxDB answers 401: {"code":"unauthorized","message":"no"}`},
		"an error":      {http.StatusOK, `{"results":[{"error":"no such thing"}]}`, "InfluxDB answers: no such thing"},
		"nothing":       {http.StatusOK, ``, "InfluxDB broke off its answer: EOF"},
		"half":          {http.StatusOK, `{"results":[{"partial":true,"series":[]}]}`, "InfluxDB broke off its answer: EOF"},
		"HTML":          {http.StatusOK, `<html>`, "InfluxDB broke off its answer"},
		"other results": {http.StatusOK, `{"results":[]}`, "gives 0 results"},
		"other points":  {http.StatusOK, `{"results":[{"series":[{"columns":["time","windows"],"values":[[1,"x"]]}]}]}`, "windows is x: not as it was written"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.said))
			}))
			defer server.Close()
			_, err := Collect(context.Background(), Influx{URL: server.URL, Token: "s3cret", Bucket: "b"}, "r", t.TempDir())
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, "collect run r from InfluxDB")
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestDocumentsAreJoined(t *testing.T) {
	pieces := func(text string) (parts []piece) {
		for _, p := range documentPoints(someRun(), kindDocument, "plan", []byte(text)) {
			r, _ := readLine(t, lineOf(p))
			part, err := pieceOf(r)
			require.NoError(t, err)
			parts = append(parts, part)
		}
		return parts
	}
	long, short := strings.Repeat("a", 3*documentPart), strings.Repeat("b", documentPart+1)
	data, err := joined(pieces(long))
	require.NoError(t, err)
	require.Equal(t, long, string(data))
	data, err = joined(append(pieces(short), pieces(long)[2]))
	require.NoError(t, err, "what a longer one left behind is passed over")
	require.Equal(t, short, string(data))
	_, err = joined(append(pieces(long)[:1], pieces(long)[2]))
	require.EqualError(t, err, "a part of it is missing")
	_, err = joined(pieces(long)[:2])
	require.EqualError(t, err, "its parts do not fit together")
	_, err = joined([]piece{pieces(short)[0], pieces(long)[1]})
	require.EqualError(t, err, "its parts do not fit together")
}

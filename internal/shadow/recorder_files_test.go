package shadow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFilesGoOn(t *testing.T) {
	for name, how := range map[string]FileOptions{"by size": {MaxSize: 1}, "by age": {Every: time.Nanosecond}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "traffic.shadow")
			files, err := CreateFiles(path, how)
			require.NoError(t, err)
			const n = 3*sizeEvery + 1
			for i := range n {
				require.NoError(t, files.Write(sampleExchange(i)))
			}
			require.NoError(t, files.Flush())
			require.NoError(t, files.Close())
			paths := files.Paths()
			require.Equal(t, path, paths[0])
			require.Equal(t, strings.Replace(path, ".shadow", ".2.shadow", 1), paths[1])
			require.GreaterOrEqual(t, len(paths), 4)
			read := 0
			for _, p := range paths {
				r := openRecording(t, p)
				require.True(t, r.Complete())
				all, damaged := readAll(t, r)
				require.Empty(t, damaged)
				read += len(all)
			}
			require.Equal(t, n, read)
		})
	}
	path := filepath.Join(t.TempDir(), "there")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := CreateFiles(path, FileOptions{})
	require.ErrorContains(t, err, "is there already")
}

// TestFilesThatCanNotGoOn: what can not be written is an error each time, and the
// files before stay whole.
func TestFilesThatCanNotGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traffic.shadow")
	files, err := CreateFiles(path, FileOptions{Every: time.Nanosecond})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(strings.Replace(path, ".shadow", ".2.shadow", 1), nil, 0o600))
	require.NoError(t, files.Write(sampleExchange(0)))
	for range 3 {
		require.ErrorContains(t, files.Write(sampleExchange(1)), "is there already")
	}
	require.NoError(t, files.Close())
	all, damaged := readAll(t, openRecording(t, path))
	require.Len(t, all, 1)
	require.Empty(t, damaged)
}

// TestRecorderLeaksNothing sends secrets in every place, and searches the recording.
func TestRecorderLeaksNothing(t *testing.T) {
	const secret = "hunter2-and-more"
	const card = `{"user": {"card": "` + secret + `"}}`
	web := primary(t)
	path := filepath.Join(t.TempDir(), "traffic.shadow")
	files, err := CreateFiles(path, FileOptions{})
	require.NoError(t, err)
	redactor, err := NewRedactor(RedactionRules{Paths: []string{"user.card"}})
	require.NoError(t, err)
	r := startRecorder(t, files, RecorderOptions{Upstream: web.URL, Redact: redactor.Redact, Route: new(Routes).RouteOf})
	for _, q := range []string{
		"GET /plain?token=" + secret + " HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n", // which the answer repeats
		"GET /json HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer " + secret + "\r\nCookie: sid=" + secret + "\r\nX-Api-Key: " + secret + "\r\nConnection: close\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(card)) + "\r\nConnection: close\r\n\r\n" + card,
	} {
		require.Contains(t, rawAnswer(t, r.URL(), q), "200 OK")
	}
	require.NoError(t, r.Close(closing(t)))
	require.NoError(t, files.Close())
	require.Equal(t, uint64(3), r.Counts().Recorded)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.False(t, bytes.Contains(raw, []byte(secret)))
	all, _ := readAll(t, openRecording(t, path))
	require.Len(t, all, 3)
	for _, x := range all {
		text := fmt.Sprintf("%+v %s %s", x, x.Request.Body.Data, x.Response.Body.Data)
		require.NotContains(t, text, secret)
		require.NotContains(t, text, "sid=secret") // of the answer's Set-Cookie
	}
}

func TestJudge(t *testing.T) { synctest.Test(t, testJudge) }

func testJudge(t *testing.T) {
	sink := &kept{}
	judge, err := NewMirrorJudge(Rules{Ignore: []Where{{Place: "body.at"}}}, CompareOptions{}, FindingOptions{}, sink)
	require.NoError(t, err)
	answer := func(text string) Response {
		return Response{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: Body{Data: []byte(text), Size: int64(len(text))}}
	}
	request := Request{Method: http.MethodGet, Target: "/a", Header: http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}
	for i := range 200 {
		time.Sleep(time.Second) // of virtual time: what happens at once has one cause
		a := Answers{
			Exchange:  Exchange{Route: "GET /a", Session: fmt.Sprint(i), Request: request, Response: answer(`{"price": 10, "at": 1}`)},
			Candidate: answer(`{"price": 9, "at": 2}`), Noise: new(answer(`{"price": 10, "at": 3}`)),
		}
		a.Answer = a.Response
		require.True(t, judge.Compare(a))
		a.Candidate = a.Answer
		require.False(t, judge.Compare(a))
	}
	findings := judge.Findings()
	require.Len(t, findings, 1)
	require.Equal(t, []any{Regression, "body.price", uint64(200)}, []any{findings[0].Class, findings[0].Place, findings[0].Differing})
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", findings[0].Examples[0].Trace)
	require.True(t, judge.KnowsNoise())
	n, err := judge.Kept()
	require.NoError(t, err)
	require.Equal(t, []uint64{200, 200}, []uint64{n, uint64(len(sink.exchanges))})
	sink.err = io.ErrShortWrite
	judge.Compare(Answers{Exchange: Exchange{Route: "GET /a"}, Answer: answer(`{"price": 10}`), Candidate: answer(`{"price": 9}`)})
	_, err = judge.Kept()
	require.True(t, errors.Is(err, io.ErrShortWrite))
	_, err = NewMirrorJudge(Rules{Ignore: []Where{{Place: "nosuch"}}}, CompareOptions{}, FindingOptions{}, nil)
	require.ErrorContains(t, err, "there is no place")
}

func TestSessionKeys(t *testing.T) {
	for _, c := range []struct{ header, value, want string }{
		{"Cookie", "theme=dark; sid=abc", "abc"},
		{"Authorization", "Bearer abc", "Bearer abc"},
		{"X-Forwarded-For", "10.0.0.7, 10.0.0.1", "10.0.0.7"},
		{"Cookie", "theme=dark", "10.1.1.1:99"},
	} {
		r := &http.Request{Header: http.Header{c.header: {c.value}}, RemoteAddr: "10.1.1.1:99"}
		require.Equal(t, c.want, SessionKey(r))
	}
}

// TestRecorderKeepsNoBodies where none are wanted.
func TestRecorderKeepsNoBodies(t *testing.T) {
	web, sink := primary(t), &kept{}
	r := startRecorder(t, sink, RecorderOptions{Upstream: web.URL, MaxBody: -1})
	rawAnswer(t, r.URL(), requestsOf()["post"])
	rawAnswer(t, r.URL(), requestsOf()["/zipped"])
	require.NoError(t, r.Close(closing(t)))
	require.Equal(t, Recorded{Seen: 2, Recorded: 2, Cut: 2}, r.Counts())
	echoed := sink.exchanges[0].Response.Body
	require.Equal(t, []any{0, int64(5), true}, []any{len(echoed.Data), echoed.Size, echoed.Cut})
	require.Equal(t, "2cf24dba5fb0a30e26e83b2ac5b9e29e", echoed.Digest[:32]) // of hello
}

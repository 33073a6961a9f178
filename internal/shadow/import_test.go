package shadow

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// gathered is a sink that keeps all.
type gathered []Exchange

func (g *gathered) Write(x Exchange) error {
	*g = append(*g, x)
	return nil
}

// importText imports a text, and sees to it that everything was counted.
func importText(t testing.TB, text string, o ImportOptions) ([]Exchange, Imported, error) {
	t.Helper()
	return importFrom(t, strings.NewReader(text), o)
}

func importFrom(t testing.TB, r io.Reader, o ImportOptions) ([]Exchange, Imported, error) {
	t.Helper()
	var got gathered
	if o.Redactor == nil {
		o.Redactor = redactor(t, RedactionRules{})
	}
	o.Name = "f"
	counts, err := Import(r, o, &got)
	require.Equal(t, counts.Read, counts.Kept+counts.SkippedAll(), "read = kept + skipped: %+v", counts)
	require.EqualValues(t, len(got), counts.Kept)
	return got, counts, err
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return moment.UTC()
}

func skips(counts Imported) map[string]uint64 {
	all := map[string]uint64{}
	for _, s := range counts.Skipped {
		all[s.Reason] = s.Count
	}
	return all
}

const sampleHAR = "\xef\xbb\xbf" + ` { "log" : {"version":"1.2","creator":{"name":"x","entries":[1]},"pages":[{"id":"p"}],"entries": [
 {"startedDateTime":"2026-01-02T03:04:05.678+01:00","time":12.5,
  "request":{"method":"POST","url":"https://shop.example:8443/orders?a=1&b=%20#top","httpVersion":"h2",
   "headers":[{"name":":authority","value":"shop.example"},{"name":"accept","value":"*/*"},{"name":"X-Two","value":"1"},{"name":"x-two","value":"2"},{"name":"Host","value":"shop.example"}],
   "cookies":[{"name":"sid","value":"not-kept"}],"postData":{"mimeType":"application/json","text":"{\"n\":1}"},"bodySize":7},
  "response":{"status":201,"headers":[{"name":"content-type","value":"application/json"},{"name":"content-encoding","value":"gzip"}],
   "content":{"size":11,"mimeType":"application/json","text":"{\"ok\":true}"}},"timings":{}},
 {"startedDateTime":"2026-01-02T02:04:06Z","time":null,"request":{"method":"GET","url":"http://shop.example","headers":[],"bodySize":-1},
  "response":{"status":200,"headers":[],"content":{"size":5,"mimeType":"image/png","encoding":"base64","text":"AAEC\nAwQ="}}},
 {"startedDateTime":"2026-01-02T02:04:07Z","time":-1,"request":{"method":"GET","url":"http://shop.example/big","headers":[]},
  "response":{"status":200,"headers":[],"content":{"size":700,"mimeType":"image/png"}}},
 {"startedDateTime":"2026-01-02T02:04:08Z","time":3,"request":{"method":"POST","url":"http://shop.example/form","headers":[],
   "postData":{"mimeType":"application/x-www-form-urlencoded","params":[{"name":"a b","value":"1&2"},{"name":"c","value":"%20"}]}},
  "response":{"status":0,"_error":"net::ERR_CONNECTION_REFUSED","headers":[],"content":{"size":0}}},
 {"startedDateTime":"2026-01-02T02:04:09Z","request":{"method":"GET","url":"data:image/png;base64,AA=="},"response":{"status":200}},
 {"startedDateTime":"then","request":{"method":"GET","url":"http://shop.example/"},"response":{"status":200}},
 {"startedDateTime":"2026-01-02T02:04:09Z","request":{"method":"GET","url":"http://shop.example/"},"response":{"status":"x"}},
 [], null, 17, {"startedDateTime":"2026-01-02T02:04:09Z","request":{"method":"","url":"http://shop.example/"}},
 {"startedDateTime":"2026-01-02T02:04:09Z","request":{"method":"GET","url":"http://shop.example/"},"response":{"status":200,"content":{"text":"=","encoding":"base64"}}}
 ], "comment":"after"}, "more": {} }`

func TestImportHAR(t *testing.T) {
	got, counts, err := importText(t, sampleHAR, ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, "har", counts.Format)
	require.EqualValues(t, 12, counts.Read)
	require.Equal(t, map[string]uint64{
		"its URL is not of HTTP": 1, "its startedDateTime can not be read": 2, "it is no entry of an archive": 3, "it has no method": 1, "its body is no base64": 1,
	}, skips(counts))
	require.Equal(t, []string{"entry 7", "entry 8", "entry 10"}, counts.Skipped[2].Places)
	require.Len(t, got, 4)

	first := got[0]
	require.Equal(t, at(t, "2026-01-02T02:04:05.678Z"), first.At)
	require.Equal(t, 12500*time.Microsecond, first.Took)
	require.Equal(t, "POST /orders", first.Route)
	require.Equal(t, Request{
		Method: "POST", Host: "shop.example:8443", Target: "/orders?a=1&b=%20",
		Header: http.Header{"Accept": {"*/*"}, "X-Two": {"1", "2"}, "Content-Type": {"application/json"}},
		Body:   Body{Data: []byte(`{"n":1}`), Size: 7},
	}, first.Request)
	require.Equal(t, Response{
		Status: 201, Header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}},
		Body: Body{Data: []byte(`{"ok":true}`), Size: 11, Encoding: "gzip"},
	}, first.Response)
	require.NotEmpty(t, first.Session, "a HAR is of one user unless cookies say otherwise")
	require.Equal(t, first.Session, got[1].Session)
	require.Equal(t, "/", got[1].Request.Target)
	require.Equal(t, []byte{0, 1, 2, 3, 4}, got[1].Response.Body.Data)
	require.Equal(t, Body{Size: 700, Cut: true}, got[2].Response.Body, "its text is not in the archive")
	require.Equal(t, "a+b=1%262&c=+", string(got[3].Request.Body.Data))
	require.Equal(t, Response{Failure: "net::ERR_CONNECTION_REFUSED", Header: http.Header{}}, got[3].Response)
}

// TestHARBodies: archives say what travelled in many ways, and hide it in some.
func TestHARBodies(t *testing.T) {
	const header, typed = `{"name":"Content-Length","value":"%d"}`, `{"name":"content-type","value":"text/plain; charset=%s"}`
	zipped, length := zippedText(t, `{"t":true}`)
	for _, c := range []struct {
		name, request, response string // members of each
		status                  int
		want, answer            Body
	}{
		{name: "as it was", request: headers(header, 3) + `,"postData":{"text":"ab\u00e4"}`, want: Body{Data: []byte("ab\xe4"), Size: 3}},
		{name: "UTF-8", request: headers(header, 4) + `,"postData":{"text":"ab\u00e4"}`, want: Body{Data: []byte("abä"), Size: 4}},
		{name: "somebody wrote it otherwise", request: headers(header, 9) + `,"postData":{"text":"ab\u00e4"}`, want: Body{Data: []byte("abä"), Size: 4}},
		{name: "replaced", request: headers(header, 2) + `,"postData":{"text":"a\ufffd"}`, want: Body{Data: []byte("a\ufffd"), Size: -1, Cut: true, Damage: "the archive has not all of its bytes"}},
		{
			name: "packed", request: headers(header+`,{"name":"content-encoding","value":"gzip"}`, length) + `,"postData":{"text":` + zipped + `}`,
			want: Body{Data: []byte(`{"t":true}`), Size: 10, Encoding: "gzip"},
		},
		{name: "not there", request: headers(header, 7) + `,"bodySize":0`, want: Body{Size: 7, Cut: true}},
		{name: "a text of Japan", response: headers(typed, "shift_jis") + `,"content":{"size":2,"text":"\u65e5"}`, status: 200, answer: Body{Data: []byte("\x93\xfa"), Size: 2}},
		{name: "not in its charset", response: headers(typed, "latin1") + `,"content":{"text":"\u65e5"}`, status: 200, answer: Body{Data: []byte("日"), Size: 3}},
		{name: "no charset", response: headers(typed, "x-none") + `,"content":{"text":"\u00e4"}`, status: 200, answer: Body{Data: []byte("ä"), Size: 2}},
		{name: "too short", response: headers(header, 9) + `,"content":{"text":"abc"}`, status: 200, answer: Body{Data: []byte("abc"), Size: 9, Cut: true}},
		{name: "JSON that is whole", response: headers(header, 9) + `,"content":{"text":"[1,2]"}`, status: 200, answer: Body{Data: []byte("[1,2]"), Size: 5}},
		{name: "a mark before it", response: headers(header, 6) + `,"content":{"text":"abc"}`, status: 200, answer: Body{Data: []byte("abc"), Size: 3}},
		{name: "broken off", response: headers(header, 9) + `,"content":{"text":"abc"},"_error":"net::ERR"`, status: 200, answer: Body{Data: []byte("abc"), Size: -1, Cut: true, Damage: "net::ERR"}},
		{name: "dropped", response: headers(header+`,{"name":"content-encoding","value":"gzip"}`, 9) + `,"content":{"size":0}`, status: 200, answer: Body{Size: -1, Cut: true, Encoding: "gzip"}},
		{name: "of the cache", response: headers(header, 3) + `,"content":{"size":3,"text":"abc"}`, status: 304},
		{name: "to HEAD", request: `"method":"HEAD"`, response: headers(header, 3) + `,"content":{"size":3}`, status: 200},
		{name: "of a redirection", response: `"content":{"size":0}`, status: 302, answer: Body{Size: -1, Cut: true}},
		{name: "of a redirection, and how long it is", response: headers(header, 9), status: 301, answer: Body{Size: -1, Cut: true}},
		{name: "of a redirection that has a text", response: `"content":{"text":"there"}`, status: 303, answer: Body{Data: []byte("there"), Size: 5}},
		{name: "to a preflight", request: `"method":"OPTIONS","headers":[{"name":"access-control-request-method","value":"PUT"}]`, response: `"content":{"text":""}`, status: 404, answer: Body{Size: -1, Cut: true}},
		{name: "to OPTIONS", request: `"method":"OPTIONS"`, response: `"content":{"text":""}`, status: 404},
		{name: "none of a redirection", response: headers(header, 0) + `,"content":{"size":0}`, status: 302},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, response := `{"method":"POST","url":"http://a/"`+comma(c.request), fmt.Sprintf(`{"status":%d`, c.status)+comma(c.response)
			got, counts, err := importText(t, `{"log":{"entries":[{"startedDateTime":"2026-01-02T03:04:05Z","request":`+request+`},"response":`+response+`}}]}}`, ImportOptions{})
			require.NoError(t, err)
			require.Empty(t, counts.Skipped)
			require.Equal(t, c.want, got[0].Request.Body)
			require.Equal(t, c.answer, got[0].Response.Body)
		})
	}
}

// zippedText is what Firefox writes of a body that is packed, and its length.
func zippedText(t *testing.T, body string) (text string, length int) {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte(body))
	require.NoError(t, w.Close())
	var runes []rune
	for _, b := range zipped.Bytes() {
		runes = append(runes, rune(b))
	}
	written, err := json.Marshal(string(runes))
	require.NoError(t, err)
	return string(written), zipped.Len()
}

func headers(format string, a any) string { return `"headers":[` + fmt.Sprintf(format, a) + `]` }

func comma(members string) string {
	if members == "" {
		return ""
	}
	return "," + members
}

// TestHARsOfWhatWasNotAsked: what a browser had itself is no traffic; what is not of
// the standard may be anything.
func TestHARsOfWhatWasNotAsked(t *testing.T) {
	entry := func(more, answer string) string {
		return `{"startedDateTime":"2026-01-02T03:04:05Z","request":{"method":"GET","url":"http://a/"},"response":{"status":200` + comma(answer) + `}` + comma(more) + `}`
	}
	got, counts, err := importText(t, `{"log":{"entries":[`+strings.Join([]string{
		entry(`"_fromCache":"disk"`, ""), entry(`"_fromCache":"memory"`, ""), entry(`"_fromDiskCache":true`, ""), entry("", `"_fetchedViaServiceWorker":true`),
		entry(`"_fromCache":null,"_fromDiskCache":false`, `"_fetchedViaServiceWorker":false`), entry(`"_fromCache":{},"_fromDiskCache":[]`, `"_fetchedViaServiceWorker":"no","_failureText":7,"_error":{}`),
	}, ",")+`]}}`, ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"the browser had the answer in a cache": 3, "a service worker answered it: what that asked has an entry of its own": 1}, skips(counts))
	require.Len(t, got, 2)
}

// TestHeavyImportHARCutsBodies: a body that is far longer than what is kept needs no
// memory for it.
func TestHeavyImportHARCutsBodies(t *testing.T) {
	withoutRaceDetector(t)
	const long = 32 << 20
	entry := func(content string) (start, end string) {
		start, end, _ = strings.Cut(`{"startedDateTime":"2026-01-02T02:04:07Z","request":{"method":"GET","url":"http://a/"},"response":{"status":200,"content":`+content+`}}`, "BODY")
		return start, end
	}
	plainStart, plainEnd := entry(`{"size":33554432,"text":"BODY"}`)
	base64Start, base64End := entry(`{"encoding":"base64","text":"BODY"}`)
	small := `{"startedDateTime":"2026-01-02T02:04:08Z","request":{"method":"GET","url":"http://a/"},"response":{"status":204}}`
	text := io.MultiReader(strings.NewReader(`{"log":{"entries":[`+plainStart), io.LimitReader(repeated(`ä\u00e4\"`), long/9*9), strings.NewReader(plainEnd+","+base64Start),
		io.LimitReader(repeated("QUJD"), long), strings.NewReader(base64End+","+small+`]}}`))
	before := heapNow()
	got, counts, err := importFrom(t, text, ImportOptions{MaxBody: 1000})
	require.NoError(t, err)
	require.EqualValues(t, 3, counts.Kept)
	require.Less(t, heapNow()-before, int64(24<<20))
	plain, binary := got[0].Response.Body, got[1].Response.Body
	require.EqualValues(t, long, plain.Size)
	require.True(t, plain.Cut && binary.Cut)
	require.True(t, strings.HasPrefix(string(plain.Data), `ää"ää"`), "%.20q", plain.Data)
	require.NotContains(t, string(plain.Data), "\x00")
	require.True(t, bytes.HasPrefix(binary.Data, []byte("ABCABC")))
	require.Empty(t, binary.Digest, "nobody knows it")
	require.EqualValues(t, -1, binary.Size)
}

// repeated gives a text for ever.
func repeated(text string) io.Reader { return &repeatedReader{text: strings.Repeat(text, 1000)} }

type repeatedReader struct {
	text string
	at   int
}

func (r *repeatedReader) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

func heapNow() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapSys)
}

func TestBrokenHAR(t *testing.T) {
	whole := strings.TrimPrefix(sampleHAR, "\xef\xbb\xbf")
	for name, c := range map[string]struct {
		text, want string
		kept       uint64
	}{
		"ends in an entry": {whole[:strings.Index(whole, "AAEC")], "f, byte 1061: it ends too early", 1},
		"ends after one":   {whole[:strings.Index(whole, ` {"startedDateTime":"2026-01-02T02:04:06Z"`)], "it ends too early", 1},
		"no entries":       {`{"log":{"version":"1.2"}}`, `it has no "entries" in its "log"`, 0},
		"no list":          {`{"log":{"entries":{}}}`, `it is not JSON: '{' stands where '[' should`, 0},
		"too deep":         {`{"log":{"pages":` + strings.Repeat("[", 5000), "it is nested more than 1000 deep", 0},
		"no comma":         {`{"log":{"entries":[{} {}]}}`, "it is not JSON: '{' stands where a comma should", 0},
		"a wrong bracket":  {`{"log":{"pages":]`, "it is not JSON: ']' stands where a value should", 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, counts, err := importText(t, c.text, ImportOptions{Format: "har"})
			var failed *ImportError
			require.ErrorAs(t, err, &failed)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, c.kept, counts.Kept)
		})
	}
	_, counts, err := importText(t, `{"log":{"entries":[{"startedDateTime":"2026-01-02T02:04:07Z","x":"`+"\xff"+`"},{"x":[`+strings.Repeat(`"y",`, 4<<20)+`"y"]},{}]}}`, ImportOptions{MaxBody: -1})
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{notUTF8Reason: 1, tooLongReason: 1, "its startedDateTime can not be read": 1}, skips(counts))
}

func TestImportVegeta(t *testing.T) {
	got, counts, err := importText(t, `{"method":"GET","url":"http://shop:80/a?b=c"}

{"method":"POST","url":"http://shop/orders","body":"eyJhIjoxfQ==","header":{"content-type":["application/json"],"Host":["virtual"]}}
{"method":"GET","url":"ftp://shop/"}
{"method":"GET"}
{"method":"GE T","url":"http://shop/"}
{"url":"http://shop/"}
{"method":"GET","url":"http://%zz/"}
{"method":"GET","url":"http://shop/","body":"?"}
{"method":
{"method":"GET","url":"http://u:p@shop/last"}`, ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, "vegeta", counts.Format)
	require.EqualValues(t, 10, counts.Read, "the empty line is none")
	require.Equal(t, map[string]uint64{"its URL is not of HTTP": 1, "its URL has no host": 1, "it has no method": 2, "its URL can not be read": 1, "it is no target in JSON": 2}, skips(counts))
	require.Equal(t, []string{"line 4"}, counts.Skipped[0].Places)
	require.Len(t, got, 3)
	require.Equal(t, Request{Method: "GET", Host: "shop:80", Target: "/a?b=c", Header: http.Header{}}, got[0].Request)
	require.Equal(t, Request{Method: "POST", Host: "virtual", Target: "/orders", Header: http.Header{"Content-Type": {"application/json"}}, Body: Body{Data: []byte(`{"a":1}`), Size: 7}}, got[1].Request)
	require.Equal(t, time.Unix(0, int64(9*time.Millisecond)).UTC(), got[2].At)
	require.Regexp(t, "^Basic pn-", got[2].Request.Header.Get("Authorization"))
	require.Equal(t, Response{Body: Body{Size: -1}}, got[2].Response)
}

const combinedLog = `127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif?a=\"b\"&c=\xC3\xA4 HTTP/1.0" 200 2326 "http://www.example.com/start.html?token=abc" "Mozilla/4.08 [en] (Win98; I ;Nav)"
::1 - anna smith [10/Oct/2000:20:55:36 +0000] "HEAD / HTTP/2.0" 304 0 "-" "-" "extra" 0.123
[2001:db8::1] - - [10/Oct/2000:20:55:37 +0000] "GET http://other.example/x?y=z HTTP/1.1" 404 -
shop.example:443 10.0.0.1 - - [10/Oct/2000:20:55:38 +0000] "POST /orders/17 HTTP/1.1" 499 5 "-" "curl"
10.0.0.1 - - [10/Oct/2000:20:55:39 +0000] "\x16\x03\x01\x02" 400 157 "-" "-"
10.0.0.1 - - [10/Oct/2000:20:55:39 +0000] "-" 408 0 "-" "-"
10.0.0.1 - - [10/Oct/2000:20:55:39 +0000] "GET /a b HTTP/1.1" 400 0 "-" "-"
10.0.0.1 - - [40/Oct/2000:20:55:39 +0000] "GET / HTTP/1.1" 200 0
10.0.0.1 - - [10/Oct/2000:20:55:39 +0000] "GET / HTTP/1.1" abc 0
not a line
10.0.0.1 - - [10/Oct/2000:20:55:39 +0000] "GET / HTTP/1.1
`

func TestImportAccessLog(t *testing.T) {
	got, counts, err := importText(t, combinedLog, ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, "accesslog", counts.Format)
	require.EqualValues(t, strings.Count(combinedLog, "\n"), counts.Read)
	require.Equal(t, map[string]uint64{logRequest: 3, logMoment: 1, logMalformed: 3}, skips(counts))
	require.Len(t, got, 4)
	require.Equal(t, at(t, "2000-10-10T20:55:36Z"), got[0].At)
	require.Equal(t, at(t, "2000-10-10T20:55:36.5Z"), got[1].At, "what came in one second is spread over it")
	require.Equal(t, "/apache_pb.gif?a=\"b\"&c=ä", got[0].Request.Target)
	require.Equal(t, "Mozilla/4.08 [en] (Win98; I ;Nav)", got[0].Request.Header.Get("User-Agent"))
	require.Regexp(t, `^http://www.example.com/start.html\?token=pn-`, got[0].Request.Header.Get("Referer"))
	require.Equal(t, Response{Status: 200, Header: http.Header{"Content-Length": {"2326"}}, Body: Body{Size: -1, Cut: true}}, got[0].Response)
	require.Equal(t, Response{Status: 304, Header: http.Header{"Content-Length": {"0"}}}, got[1].Response)
	require.Equal(t, redactor(t, RedactionRules{}).Pseudonym("anna smith"), got[1].Session)
	require.Equal(t, "other.example", got[2].Request.Host)
	require.Equal(t, "/x?y=z", got[2].Request.Target)
	require.Equal(t, "shop.example:443", got[3].Request.Host)
	require.Equal(t, "POST /orders/{id}", got[3].Route)
	require.Equal(t, Body{Size: -1, Cut: true}, got[3].Request.Body, "a log has not what was sent")
	require.Equal(t, Body{}, got[0].Request.Body)
	require.Equal(t, 499, got[3].Response.Status)
}

func TestAccessLogDurations(t *testing.T) {
	line := `10.0.0.1 - - [10/Oct/2000:20:55:39 +0000] "GET / HTTP/1.1" 200 5 "-" "curl" 0.250` + "\n"
	got, _, err := importText(t, line, ImportOptions{Fields: map[string]string{"took": "10s"}})
	require.NoError(t, err)
	require.Equal(t, 250*time.Millisecond, got[0].Took)
	require.Equal(t, at(t, "2000-10-10T20:55:38.75Z"), got[0].At, "the log has the end")
	for _, fields := range []map[string]string{{"took": "s"}, {"took": "0s"}, {"took": "10"}, {"at": "1"}} {
		_, _, err := importText(t, line, ImportOptions{Fields: fields})
		require.ErrorContains(t, err, "took=")
	}
}

// TestAccessLogTimes wants times in the forms that log_format and LogFormat can give them,
// and those that tell more than the second not to be spread over it.
func TestAccessLogTimes(t *testing.T) {
	for text, want := range map[string]string{
		"10/Oct/2000:13:55:36 -0700":     "2000-10-10T20:55:36Z",
		"10/Oct/2000:13:55:36.125 -0700": "2000-10-10T20:55:36.125Z",
		"2026-11-29T10:00:00+01:00":      "2026-11-29T09:00:00Z",
		"2026-11-29T10:00:00.250Z":       "2026-11-29T10:00:00.25Z",
		"2026-11-29T10:00:00+0100":       "2026-11-29T09:00:00Z",
		"2026-11-29 10:00:00 +0100":      "2026-11-29T09:00:00Z",
		"1795946400.123":                 "2026-11-29T10:00:00.123Z",
		"1795946400123456":               "2026-11-29T10:00:00.123456Z",
	} {
		got, counts, err := importText(t, strings.Repeat(`10.0.0.1 - - [`+text+`] "GET / HTTP/1.1" 200 5 "-" "curl"`+"\n", 2), ImportOptions{})
		require.NoError(t, err, text)
		require.Equal(t, "accesslog", counts.Format, text)
		require.Equal(t, at(t, want), got[0].At.Round(time.Microsecond), text)
		apart := time.Second / 2
		if strings.Contains(want, ".") {
			apart = 0
		}
		require.Equal(t, apart, got[1].At.Sub(got[0].At), text)
	}
	for _, text := range []string{"", "now", "2026-13-29T10:00:00Z", "17", "99999999999999999999", "2026-11-29"} {
		_, counts, err := importText(t, `10.0.0.1 - - [`+text+`] "GET / HTTP/1.1" 200 5`+"\n", ImportOptions{Format: "accesslog"})
		require.NoError(t, err, text)
		require.Equal(t, map[string]uint64{logMoment: 1}, skips(counts), text)
	}
}

// TestImportEnvoyText wants the formats that Envoy and Istio have unless told otherwise.
func TestImportEnvoyText(t *testing.T) {
	const lines = `[2026-11-29T10:00:00.310Z] "POST /api/v1/orders HTTP/2" 204 - 154 0 226 100 "10.0.35.28, 10.0.0.1" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "orders" "tcp://10.0.2.1:80"
[2026-11-29T10:00:01.310Z] "GET /status/418?x=1 HTTP/1.1" 418 - via_upstream - "-" 0 135 3 1 "-" "curl/7.73.0 \"x\"" "84961386" "httpbin:8000" "10.44.1.27:80" outbound|8000||httpbin 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default
[2026-11-29T10:00:02.310Z] "GET /gone HTTP/1.1" 0 DC downstream_remote_disconnect - "-" 0 0 3 - "-" "-" "84961386" "-" "-"
[2026-11-29T10:00:02.310Z] "- - -" 0 NR - - "-" 0 0 3 - "-" "-" "-" "-" "-"
`
	got, counts, err := importText(t, lines, ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, "envoy", counts.Format)
	require.Equal(t, map[string]uint64{"it is no object of JSON": 1}, skips(counts))
	require.Len(t, got, 3)
	require.Equal(t, "POST /api/v1/orders orders 204 true", fmt.Sprint(got[0].Route, " ", got[0].Request.Host, " ", got[0].Response.Status, " ", got[0].Request.Body.Cut))
	require.Equal(t, 226*time.Millisecond, got[0].Took)
	require.Equal(t, at(t, "2026-11-29T10:00:01.31Z"), got[1].At)
	require.Equal(t, Request{Method: "GET", Host: "httpbin:8000", Target: "/status/418?x=1", Header: http.Header{"User-Agent": {`curl/7.73.0 "x"`}}}, got[1].Request)
	require.Equal(t, http.Header{"Content-Length": {"135"}}, got[1].Response.Header)
	require.Equal(t, "response flags DC", got[2].Response.Failure)
}

const envoyLines = `{"start_time":"2026-01-02T03:04:05.678Z","method":"GET","path":"/orders/17?x=1","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","bytes_received":0,"bytes_sent":57,"duration":12,"upstream_service_time":"11","x_forwarded_for":"-","user_agent":"curl","request_id":"r","authority":"shop.example","upstream_host":"10.0.0.1:80"}
{"start_time":"2026-01-02T03:04:06Z","method":"GET","path":"/","response_code":0,"response_flags":"DC","bytes_sent":0,"duration":null,":authority":"shop.example"}
{"time_iso8601":"2026-01-02T03:04:06+00:00","request_method":"GET","request_uri":"/n","status":"502","http_user_agent":"x","remote_addr":"10.1.1.1"}
{"ts":1767323047.25,"method":"GET","url":"https://shop.example/z","status":204}
{"start_time":"2026-01-02T03:04:06Z","method":"GET","path":"/"}
{"start_time":"2026-01-02T03:04:06Z","response_code":200}
{"method":"GET","path":"/","response_code":200}
[1]
`

func TestImportEnvoy(t *testing.T) {
	got, counts, err := importText(t, envoyLines+"{\"start_time\":\"2026-01-02T03:04:06Z\",\"path\":\"\xff\"}\n", ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, "envoy", counts.Format)
	require.EqualValues(t, 9, counts.Read)
	require.Equal(t, map[string]uint64{"it has no status": 1, "it has no method or no path": 1, logMoment: 1, "it is no object of JSON": 1, notUTF8Reason: 1}, skips(counts))
	require.Len(t, got, 4)
	require.Equal(t, Exchange{
		At: at(t, "2026-01-02T03:04:05.678Z"), Took: 12 * time.Millisecond, Route: "GET /orders/{id}",
		Request:  Request{Method: "GET", Host: "shop.example", Target: "/orders/17?x=1", Header: http.Header{"User-Agent": {"curl"}}},
		Response: Response{Status: 200, Header: http.Header{"Content-Length": {"57"}}, Body: Body{Size: -1, Cut: true}},
	}, got[0])
	require.Equal(t, "response flags DC", got[1].Response.Failure)
	require.Equal(t, 502, got[2].Response.Status)
	require.NotEmpty(t, got[2].Session)
	require.Equal(t, at(t, "2026-01-02T03:04:07.25Z"), got[3].At)
	require.Equal(t, "/z", got[3].Request.Target)
}

// TestEnvoyGateway: the keys that the documentation of Envoy Gateway gives as its
// default, and what is told of the body of a request.
func TestEnvoyGateway(t *testing.T) {
	const line = `{"start_time":"2026-01-02T03:04:05.678Z","method":"%s","x-envoy-origin-path":"/orders?x=1","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","response_code_details":"via_upstream","connection_termination_details":null,"upstream_transport_failure_reason":null,"bytes_received":%s,"bytes_sent":302,"duration":6,"x-envoy-upstream-service-time":null,"x-forwarded-for":"10.244.0.30","user-agent":"curl/8.7.1","x-request-id":"4000a69d","":null,":authority":"shop.example","upstream_host":"10.244.0.19:8000","route_name":"httproute/shop"}` + "\n"
	unknown := Body{Size: -1, Cut: true}
	for _, c := range []struct {
		method, received string
		want             Body
	}{
		{"GET", "0", Body{}}, {"GET", "7", unknown}, {"GET", "null", Body{}}, {"POST", "0", Body{}}, {"POST", `"73"`, unknown}, {"POST", `"-"`, unknown}, {"DELETE", "null", Body{}}, {"PATCH", "null", unknown},
	} {
		got, counts, err := importText(t, fmt.Sprintf(line, c.method, c.received), ImportOptions{})
		require.NoError(t, err)
		require.Equal(t, "envoy", counts.Format)
		require.Empty(t, counts.Skipped)
		require.Equal(t, "/orders?x=1", got[0].Request.Target)
		require.Equal(t, "shop.example", got[0].Request.Host)
		require.Equal(t, c.want, got[0].Request.Body, "%s of %s", c.method, c.received)
	}
}

// TestClientsOfLogs: a client is the same on all of its connections, and by whatever
// proxies it comes.
func TestClientsOfLogs(t *testing.T) {
	for who, want := range map[string]string{
		"10.244.2.77:56892": "10.244.2.77", "10.244.2.77:1": "10.244.2.77", "[2001:db8::1]:443": "2001:db8::1", "2001:db8::1": "2001:db8::1",
		"192.0.2.1, 10.0.0.1": "192.0.2.1", "192.0.2.1,10.0.0.2": "192.0.2.1", "anna": "anna", "smith, anna": "smith, anna", "@": "@", "": "",
	} {
		require.Equal(t, want, loggedClient(who), who)
	}
	line := `{"start_time":"2026-01-02T03:04:05Z","method":"GET","path":"/","response_code":200,"x_forwarded_for":null,"downstream_remote_address":"10.244.2.77:%d"}` + "\n"
	got, _, err := importText(t, fmt.Sprintf(line+line, 1, 2), ImportOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, got[0].Session)
	require.Equal(t, got[0].Session, got[1].Session)
}

func TestMoments(t *testing.T) {
	for text, want := range map[string]string{
		"1767323047": "2026-01-02T03:04:07Z", "1767323047.25": "2026-01-02T03:04:07.25Z", "1767323047250": "2026-01-02T03:04:07.25Z", "1767323047250001": "2026-01-02T03:04:07.250001Z",
		"1767323047250001002": "2026-01-02T03:04:07.250001002Z", "1767323047.2500010029": "2026-01-02T03:04:07.250001002Z", "2026-01-02T04:04:07+01:00": "2026-01-02T03:04:07Z", "2026-01-02T04:04:07.5+0100": "2026-01-02T03:04:07.5Z",
		"2026-01-02T03:04:07": "2026-01-02T03:04:07Z", "02/Jan/2026:03:04:07 +0000": "2026-01-02T03:04:07Z", "Fri, 02 Jan 2026 03:04:07 GMT": "2026-01-02T03:04:07Z",
	} {
		got, ok := momentOf(text)
		require.True(t, ok, text)
		require.Equal(t, at(t, want), got, text)
	}
	for _, text := range []string{"", "12", "-1767323047", "1e9", "99999999999999999999", "1767323047.x", "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"} {
		_, ok := momentOf(text)
		require.False(t, ok, text)
	}
}

func TestFieldsOfJSONLogs(t *testing.T) {
	line := `{"when":1767323047250,"req":{"verb":"GET","path.raw":"/a","who":{"name":"anna"}},"code":200,"secs":0.5,"org":"o1","lang":"de"}` + "\n"
	got, counts, err := importText(t, line, ImportOptions{Format: "envoy", Fields: map[string]string{
		"at": "when", "method": "req.verb", "target": "req.path.raw", "session": "req.who.name", "status": "code", "took": "secs s", "tenant": "org", "header.Accept-Language": "lang",
	}})
	require.NoError(t, err)
	require.Empty(t, counts.Skipped)
	require.Equal(t, at(t, "2026-01-02T03:04:07.25Z"), got[0].At)
	require.Equal(t, 500*time.Millisecond, got[0].Took)
	require.Equal(t, "/a", got[0].Request.Target)
	require.Equal(t, "o1", got[0].Tenant)
	require.Equal(t, "de", got[0].Request.Header.Get("Accept-Language"))
	require.Equal(t, redactor(t, RedactionRules{}).Pseudonym("anna"), got[0].Session)
	_, _, err = importText(t, line, ImportOptions{Format: "envoy", Fields: map[string]string{"verb": "x"}})
	require.ErrorContains(t, err, "there is no field verb=x; fields are agent, at,")
}

func gor(kind int, id string, at int64, latency int, raw string) string {
	return fmt.Sprintf("%d %s %d %d\n%s\n%s\n", kind, id, at, latency, strings.ReplaceAll(raw, "\n", "\r\n"), goReplayEnd)
}

func TestImportGoReplay(t *testing.T) {
	base := at(t, "2026-01-02T03:04:05Z").UnixNano()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte(`{"zipped":true}`))
	require.NoError(t, w.Close())
	text := gor(1, "a1", base, 0, "GET /orders/1?x=y HTTP/1.1\nHost: shop.example\nAuthorization: Bearer t\n\n") +
		gor(1, "b2", base+1000, 0, "POST /orders HTTP/1.1\nHost: shop.example\nContent-Length: 7\n\n{\"a\":1}") +
		gor(2, "b2", base+5000, 4000, "HTTP/1.1 100 Continue\n\nHTTP/1.1 201 Created\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n3\n{\"b\n4\n\":2}\n0\n\n") +
		gor(2, "a1", base+9000, 0, "HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: "+fmt.Sprint(zipped.Len())+"\n\n") // its body follows
	end := "\n" + goReplayEnd + "\n"
	text = strings.TrimSuffix(text, end) + zipped.String() + end
	text += gor(3, "a1", base, 0, "HTTP/1.1 200 OK\n\n") + gor(2, "zz", base, 0, "HTTP/1.1 200 OK\n\n") + gor(1, "c3", base, 0, "no HTTP") +
		"what is this?\n" + goReplayEnd + "\n" +
		gor(1, "d4", base+2000, 0, "GET /broken HTTP/1.1\nHost: a\n\n") + gor(2, "d4", base+3000, 0, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\nhello") +
		gor(1, "e5", base+2000, 0, "GET /short HTTP/1.1\nHost: a\n\n") + gor(2, "e5", base+3000, 0, "HTTP/1.1 200 OK\nContent-Length: 100\n\nhello") +
		gor(1, "f6", base+9000, 0, "GET /unanswered HTTP/1.1\nHost: a\n\n")
	got, counts, err := importText(t, text, ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, "goreplay", counts.Format)
	require.Equal(t, map[string]uint64{"it is the answer to a replay": 1, "it is an answer without its request": 1, "its request can not be read": 1, "it is no message of GoReplay": 1}, skips(counts))
	require.EqualValues(t, strings.Count(text, goReplayEnd), counts.Read+counts.Joined, "all messages are counted")
	require.EqualValues(t, 4, counts.Joined)
	require.Len(t, got, 5)
	byTarget := map[string]Exchange{}
	for _, x := range got {
		byTarget[x.Request.Target] = x
	}
	post := byTarget["/orders"]
	require.Equal(t, 8*time.Microsecond, post.Took, "4 until the answer began, 4 until it ended")
	require.Equal(t, `{"a":1}`, string(post.Request.Body.Data))
	require.Equal(t, Body{Data: []byte(`{"b":2}`), Size: 7}, post.Response.Body)
	get := byTarget["/orders/1?x=y"]
	require.Equal(t, 9*time.Microsecond, get.Took)
	require.Equal(t, "shop.example", get.Request.Host)
	require.Equal(t, Body{Data: []byte(`{"zipped":true}`), Size: 15, Encoding: "gzip"}, get.Response.Body)
	require.Regexp(t, "^Bearer pn-", get.Request.Header.Get("Authorization"))
	require.Contains(t, byTarget["/broken"].Response.Body.Damage, "invalid byte in chunk length")
	require.Equal(t, "it ends too early", byTarget["/short"].Response.Body.Damage)
	require.Equal(t, "hello", string(byTarget["/short"].Response.Body.Data))
	require.Equal(t, "its answer is not in the file", byTarget["/unanswered"].Response.Failure)
}

// TestGoReplayOrder: an answer may stand before its request, with others between; of
// what has no partner, nothing is lost.
func TestGoReplayOrder(t *testing.T) {
	got, counts, err := importText(t,
		gor(2, "a", 2000, 10, "HTTP/1.1 200 OK\nContent-Length: 1\n\nA")+gor(2, "h", 2500, 0, "HTTP/1.1 200 OK\nContent-Length: 100\n\n")+
			gor(1, "b", 1500, 0, "GET /b HTTP/1.1\nHost: a\n\n")+gor(2, "x", 1, 0, "HTTP/1.1 204 No Content\n\n")+gor(2, "x", 1, 0, "HTTP/1.1 204 No Content\n\n")+
			gor(1, "a", 1000, 0, "GET /a HTTP/1.1\nHost: a\n\n")+gor(1, "b", 1500, 0, "GET /twice HTTP/1.1\nHost: a\n\n")+
			gor(1, "h", 2400, 0, "HEAD /h HTTP/1.1\nHost: a\n\n")+gor(2, "c", 1, 0, "HTTP/1.1 100 Continue\n\n")+gor(2, "c", 1, 0, "HTTP/1.1 100 Continue\n\nHTTP/1"), ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{
		"it is an answer without its request": 1, "its id is that of another message": 2, "it only announces an answer": 1, "its answer can not be read": 1,
	}, skips(counts))
	require.EqualValues(t, 2, counts.Joined)
	require.Len(t, got, 3)
	require.Equal(t, "/a", got[0].Request.Target)
	require.Equal(t, 1010*time.Nanosecond, got[0].Took)
	require.Equal(t, "A", string(got[0].Response.Body.Data))
	require.Equal(t, "/h", got[1].Request.Target)
	require.Equal(t, Body{}, got[1].Response.Body, "there is none to HEAD, whatever its headers say")
	require.Equal(t, "/b", got[2].Request.Target)
	require.Equal(t, "its answer is not in the file", got[2].Response.Failure)
}

// TestGoReplayLatency: versions of GoReplay mean different things by the last number.
func TestGoReplayLatency(t *testing.T) {
	ask, answer := "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\n"+goReplayEnd+"\n", "\nHTTP/1.1 204 No Content\r\n\r\n\n"+goReplayEnd+"\n"
	const second = "1767323045"
	for _, c := range []struct {
		name, request, answer string
		want                  time.Duration
	}{
		{"the answer's own", "1 a " + second + "000000000 0", "2 a " + second + "000003000 500", 3500},
		{"since the request", "1 a " + second + "000000000 -1", "2 a " + second + "000003000 3500", 3500},
		{"since the request, with its time", "1 a " + second + "000000000 -1", "2 a " + second + "000000000 3500", 3500},
		{"in place of a time", "1 a " + second + "000000000", "2 a 3500", 3500},
		{"none", "1 a " + second + "000000000", "2 a " + second + "000003000", 3000},
		{"a clock that went back", "1 a " + second + "000000000 0", "2 a " + second + "000000000 0", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, counts, err := importText(t, c.request+ask+c.answer+answer, ImportOptions{})
			require.NoError(t, err)
			require.EqualValues(t, 1, counts.Joined)
			require.Equal(t, c.want, got[0].Took)
		})
	}
}

// TestHeavyGoReplayStreams: long messages need no memory, whether they end or not.
func TestHeavyGoReplayStreams(t *testing.T) {
	withoutRaceDetector(t)
	const long = 32 << 20
	text := io.MultiReader(
		strings.NewReader(gor(1, "a", 1, 0, "GET /long HTTP/1.1\nHost: a\n\n")), strings.NewReader("2 a 2 1\nHTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n"), io.LimitReader(repeated("a\nb\n"), long),
		strings.NewReader("\n"+goReplayEnd+"\n1 b 3\nGET /header HTTP/1.1\r\nX: "), io.LimitReader(repeated("x"), long), strings.NewReader("\r\n\r\n\n"+goReplayEnd+"\n"),
		strings.NewReader(gor(1, "c", 4, 0, "GET /short HTTP/1.1\nHost: a\n\n")), io.LimitReader(repeated("no message "), long),
	)
	before := heapNow()
	got, counts, err := importFrom(t, text, ImportOptions{MaxBody: 1000})
	require.NoError(t, err)
	require.Less(t, heapNow()-before, int64(16<<20))
	require.Equal(t, map[string]uint64{"its request can not be read": 1, "it is no message of GoReplay": 1}, skips(counts))
	require.Len(t, got, 2)
	b := got[0].Response.Body
	require.Equal(t, Body{Data: b.Data, Size: long, Cut: true, Digest: digestOf(bytes.Repeat([]byte("a\nb\n"), long/4))}, b)
	require.Len(t, b.Data, 1000)
	require.Equal(t, "/short", got[1].Request.Target)
}

// TestGoReplayWaitsForFew: requests whose answers never come do not pile up.
func TestGoReplayWaitsForFew(t *testing.T) {
	var text strings.Builder
	const many = mostPending + 500
	for n := range many {
		text.WriteString(gor(1, fmt.Sprintf("%x", n), int64(n), 0, "GET / HTTP/1.1\nHost: a\n\n"))
	}
	text.WriteString(gor(2, "0", 5, 0, "HTTP/1.1 200 OK\n\n"))
	got, counts, err := importText(t, text.String(), ImportOptions{})
	require.NoError(t, err)
	require.Len(t, got, many)
	require.Equal(t, map[string]uint64{"it is an answer without its request": 1}, skips(counts))
}

const k6Script1 = `
import http, { get as fetch } from "k6/http";
import * as all from 'k6/http'
import { sleep, check } from 'k6'
import encoding from 'k6/encoding'
const base = 'https://shop.example', path = base + "/orders"
let changing = '1'
export const options = { vus: 1 }
export default function () {
  changing = '2'
  const headers = { Accept: 'application/json', "X-N": 5 }
  let r = http.get(` + "`${base}/a?n=${1}`" + `, { headers, tags: {a: 'b'} })
  http.get(http.url` + "`${base}/b`" + `)
  check(http.post(path, JSON.stringify({ z: [1, 2.5, true, null], a: "<ä>", o: {} }), { headers: { 'content-type': 'application/json' }, cookies: { sid: 'x', t: { value: 'y', replace: true } } }), { ok: r => r.status === 200 })
  sleep(1.5)
  all.del(base + '/orders/1', null, {})
  fetch('http://other.example')
  http.request('PATCH', path, { a: 1, 'b c': 'd' })
  http.put(path, encoding.b64decode('AAEC'), undefined)
  for (const i of [1, 2]) { http.get(base + '/items/' + i) }
  http.get(r.json('url'))
  http.get(base + changing)
  http.post(path, http.file(data))
  http.batch([['GET', base + '/1'], 'http://a/2', { method: 'POST', url: base + '/3', body: 'x' }, r.url])
  http.batch({ one: ['GET', base + '/4', null, { headers: { A: 'b' } }] })
  http.batch(r.urls)
  if (/["'(]/.test(r.body)) group('x', () => { http.head(base + '/h', {}) })
  other.get('http://a/')
}
`

func TestImportK6(t *testing.T) {
	got, counts, err := importText(t, k6Script1, ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, "k6", counts.Format)
	require.Equal(t, map[string]uint64{computedReason: 6}, skips(counts))
	require.Equal(t, []string{"line 20", "line 21", "line 22"}, counts.Skipped[0].Places)
	var all []string
	for _, x := range got {
		all = append(all, x.Request.Method+" "+x.Request.Host+x.Request.Target+" "+string(x.Request.Body.Data))
	}
	require.Equal(t, []string{
		"GET shop.example/a?n=1 ", "GET shop.example/b ", `POST shop.example/orders {"z":[1,2.5,true,null],"a":"<ä>","o":{}}`, "DELETE shop.example/orders/1 ", "GET other.example/ ",
		"PATCH shop.example/orders a=1&b+c=d", "PUT shop.example/orders \x00\x01\x02",
		"GET shop.example/1 ", "GET a/2 ", "POST shop.example/3 x", "GET shop.example/4 ", "HEAD shop.example/h ",
	}, all)
	require.EqualValues(t, len(all)+6, counts.Read)
	pseudonym := redactor(t, RedactionRules{}).Pseudonym
	require.Equal(t, http.Header{"Content-Type": {"application/json"}, "Cookie": {"sid=" + pseudonym("x") + "; t=" + pseudonym("y")}}, got[2].Request.Header)
	require.Equal(t, http.Header{"Accept": {"application/json"}, "X-N": {"5"}}, got[0].Request.Header)
	require.Equal(t, http.Header{"A": {"b"}}, got[10].Request.Header)
	require.Equal(t, time.Unix(1, int64(503*time.Millisecond)).UTC(), got[3].At, "sleep() is time")
}

// TestWildScripts: what would use up the stack of a parser is refused.
func TestWildScripts(t *testing.T) {
	const start = "import http from 'k6/http';\n"
	for name, script := range map[string]string{
		"brackets": strings.Repeat("(", 1<<20), "blocks": strings.Repeat("{", 1<<20), "prefixes": strings.Repeat("!", 1<<20), "words": strings.Repeat("typeof ", 1<<20),
		"sums": "a" + strings.Repeat("+a", 1<<20), "powers": "a" + strings.Repeat("**a", 1<<20), "choices": strings.Repeat("a?b:", 1<<20), "assignments": strings.Repeat("a=", 1<<20),
		"arrows": strings.Repeat("a=>", 1<<20), "async arrows": strings.Repeat("async a=>", 1<<20), "ifs": strings.Repeat("if(a)", 1<<20), "elses": strings.Repeat("if(a);else ", 1<<20), "loops": strings.Repeat("for(;;)", 1<<20),
		"labels": strings.Repeat("a:", 1<<20), "templates": strings.Repeat("`${", 1<<20), "members": "a" + strings.Repeat(".a", 1<<20), "calls": "a" + strings.Repeat("()", 1<<20), "news": strings.Repeat("new ", 1<<20),
		"after a regexp": "x = /[\"`]/; " + strings.Repeat("(", 1<<20), "after a division": "x = a / b; y = `" + "`;" + strings.Repeat("[", 1<<20), "on lines": strings.Repeat("!\n", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := importText(t, start+script, ImportOptions{})
			require.ErrorIs(t, err, errWild)
		})
	}
	_, _, err := importText(t, start+"export default function() {", ImportOptions{})
	require.ErrorContains(t, err, "the script can not be read")
	many := start + strings.Repeat("response = http.get('http://a/')\nsleep(1)\n", 10_000)
	_, counts, err := importText(t, many, ImportOptions{})
	require.NoError(t, err, "a long script is fine")
	require.EqualValues(t, 10_000, counts.Kept)
}

// TestDoublingVariables: a few lines can not ask for endless work.
func TestDoublingVariables(t *testing.T) {
	script := "import http from 'k6/http'\nconst a0 = 'x'\n"
	for n := range 40 {
		script += fmt.Sprintf("const a%d = [a%d, a%d]\n", n+1, n, n)
	}
	_, counts, err := importText(t, script+"http.get(a40)", ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{computedReason: 1}, skips(counts))
}

func TestPackedInput(t *testing.T) {
	zip := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write(b)
		_ = w.Close()
		return out.Bytes()
	}
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	log := []byte(combinedLog)
	for name, packed := range map[string][]byte{"gzip": zip(log), "zstd": z.EncodeAll(log, nil), "both": zip(z.EncodeAll(log, nil)), "three": zip(zip(zip(log)))} {
		_, counts, err := importFrom(t, bytes.NewReader(packed), ImportOptions{})
		require.NoError(t, err, name)
		require.EqualValues(t, 4, counts.Kept, name)
	}
	ten := log
	for range 10 {
		ten = zip(ten)
	}
	_, _, err = importFrom(t, bytes.NewReader(ten), ImportOptions{})
	require.EqualError(t, err, "f: it is packed more than 3 times over")
	cut := zip(bytes.Repeat([]byte(strings.SplitAfter(combinedLog, "\n")[1]), 5000))
	_, counts, err := importFrom(t, bytes.NewReader(cut[:len(cut)-20]), ImportOptions{})
	require.ErrorContains(t, err, "it ends too early")
	require.NotZero(t, counts.Kept, "what came before is kept")
}

// TestHeavyUnpackedBomb: a megabyte of nothing can be a gigabyte, which is not read on.
func TestHeavyUnpackedBomb(t *testing.T) {
	withoutRaceDetector(t)
	if testing.Short() {
		t.Skip("unpacks a gigabyte")
	}
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	line := bytes.Repeat([]byte(" "), 16<<20)
	var bomb []byte
	for range 200 {
		bomb = z.EncodeAll(line, bomb)
	}
	_, _, err = importFrom(t, bytes.NewReader(bomb), ImportOptions{Format: "accesslog"})
	require.ErrorIs(t, err, errBomb)
}

func TestGuessing(t *testing.T) {
	for _, text := range []string{"hello\n", "\x00\x01", "<html>", "1 2\n", "{}}"} {
		_, _, err := importText(t, text, ImportOptions{})
		require.ErrorContains(t, err, "f: it looks like none of the formats that can be imported (goreplay, k6, har, vegeta, envoy, accesslog)")
	}
	_, _, err := importText(t, "", ImportOptions{})
	require.EqualError(t, err, "f: it is empty")
	_, _, err = importText(t, "", ImportOptions{Format: "pcap"})
	require.ErrorContains(t, err, `there is no format "pcap"; use one of goreplay, k6`)
	_, err = Import(strings.NewReader(""), ImportOptions{}, &gathered{})
	require.ErrorContains(t, err, "wants a redactor")
}

// full is a sink that takes no more.
type full struct{}

func (full) Write(Exchange) error { return os.ErrClosed }

func TestSinkErrors(t *testing.T) {
	for _, text := range []string{sampleHAR, combinedLog, envoyLines, k6Script1, gor(1, "a", 1, 0, "GET / HTTP/1.1\nHost: a\n\n"), `{"method":"GET","url":"http://a/"}`} {
		_, err := Import(strings.NewReader(text), ImportOptions{Redactor: redactor(t, RedactionRules{})}, full{})
		require.ErrorIs(t, err, os.ErrClosed)
		var failed *ImportError
		require.NotErrorAs(t, err, &failed, "it is not the file's fault")
	}
}

func TestTooLongRecords(t *testing.T) {
	line := func(n int) string {
		return `10.0.0.1 - - [10/Oct/2000:20:55:39 +0000] "GET /` + strings.Repeat("x", n) + ` HTTP/1.1" 200 5` + "\n"
	}
	path := t.TempDir() + "/t.shadow"
	w, err := Create(path, Options{})
	require.NoError(t, err)
	counts, err := Import(strings.NewReader(line(1)+line(maxTarget)+line(6<<20)+line(2)), ImportOptions{Redactor: redactor(t, RedactionRules{})}, w)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Equal(t, map[string]uint64{"the target is longer than a recording keeps": 1, tooLongReason: 1}, skips(counts))
	require.EqualValues(t, 2, counts.Kept)
}

// fuzzImporter sees that nothing that a file holds ends the program or is counted
// twice.
func fuzzImporter(f *testing.F, format string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	r := redactor(f, RedactionRules{Paths: []string{"a.b"}})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, counts, _ := importFrom(t, bytes.NewReader(data), ImportOptions{Format: format, Redactor: r, MaxBody: 1 << 10})
		for _, x := range got {
			require.True(t, isMethod(x.Request.Method), "%q", x.Request.Method)
			require.NotEmpty(t, x.Request.Target)
			require.NotEmpty(t, x.Route)
		}
		require.LessOrEqual(t, len(counts.Skipped), mostReasons+1)
	})
}

// browserHAR has what browsers write beside the standard.
const browserHAR = `{"log":{"entries":[{"startedDateTime":"2026-01-02T03:04:05Z","_fromCache":"disk","request":{"method":"GET","url":"http://a/"},"response":{"status":200}},
 {"startedDateTime":"2026-01-02T03:04:05Z","request":{"method":"POST","url":"http://a/","headers":[{"name":"content-length","value":"3"}],"postData":{"text":"ab\u00e4"}},
  "response":{"status":200,"_fetchedViaServiceWorker":false,"_error":"net::ERR","headers":[{"name":"content-type","value":"text/plain;charset=shift_jis"}],"content":{"size":9,"text":"\u65e5"}}},
 {"startedDateTime":"2026-01-02T03:04:05Z","request":{"method":"OPTIONS","url":"http://a/","headers":[{"name":"access-control-request-method","value":"PUT"}]},"response":{"status":-1,"_failureText":"net::ERR"}}]}}`

func FuzzImportHAR(f *testing.F) {
	fuzzImporter(f, "har", sampleHAR, browserHAR, `{"log":{"entries":[{"\u00`, `{"log":{"entries":["\`)
}

func FuzzImportVegeta(f *testing.F) {
	fuzzImporter(f, "vegeta", `{"method":"GET","url":"http://a/b?c#d","body":"AA==","header":{"a":["b"]}}`)
}
func FuzzImportAccessLog(f *testing.F) { fuzzImporter(f, "accesslog", combinedLog) }
func FuzzImportEnvoy(f *testing.F) {
	fuzzImporter(f, "envoy", envoyLines, `[2026-11-29T10:00:00Z] "GET /a HTTP/2" 200 - 1 2 3 4 "-" "-" "-" "a" "-"`)
}

func FuzzImportK6(f *testing.F) { fuzzImporter(f, "k6", k6Script1, "`${`${a}`}`", "/[/]/ /a/") }

func FuzzImportGoReplay(f *testing.F) {
	fuzzImporter(f, "goreplay", gor(1, "a", 1, 0, "POST / HTTP/1.1\nHost: a\nContent-Length: 1\n\nx")+gor(2, "a", 2, 3, "HTTP/1.1 200 OK\nContent-Encoding: gzip\n\nx")+gor(3, "a", 4, 0, ""))
}

func FuzzRecording(f *testing.F) {
	for _, n := range []int{1, 50} {
		data, err := os.ReadFile(record(f, samples(n)...))
		require.NoError(f, err)
		f.Add(data)
		f.Add(data[:len(data)-endSize])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := newReader("f", bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		defer func() { _ = r.Close() }()
		_, damaged := readAll(t, r)
		require.LessOrEqual(t, len(damaged), len(data))
		r.Select(Selection{})
		_, err = r.Summarize()
		require.NoError(t, err)
	})
}

// FuzzUnpacked is the same for what is within a block, which checksums keep most
// fuzzing out of.
func FuzzUnpacked(f *testing.F) {
	var e encoder
	e.reset(0)
	for _, x := range samples(3) {
		e.exchange(&x)
	}
	f.Add(e.raw, headOf(samples(3)).append(nil), appendIndex(nil, []indexEntry{{offset: 25, count: 1}}))
	f.Fuzz(func(t *testing.T, raw, packedHead, index []byte) {
		d := decoder{raw: raw}
		for d.err == nil {
			x := d.exchange()
			require.LessOrEqual(t, len(x.Request.Body.Data)+len(x.Response.Body.Data), len(raw))
		}
		_, _ = readHead(packedHead)
		_, _ = readIndex(index, 1<<40)
	})
}

func TestSummary(t *testing.T) {
	path := record(t, samples(10_000)...)
	r := openRecording(t, path)
	sum, err := r.Summarize()
	require.NoError(t, err)
	require.EqualValues(t, 10_000, sum.Exchanges)
	require.Len(t, sum.Tenants, 5)
	require.Equal(t, sampleExchange(9999).At, sum.Last)
	require.Equal(t, RouteSummary{Route: "GET /orders/a/{id}", Exchanges: 3334, Bytes: sum.Routes[0].Bytes, Statuses: map[int]uint64{200: 1667, 404: 1667}}, sum.Routes[0])
	r.Select(Selection{Tenants: []string{"tenant-3"}})
	some, err := r.Summarize()
	require.NoError(t, err)
	require.EqualValues(t, 2000, some.Exchanges)
	require.Equal(t, []string{"tenant-3"}, some.Tenants)
	require.Equal(t, sum.Blocks, some.Blocks)
}

// TestFormatsAreDocumented: every importer has a sentence and a guess.
func TestFormatsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/recordings.md")
	require.NoError(t, err)
	names, docs := Formats()
	for n, name := range names {
		require.NotEmpty(t, docs[n])
		require.Contains(t, string(page), "| `"+name+"` |")
	}
}

package shadow

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

const traffic = "../../fixtures/traffic/"

func importFile(t *testing.T, path string) ([]Exchange, Imported, []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	got, counts, err := importFrom(t, bytes.NewReader(data), ImportOptions{})
	require.NoError(t, err)
	return got, counts, data
}

// realRequest finds requests in the lines of a log in another way than the
// importer does.
var realRequest = regexp.MustCompile(`(?m)\] "(?:([A-Z]+) ((?:[^ "\\]|\\"|\\x22|\\x[8-9A-Fa-f][0-9A-Fa-f])+) HTTP/[\d.]+|(GET) (/[^ "]*))" (\d{3}) `)

func TestRealAccessLogs(t *testing.T) {
	for _, name := range []string{"apache-common.log", "apache-combined.log", "apache-vhost.log", "nginx-combined.log", "nginx-time.log"} {
		t.Run(name, func(t *testing.T) {
			got, counts, data := importFile(t, traffic+name)
			require.Equal(t, "accesslog", counts.Format)
			require.EqualValues(t, bytes.Count(data, []byte("\n")), counts.Read)
			wanted := realRequest.FindAllStringSubmatch(string(data), -1)
			require.Len(t, got, len(wanted))
			require.Greater(t, len(wanted), 50)
			for i, w := range wanted {
				require.Equal(t, w[1]+w[3], got[i].Request.Method, "%q", w[0])
				require.Equal(t, w[5], strconv.Itoa(got[i].Response.Status))
				if target := w[2] + w[4]; !strings.ContainsAny(target, `\`) && strings.HasPrefix(target, "/") {
					require.Equal(t, target, got[i].Request.Target)
				}
			}
			if name != "apache-common.log" {
				require.Contains(t, string(data), "token=abc")
				require.Regexp(t, "token=pn-", got[34].Request.Header.Get("Referer"))
				require.Contains(t, got[34].Request.Header.Get("User-Agent"), `odd "agent" \ with`)
			}
		})
	}
}

func TestRealJSONLog(t *testing.T) {
	got, counts, data := importFile(t, traffic+"nginx.json")
	require.Equal(t, "envoy", counts.Format)
	kept := 0
	for line := range bytes.Lines(data) {
		var entry struct {
			Method string `json:"request_method"`
			URI    string `json:"request_uri"`
		}
		require.NoError(t, json.Unmarshal(line, &entry))
		if entry.Method != "" && entry.URI != "" {
			require.Equal(t, entry.Method, got[kept].Request.Method)
			kept++
		}
	}
	require.Len(t, got, kept)
	require.EqualValues(t, bytes.Count(data, []byte("\n")), counts.Read)
}

// TestRealContainerLogs: a server in a container writes its errors between the lines of
// its log, and before them.
func TestRealContainerLogs(t *testing.T) {
	for name, format := range map[string]string{"nginx-container.log": "accesslog", "nginx-container.json.log": "envoy"} {
		t.Run(name, func(t *testing.T) {
			got, counts, data := importFile(t, traffic+name)
			require.Equal(t, format, counts.Format)
			lines, errors := bytes.Count(data, []byte("\n")), bytes.Count(data, []byte(" [error] "))
			require.Greater(t, errors, 2)
			require.Regexp(t, `^2026/\d\d/\d\d [\d:]+ \[error\] `, string(data))
			require.EqualValues(t, lines, counts.Read)
			require.Len(t, got, lines-errors-1, "one request is nonsense")
			writes := bytes.Count(data, []byte(`"POST`)) + bytes.Count(data, []byte(`"PUT`)) - bytes.Count(data, []byte(`"bytes_received":"0"`))
			for _, x := range got {
				if x.Request.Body.Cut {
					writes--
				}
			}
			require.Zero(t, writes, "nobody has what was sent, unless it was nothing")
		})
	}
}

// archive is what the test knows of a HAR.
type archive struct {
	Log struct {
		Entries []struct {
			Request struct {
				Method, URL string
				Headers     []any
				PostData    struct{ Text string }
			}
			Response struct {
				Status  int
				Headers []any
				Content struct{ Text, Encoding string }
			}
		}
	}
}

func TestRealHARs(t *testing.T) {
	paths, err := filepath.Glob(traffic + "har-examples/*.har")
	require.NoError(t, err)
	require.Len(t, paths, 20)
	for _, path := range append(paths, k6Example(t), traffic+"chromium.har") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			got, counts, data := importFile(t, path)
			var wanted archive
			require.NoError(t, json.Unmarshal(data, &wanted))
			require.EqualValues(t, len(wanted.Log.Entries), counts.Kept)
			require.Empty(t, counts.Skipped)
			for i, w := range wanted.Log.Entries {
				x := got[i]
				require.Equal(t, w.Request.Method, x.Request.Method)
				path, _, _ := strings.Cut(x.Request.Target, "?") // the query has secrets
				require.True(t, x.Request.Method == "CONNECT" || strings.Contains(w.Request.URL, path), "%s: %s", w.Request.URL, x.Request.Target)
				require.Equal(t, w.Response.Status, x.Response.Status)
				if text := w.Response.Content.Text; w.Response.Content.Encoding == "" && !strings.Contains(text, "oken") && !strings.Contains(strings.ToLower(text), `"cookie`) && !strings.Contains(text, "AUTH_HEADER") && !strings.Contains(text, "s3cr3t") {
					require.Equal(t, text, string(x.Response.Body.Data))
				}
				values := 0
				for _, v := range x.Response.Header {
					values += len(v)
				}
				require.GreaterOrEqual(t, values+1, len(w.Response.Headers))
			}
		})
	}
}

// TestRealBrowser: no secret of a session of Chromium is kept but in the page, whose
// script has them in its text.
func TestRealBrowser(t *testing.T) {
	got, _, data := importFile(t, traffic+"chromium.har")
	require.Len(t, got, 11)
	require.Contains(t, string(data), "Bearer s3cr3t-token")
	pseudonym := redactor(t, RedactionRules{}).Pseudonym
	for _, x := range got[1:] {
		require.NotContains(t, fmt.Sprint(x.Request.Target, x.Request.Header, x.Response.Header, string(x.Request.Body.Data), string(x.Response.Body.Data)), "s3cr3t", x.Request.Target)
		require.False(t, x.Request.Body.Cut || x.At.IsZero(), x.Request.Target)
		require.Equal(t, x.Response.Status == 302, x.Response.Body.Cut, "the browser does not look at the page of a redirection")
	}
	require.Equal(t, `{"name":"Änne","password":"`+pseudonym("s3cr3t-password")+`"}`, string(got[5].Request.Body.Data))
	require.Equal(t, "a=b+c&token="+pseudonym("s3cr3t-form"), string(got[6].Request.Body.Data))
	require.Equal(t, "\x89PNG", string(got[2].Response.Body.Data[:4]))
	require.Equal(t, "DELETE /orders/{id}", got[9].Route)
	require.True(t, slices.IsSortedFunc(got, func(a, b Exchange) int { return a.At.Compare(b.At) }))
}

// plainFile is what is in a file that is packed.
func plainFile(t *testing.T, packed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	return data
}

// browserEntry is what the tests know of an entry that a browser wrote.
type browserEntry struct {
	FromCache string `json:"_fromCache"`
	Request   struct {
		Method, URL string
		Headers     []struct{ Name string }
	}
	Response struct {
		Status   int
		ByWorker bool `json:"_fetchedViaServiceWorker"`
		Headers  []struct{ Name string }
		Content  struct {
			Text     *string
			Encoding string
		}
	}
}

// skipped says in which entries a service was not asked.
func (e browserEntry) skipped() string {
	switch {
	case !strings.HasPrefix(e.Request.URL, "http") && !strings.HasPrefix(e.Request.URL, "ws"):
		return "its URL is not of HTTP"
	case e.FromCache != "":
		return "the browser had the answer in a cache"
	case e.Response.ByWorker:
		return "a service worker answered it: what that asked has an entry of its own"
	}
	return ""
}

// TestBrowsersOwnExports: what the tools of Chromium and Firefox, and Playwright, export
// is imported entry by entry, but for what the service was never asked.
func TestBrowsersOwnExports(t *testing.T) {
	for name, least := range map[string]int{"devtools": 34, "devtools-sanitized": 37, "devtools-worker": 5, "firefox": 36, "playwright": 35} {
		t.Run(name, func(t *testing.T) {
			got, counts, packed := importFile(t, traffic+name+".har.gz")
			var wanted struct {
				Log struct{ Entries []browserEntry }
			}
			require.NoError(t, json.Unmarshal(plainFile(t, packed), &wanted))
			require.Equal(t, "har", counts.Format)
			require.EqualValues(t, len(wanted.Log.Entries), counts.Read)
			reasons := map[string]uint64{}
			for _, w := range wanted.Log.Entries {
				if why := w.skipped(); why != "" {
					reasons[why]++
					continue
				}
				x := got[0]
				got = got[1:]
				w.compare(t, x)
			}
			require.Equal(t, reasons, skips(counts))
			require.Empty(t, got)
			require.GreaterOrEqual(t, counts.Kept, uint64(least))
		})
	}
}

func (e browserEntry) compare(t *testing.T, x Exchange) {
	t.Helper()
	require.Equal(t, e.Request.Method, x.Request.Method)
	u, err := url.Parse(e.Request.URL)
	require.NoError(t, err)
	require.Equal(t, u.Path, strings.Split(x.Request.Target, "?")[0])
	require.Equal(t, u.Host, x.Request.Host)
	require.Equal(t, max(e.Response.Status, 0), x.Response.Status)
	require.Equal(t, x.Response.Status == 0, x.Response.Failure != "")
	for _, h := range e.Request.Headers {
		require.True(t, h.Name[0] == ':' || strings.EqualFold(h.Name, "host") || x.Request.Header.Get(h.Name) != "" || h.Name == "Referer", h.Name)
	}
	text := e.Response.Content.Text
	switch {
	case e.Request.Method == "HEAD" || e.Response.Status == 304 || e.Response.Status == 204 || e.Response.Status == 101:
		require.Equal(t, Body{}, x.Response.Body)
	case text == nil || strings.Contains(*text, "s3cr3t"):
	case e.Response.Content.Encoding == "base64":
		require.Equal(t, *text, base64.StdEncoding.EncodeToString(x.Response.Body.Data))
	case u.Path != "/latin":
		require.Equal(t, *text, string(x.Response.Body.Data))
	}
	requireNoSecret(t, x)
}

// requireNoSecret looks for what the page and the script that asked made up.
func requireNoSecret(t *testing.T, x Exchange) {
	t.Helper()
	answer := string(x.Response.Body.Data)
	if target, _, _ := strings.Cut(x.Request.Target, "?"); target == "/app.js" || target == "/index.html" {
		answer = "" // pages, in whose text a script has them
	}
	require.NotContains(t, fmt.Sprint(x.Request.Target, x.Request.Header, x.Response.Header, string(x.Request.Body.Data), answer), "s3cr3t", x.Request.Target)
}

// fromBrowser gives the exchanges that a browser had of a path.
func fromBrowser(t *testing.T, name, path string) (all []Exchange) {
	t.Helper()
	got, _, _ := importFile(t, traffic+name+".har.gz")
	for _, x := range got {
		if target, _, _ := strings.Cut(x.Request.Target, "?"); target == path {
			all = append(all, x)
		}
	}
	require.NotEmpty(t, all, path)
	return all
}

// TestWhatBrowsersSent: the three bodies that the page uploads are a form with five
// bytes of a file, five bytes, and JSON that is packed.
func TestWhatBrowsersSent(t *testing.T) {
	password := redactor(t, RedactionRules{}).Pseudonym("s3cr3t-zipped")
	for name, forms := range map[string]string{
		"devtools": "the archive has not all of its bytes", "devtools-sanitized": "", "firefox": "", "playwright": "",
	} {
		form, plain, zipped := fromBrowser(t, name, "/upload")[0].Request.Body, fromBrowser(t, name, "/upload")[1].Request.Body, fromBrowser(t, name, "/upload")[2].Request.Body
		require.True(t, form.Cut, "%s: it has a secret, or is not there", name)
		require.Equal(t, forms, form.Damage, name)
		switch name {
		case "playwright":
			require.Equal(t, Body{Size: 5, Cut: true}, plain, name)
		default:
			require.Equal(t, Body{Data: []byte{0, 255, 128, 10, 200}, Size: 5}, plain, name)
		}
		switch name {
		case "devtools", "firefox":
			require.Equal(t, `{"zipped":true,"password":"`+password+`"}`, string(zipped.Data), name)
			require.Equal(t, "gzip", zipped.Encoding)
			require.False(t, zipped.Cut)
		default:
			require.True(t, zipped.Cut, name)
		}
	}
}

// TestWhatBrowsersGot: bodies are the bytes that travelled, as far as a browser tells.
func TestWhatBrowsersGot(t *testing.T) {
	for _, name := range []string{"devtools", "firefox", "playwright"} {
		require.Equal(t, "Gr\xfc\xdfe", string(fromBrowser(t, name, "/latin")[0].Response.Body.Data), "%s: an archive has it in UTF-8", name)
		cut := fromBrowser(t, name, "/cut")[0].Response
		require.Equal(t, 200, cut.Status)
		require.True(t, cut.Body.Cut, "%s: of 1000 bytes 14 came", name)
		if name != "firefox" {
			require.Equal(t, "net::ERR_HTTP2_PROTOCOL_ERROR", cut.Body.Damage)
			require.Equal(t, "net::ERR_CONNECTION_REFUSED", fromBrowser(t, name, "/refused")[0].Response.Failure)
			require.Equal(t, "net::ERR_ABORTED", fromBrowser(t, name, "/slow")[0].Response.Failure)
		}
		for _, x := range append(fromBrowser(t, name, "/old"), fromBrowser(t, name, "/checked.json")...) {
			require.Equal(t, x.Response.Status == 302, x.Response.Body.Cut, "%s: nobody has the body of a redirection", name)
			require.Empty(t, x.Response.Header.Get("X-Firefox-Spdy"))
		}
	}
	require.Empty(t, fromBrowser(t, "firefox", "/events")[0].Response.Body.Damage)
	require.Len(t, fromBrowser(t, "firefox", "/cached.json"), 2, "Firefox does not tell what it had in its cache")
	require.Len(t, fromBrowser(t, "devtools", "/cached.json"), 1)
	require.Len(t, fromBrowser(t, "devtools-worker", "/orders/2"), 1)
	for _, name := range []string{"devtools", "firefox"} {
		all := fromBrowser(t, name, "/orders/1")
		i := slices.IndexFunc(all, func(x Exchange) bool { return x.Request.Method == "OPTIONS" })
		require.Equal(t, 404, all[i].Response.Status)
		require.True(t, all[i].Response.Body.Cut, "nobody looks at the page that a preflight gets")
	}
}

// k6Example is an archive that comes with k6.
func k6Example(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "go.k6.io/k6/v2").Output()
	require.NoError(t, err)
	return filepath.Join(strings.TrimSpace(string(out)), "internal/cmd/testdata/example.har")
}

// TestScriptSaysTheSameAsItsHAR: what har-to-k6 made of an archive has its requests.
func TestScriptSaysTheSameAsItsHAR(t *testing.T) {
	script, counts, _ := importFile(t, traffic+"har-to-k6.js")
	require.Equal(t, "k6", counts.Format)
	require.Empty(t, counts.Skipped)
	har, _, _ := importFile(t, k6Example(t))
	require.Len(t, script, len(har))
	for i := range har {
		require.Equal(t, har[i].Request.Method, script[i].Request.Method)
		require.Equal(t, har[i].Request.Target, script[i].Request.Target)
		require.Equal(t, har[i].Request.Host, script[i].Request.Host)
		require.Equal(t, string(har[i].Request.Body.Data), string(script[i].Request.Body.Data))
	}
}

// TestScriptOfABrowser: what har-to-k6 made of what Chromium exported has all that went
// over HTTP, but for a form that the script puts together when it runs.
func TestScriptOfABrowser(t *testing.T) {
	script, counts, _ := importFile(t, traffic+"devtools-to-k6.js.gz")
	require.Equal(t, "k6", counts.Format)
	require.Equal(t, map[string]uint64{"its arguments are computed": 1}, skips(counts))
	_, _, packed := importFile(t, traffic+"devtools.har.gz")
	var har struct {
		Log struct{ Entries []browserEntry }
	}
	require.NoError(t, json.Unmarshal(plainFile(t, packed), &har))
	form := true
	for _, e := range har.Log.Entries {
		u, err := url.Parse(e.Request.URL)
		require.NoError(t, err)
		switch {
		case u.Scheme != "https": // har-to-k6 wants none of these
		case u.Path == "/upload" && form:
			form = false
		default:
			require.Equal(t, e.Request.Method, script[0].Request.Method)
			require.Equal(t, u.Path, strings.Split(script[0].Request.Target, "?")[0])
			require.Equal(t, u.Host, script[0].Request.Host)
			script = script[1:]
		}
	}
	require.Empty(t, script)
}

// TestTargetsOfVegeta: what vegeta itself writes is read as it was.
func TestTargetsOfVegeta(t *testing.T) {
	var file bytes.Buffer
	targets := vegeta.NewJSONTargetEncoder(&file)
	const many = 500
	for n := range many {
		require.NoError(t, targets.Encode(&vegeta.Target{
			Method: []string{"GET", "POST", "DELETE"}[n%3], URL: fmt.Sprintf("https://shop.example:8443/orders/%d?q=%%C3%%A4&n=a+b", n),
			Header: http.Header{"Accept": {"a/b", "c/d"}, "X-Name": {"\u00fc \"quoted\""}}, Body: bytes.Repeat([]byte{0, 0xff, '{'}, n),
		}))
	}
	got, counts, err := importFrom(t, &file, ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, "vegeta", counts.Format)
	require.Len(t, got, many)
	for n, x := range got {
		require.Equal(t, []string{"GET", "POST", "DELETE"}[n%3], x.Request.Method)
		require.Equal(t, fmt.Sprintf("/orders/%d?q=%%C3%%A4&n=a+b", n), x.Request.Target)
		require.Equal(t, http.Header{"Accept": {"a/b", "c/d"}, "X-Name": {"\u00fc \"quoted\""}}, x.Request.Header)
		require.True(t, bytes.Equal(bytes.Repeat([]byte{0, 0xff, '{'}, n), x.Request.Body.Data))
	}
}

// goReplayMessages takes a file of GoReplay apart in another way than the importer
// does: what it has of each kind, by id.
func goReplayMessages(data []byte) (kinds map[string]map[string]string, all int) {
	kinds = map[string]map[string]string{"1": {}, "2": {}}
	for message := range strings.SplitSeq(string(data), "\n🐵🙈🙉\n") {
		if words := strings.Fields(message); len(words) > 0 {
			kinds[words[0]][words[1]] = message
			all++
		}
	}
	return kinds, all
}

func TestRealGoReplay(t *testing.T) {
	got, counts, data := importFile(t, traffic+"goreplay.gor")
	require.Equal(t, "goreplay", counts.Format)
	kinds, all := goReplayMessages(data)
	require.EqualValues(t, all, counts.Read+counts.Joined)
	require.Len(t, got, len(kinds["1"]))
	require.Equal(t, map[string]uint64{"it only announces an answer": 1, "it is an answer without its request": 1}, skips(counts))
	answered := 0
	for id, request := range kinds["1"] {
		var at, took, latency, began int64
		line, request, _ := strings.Cut(request, "\n")
		require.Equal(t, 2, scan(t, line, "1 "+id+" %d %d", &at, &took))
		i := slices.IndexFunc(got, func(x Exchange) bool { return x.At.UnixNano() == at })
		require.GreaterOrEqual(t, i, 0, line)
		x := got[i]
		require.True(t, strings.HasPrefix(request, x.Request.Method+" "+strings.Split(x.Request.Target, "?")[0]), "%.40s: %s", request, x.Request.Target)
		answer, has := kinds["2"][id]
		if !has {
			require.Zero(t, x.Response.Status)
			continue
		}
		answered++
		line, answer, _ = strings.Cut(answer, "\n")
		require.Equal(t, 2, scan(t, line, "2 "+id+" %d %d", &began, &latency))
		require.EqualValues(t, began-at+latency, x.Took)
		require.Equal(t, answer[9:12], strconv.Itoa(x.Response.Status))
		require.Empty(t, x.Response.Body.Damage)
		if head, body, _ := strings.Cut(answer, "\r\n\r\n"); strings.Contains(head, "Content-Length") && x.Request.Method != "HEAD" {
			hidden := regexp.MustCompile("pn-[0-9a-f]{32}|s3cr3t-[a-z]+") // the pages have some in them
			require.Equal(t, hidden.ReplaceAllString(body, ""), hidden.ReplaceAllString(string(x.Response.Body.Data), ""))
		}
	}
	require.EqualValues(t, answered, counts.Joined)
	require.Contains(t, string(data), "s3cr3t-multipart")
	for _, x := range got {
		requireNoSecret(t, x)
	}
}

// TestRealGoReplayReplayed: what a replay by GoReplay was answered is told, and what
// was answered first is kept.
func TestRealGoReplayReplayed(t *testing.T) {
	again, counts, packed := importFile(t, traffic+"goreplay-replayed.gor.gz")
	replies := regexp.MustCompile(`(?m)^3 [0-9a-f]{24} \d+ \d+$`).FindAll(plainFile(t, packed), -1)
	require.Greater(t, len(replies), 30)
	require.EqualValues(t, len(replies), skips(counts)["it is the answer to a replay"])
	once, _, _ := importFile(t, traffic+"goreplay.gor")
	byTime := func(a, b Exchange) int { return a.At.Compare(b.At) }
	slices.SortFunc(once, byTime)
	slices.SortFunc(again, byTime)
	require.Equal(t, once, again)
}

func scan(t *testing.T, text, format string, into ...any) int {
	t.Helper()
	n, err := fmt.Sscanf(text, format, into...)
	require.NoError(t, err, text)
	return n
}

// TestRealGoReplayRequests: a file of requests alone, packed, has the same requests as
// the one with answers, of which another process wrote it at the same time.
func TestRealGoReplayRequests(t *testing.T) {
	asked, counts, data := importFile(t, traffic+"goreplay-requests.gor.gz")
	require.Equal(t, "\x1f\x8b", string(data[:2]))
	require.Empty(t, counts.Skipped)
	require.Zero(t, counts.Joined)
	got, _, _ := importFile(t, traffic+"goreplay.gor")
	targets := func(all []Exchange) (list []string) {
		for _, x := range all {
			list = append(list, fmt.Sprint(x.Request.Method, x.Request.Target, x.Request.Header, string(x.Request.Body.Data)))
		}
		slices.Sort(list)
		return list
	}
	require.Equal(t, targets(got), targets(asked))
}

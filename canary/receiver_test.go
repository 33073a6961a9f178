package canary

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

var update = flag.Bool("update", false, "write the golden files")

// secret is in every place of a receiver that is secret.
const secret = "s3cr3t/with a\"quote"

// receivers has one of each kind, all at the same server.
func receivers(base string) map[string]plan.Receiver {
	return map[string]plan.Receiver{
		"alertmanager": {Alertmanager: &plan.Alertmanager{URL: base + "/prefix/", Token: "s3cr3t-token"}},
		"slack":        {Slack: &plan.Slack{URL: base + "/services/T0000/B0000/s3cr3tpath"}},
		"pagerduty":    {PagerDuty: &plan.PagerDuty{URL: base, Key: "s3cr3tkey"}},
		"webhook":      {Webhook: &plan.Webhook{URL: base + "/hook?token=s3cr3tquery", Headers: map[string]string{"X-Api-Key": "s3cr3tkey", "Authorization": "Bearer s3cr3tbearer"}}},
		"template": {Webhook: &plan.Webhook{
			URL: base + "/hook", Type: "text/plain",
			Body: `{{.Title}} since {{time .Incident.Start}}: {{json .Incident.Messages}}{{range .Incident.Units}} {{.Transaction}}{{end}}`,
		}},
	}
}

// sent is a request as golden files have it.
func sent(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.RequestURI)
	for _, name := range []string{"Authorization", "Content-Type", "X-Api-Key"} {
		if value := r.Header.Get(name); value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, body, "", "  ") == nil {
		body = pretty.Bytes()
	}
	return b.String() + "\n" + string(body) + "\n"
}

func TestGoldenRequests(t *testing.T) {
	answers := map[string]struct {
		status int
		body   string
	}{"alertmanager": {200, ""}, "slack": {200, "ok"}, "pagerduty": {202, `{"status":"success"}`}, "webhook": {204, ""}, "template": {200, "whatever"}}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			var got []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = append(got, sent(r))
				w.WriteHeader(answer.status)
				_, _ = io.WriteString(w, answer.body)
			}))
			defer server.Close()
			p, err := newPost(receivers(server.URL)[name], "")
			require.NoError(t, err)
			now := time.Date(2026, 1, 2, 18, 0, 0, 0, time.UTC)
			for _, kind := range []string{Opened, Reminder, Acknowledged, Closed} {
				l, err := p.request(aNotice(kind), now)
				require.NoError(t, err)
				require.NoError(t, p.send(t.Context(), l))
			}
			golden(t, "notices-"+name, strings.Join(got, "\n"))
		})
	}
}

// golden compares with testdata/NAME.golden, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "go test ./canary -run '^%s$' -update writes it", t.Name())
}

// TestRefusals are told in words that help and hide all secrets, although the
// receiver says them.
func TestRefusals(t *testing.T) {
	echo := "s3cr3t-token s3cr3tpath s3cr3tkey s3cr3tquery s3cr3tbearer"
	for _, c := range []struct {
		receiver string
		status   int
		body     string
		error    string
		lasting  bool
	}{
		{"alertmanager", 400, `"start time missing"`, "answers 400: start time missing", true},
		{"alertmanager", 401, `{"code":401}`, "answers 401", true},
		{"alertmanager", 500, `"` + echo + `"`, "answers 500: (hidden) s3cr3tpath s3cr3tkey s3cr3tquery s3cr3tbearer", false},
		{"alertmanager", 202, ``, "answers 202, but not as this kind of receiver does", false},
		{"slack", 200, "<html>log in</html>", "answers 200, but not as this kind of receiver does", false},
		{"slack", 404, "no_service", "answers 404: no_service", true},
		{"slack", 403, echo, "answers 403", true},
		{"slack", 500, "rollup_error\n", "answers 500: rollup_error", false},
		{"pagerduty", 400, `{"status":"invalid event","message":"Event object is invalid","errors":["Invalid routing key s3cr3tkey","x"]}`, "answers 400: Event object is invalid; Invalid routing key (hidden); x", true},
		{"pagerduty", 200, ``, "answers 200, but not as this kind of receiver does", false},
		{"pagerduty", 429, `{"message":7}`, "answers 429", false},
		{"webhook", 418, echo, "answers 418", true},
		{"webhook", 307, echo, "answers 307, a redirect, which is not followed", true},
		{"webhook", 503, echo, "answers 503", false},
	} {
		t.Run(fmt.Sprint(c.receiver, c.status), func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			p, err := newPost(receivers(server.URL)[c.receiver], "")
			require.NoError(t, err)
			l, err := p.request(aNotice(Opened), time.Now())
			require.NoError(t, err)
			var why *refusal
			require.ErrorAs(t, p.send(t.Context(), l), &why)
			require.Equal(t, c.error, why.says)
			require.Equal(t, c.lasting, why.lasting)
			require.Equal(t, 1, asked)
		})
	}
}

// TestUnreachable: no error shows more of a URL than its host.
func TestUnreachable(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	untrusted.StartTLS()
	defer untrusted.Close()
	torn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "s3cr3t")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer torn.Close()
	for base, want := range map[string]string{
		closed.URL: "can not be reached: dial tcp " + closed.Listener.Addr().String() + ": connect: connection refused",
		"https://" + untrusted.Listener.Addr().String(): "can not be reached: tls: failed to verify certificate: x509: certificate signed by unknown authority",
		torn.URL:        "broke off its answer: unexpected EOF",
		"http://bad\n/": "its URL can not be called",
	} {
		for name, r := range receivers(base) {
			p, err := newPost(r, "")
			require.NoError(t, err)
			l, err := p.request(aNotice(Opened), time.Now())
			require.NoError(t, err)
			require.EqualError(t, p.send(t.Context(), l), want, name)
		}
	}
}

func TestHider(t *testing.T) {
	h := hider(append(urlSecrets("https://user:pa55word@hooks.example.com/services/T00/B1234567/x%20yz123?key=v4lue&k2=other%2Fone"), secret, "", "abc"))
	for _, text := range []string{
		"user:pa55word", "pa55word", "/services/T00/B1234567/x%20yz123", "x yz123", "x%20yz123", "key=v4lue", "v4lue", "other/one", "other%2Fone",
		secret, `s3cr3t/with a\"quote`, "s3cr3t%2Fwith+a%22quote",
	} {
		require.NotContains(t, h.Replace("see "+text+"!"), text)
	}
	require.Equal(t, "dial hooks.example.com: abc", h.Replace("dial hooks.example.com: abc"))
}

func TestNewMailerSaysWhatIsWrong(t *testing.T) {
	for want, r := range map[string]plan.Receiver{
		"receiver r: is of no kind: give alertmanager, slack, pagerduty or webhook": {},
		"receiver r: webhook: tls: ca: open none.pem: no such file or directory":    {Webhook: &plan.Webhook{URL: "https://x.test", TLS: &plan.TLS{CA: "none.pem"}}},
	} {
		_, err := NewMailer(newHeldState(), map[string]plan.Receiver{"r": r}, "", nil, nil)
		require.EqualError(t, err, want)
	}
}

func TestWebhookTrustsItsAuthority(t *testing.T) {
	got := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got++ }))
	defer server.Close()
	dir := t.TempDir()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), authority, 0o600))
	p, err := newPost(plan.Receiver{Webhook: &plan.Webhook{URL: server.URL, TLS: &plan.TLS{CA: "ca.pem"}}}, dir)
	require.NoError(t, err)
	require.NoError(t, p.send(t.Context(), letter{url: server.URL}))
	require.Equal(t, 1, got)
}

// TestTemplates that can not make anything of a notice say why, and never make
// too much.
func TestTemplates(t *testing.T) {
	for body, want := range map[string]string{
		"{{.Nothing}}":                   "can't evaluate field Nothing",
		"{{index .Incident.Messages 9}}": "index out of range",
		"{{range .Incident.Units}}{{printf \"%999999d\" 1}}{{end}}": "makes more than 256 KiB of a notice",
		"{{": "unclosed action",
	} {
		l, err := newWebhook(plan.Receiver{Webhook: &plan.Webhook{URL: "http://x.test", Body: body}}).request(aNotice(Opened), time.Now())
		require.ErrorContains(t, err, "its template: ")
		require.ErrorContains(t, err, want)
		require.Empty(t, l.body)
	}
}

func TestLongTexts(t *testing.T) {
	n := aNotice(Opened)
	n.Key = strings.Repeat("k", 256)
	n.Incident.Evidence = strings.Repeat("é", 5000)
	n.Incident.Runbook = "https://runbooks.example.com/a|b>c?x=1&y=<2>"
	n.Incident.Messages = []string{strings.Repeat("x", 300), strings.Repeat("<!channel>", 30), strings.Repeat("y", 300), strings.Repeat("z", 300), strings.Repeat("a", 300)}
	n.Incident.Agreed = []string{strings.Repeat("b", 300)}
	for i := range 100 {
		n.Incident.Units = append(n.Incident.Units, Unit{strings.Repeat("u", 300), "cell", fmt.Sprint(i)})
	}
	l, err := slack{"http://x.test"}.request(n, time.Now())
	require.NoError(t, err)
	var message slackMessage
	require.NoError(t, json.Unmarshal(l.body, &message))
	require.Len(t, message.Blocks, 3)
	require.LessOrEqual(t, len(message.Blocks[0].Text.Text), slackHeader)
	require.LessOrEqual(t, len(message.Blocks[1].Text.Text), slackSection)
	require.Equal(t, "plain_text", message.Blocks[1].Text.Type)
	require.Equal(t, "<https://runbooks.example.com/a%7Cb%3Ec?x=1&amp;y=%3C2%3E|Runbook>", message.Blocks[2].Elements[0].Text)
	require.Empty(t, slackLink("javascript:alert(1)"))

	l, err = pagerDuty{"http://x.test", "k"}.request(n, time.Now())
	require.NoError(t, err)
	var event pagerDutyEvent
	require.NoError(t, json.Unmarshal(l.body, &event))
	require.Len(t, event.DedupKey, 64)
	require.LessOrEqual(t, len(event.Payload.Summary), pagerDutySummary)
	n.Incident.Severity = "ticket"
	l, err = pagerDuty{"http://x.test", "k"}.request(n, time.Now())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(l.body, &event))
	require.Equal(t, "warning", event.Payload.Severity)
}

// FuzzAnswers: whatever a receiver answers costs an error of one line at most,
// which shows no secret.
func FuzzAnswers(f *testing.F) {
	f.Add(200, "ok", "1", "")
	f.Add(202, `{"message":"s3cr3tkey","errors":["s3cr3tpath"]}`, "-5", "/x")
	f.Add(400, `"s3cr3t-token"`, "Fri, 31 Dec 1999 23:59:59 GMT", "http://%zz")
	f.Add(301, "\x00\xff", "9999999999999999999999", "\x7f")
	f.Add(999, strings.Repeat("[", 10000), "NaN", "//")
	var posts []*post
	for _, r := range receivers("http://x.test") {
		p, err := newPost(r, "")
		require.NoError(f, err)
		posts = append(posts, p)
	}
	f.Fuzz(func(t *testing.T, status int, body, after, location string) {
		for _, p := range posts {
			p.http.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
				header := http.Header{"Retry-After": {after}, "Location": {location}}
				return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
			})
			l, err := p.request(aNotice(Opened), time.Now())
			require.NoError(t, err)
			if err = p.send(t.Context(), l); err == nil {
				require.True(t, status >= 200 && status < 300)
				continue
			}
			why, ok := err.(*refusal)
			require.True(t, ok)
			require.Less(t, len(why.says), 500)
			require.NotContains(t, why.says, "\n")
			require.GreaterOrEqual(t, why.after, time.Duration(0))
			require.LessOrEqual(t, why.after, longestAsk)
			for _, hidden := range urlSecretsOf(l) {
				require.NotContains(t, why.says, hidden)
			}
		}
	})
}

// urlSecretsOf gives what of a letter must not be seen.
func urlSecretsOf(l letter) []string {
	var hidden []string
	for _, s := range []string{"s3cr3t-token", "s3cr3tpath", "s3cr3tkey", "s3cr3tquery", "s3cr3tbearer"} {
		if strings.Contains(l.url, s) || strings.Contains(string(l.body), s) || strings.Contains(fmt.Sprint(l.header), s) {
			hidden = append(hidden, s)
		}
	}
	return hidden
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

package run

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// listening is a conductor that hears, with its record.
func listening(t *testing.T, alerts *plan.Alerts, phase plan.Phase) (c *Conductor, b *bound, record *memory) {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	record = &memory{}
	dir, err := os.MkdirTemp("", "ear") // a socket wants a short path
	require.NoError(t, err)
	c = &Conductor{Plan: plan.Plan{Alerts: alerts, Secrets: map[string]plan.Secret{"hook": {Env: "HOOK"}}}, Recorder: record, Socket: filepath.Join(dir, "run.sock"), Getenv: func(string) (string, bool) { return "s3cret-token", true }}
	phase.Name = "beta"
	b, err = c.bind(phase)
	require.NoError(t, err)
	undo := &undoing{}
	require.NoError(t, c.hear(b, undo))
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, undo.all())
		require.NoFileExists(t, c.Socket)
		require.NoError(t, os.RemoveAll(dir))
		for ended := time.Now(); ; { // a busy machine may take longer than goleak waits
			if err = goleak.Find(ignore); err == nil || time.Since(ended) > 10*time.Second {
				break
			}
		}
		require.NoError(t, err)
	})
	return c, b, record
}

// post sends a body and gives the status and the text of the answer.
func post(t *testing.T, client *http.Client, url, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Close = true
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, strings.TrimSpace(string(text))
}

// alertmanager is what Alertmanager 0.27 posts, shortened.
const alertmanager = `{"version":"4","groupKey":"{}:{alertname=\"HighErrors\"}","truncatedAlerts":0,"status":"firing","receiver":"harness",
"groupLabels":{"alertname":"HighErrors"},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am",
"alerts":[{"status":"firing","labels":{"alertname":"HighErrors","service":"shop"},"annotations":{},"startsAt":"2026-11-21T10:00:00.5Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"a1"},
{"status":"resolved","labels":{"alertname":"Latency"},"startsAt":"2026-11-21T09:00:00Z","endsAt":"2026-11-21T10:00:00Z","fingerprint":"b2"}]}`

func TestAlertsAreRecordedAsTheyCome(t *testing.T) {
	_, b, record := listening(t, &plan.Alerts{}, plan.Phase{})
	require.Equal(t, b.alerts, record.find(t, measure.EventListening, measure.ListensAlerts).Attrs["url"])
	status, text := post(t, http.DefaultClient, b.alerts, "", alertmanager)
	require.Equal(t, http.StatusNoContent, status, text)
	require.Equal(t, map[string]string{"state": "firing", "by": "harness", "id": "a1", "since": "2026-11-21T10:00:00.5Z"}, record.find(t, measure.EventAlert, "HighErrors").Attrs)
	e := record.find(t, measure.EventAlert, "Latency")
	require.Equal(t, "resolved", e.Attrs["state"])
	require.Equal(t, "beta", e.Phase)
	require.NotZero(t, e.At)

	status, _ = post(t, http.DefaultClient, b.alerts, "", `{"name":"Disk","state":"firing","by":"script"}`)
	require.Equal(t, http.StatusNoContent, status)
	require.Equal(t, map[string]string{"state": "firing", "by": "script"}, record.find(t, measure.EventAlert, "Disk").Attrs)
}

func TestWhatIsNoAlertIsRefused(t *testing.T) {
	_, b, record := listening(t, &plan.Alerts{}, plan.Phase{})
	before := len(record.told())
	many := `{"alerts":[` + strings.TrimSuffix(strings.Repeat(`{"status":"firing","labels":{"alertname":"A"}},`, 1001), ",") + `]}`
	for body, want := range map[string]int{
		"":                                 http.StatusBadRequest,
		"[]":                               http.StatusBadRequest,
		"{}":                               http.StatusBadRequest,
		`{"name":"A"}`:                     http.StatusBadRequest,
		`{"name":"A","state":"maybe"}`:     http.StatusBadRequest,
		`{"alerts":[{"status":"firing"}]}`: http.StatusBadRequest,
		`{"name":"` + strings.Repeat("x", 201) + `","state":"firing"}`:                    http.StatusBadRequest,
		`{"alerts":[{"status":"firing","labels":{"alertname":"A"}},{"status":"firing"}]}`: http.StatusBadRequest,
		many: http.StatusRequestEntityTooLarge,
		`{"name":"` + strings.Repeat("x", maxWebhook) + `"}`: http.StatusRequestEntityTooLarge,
	} {
		status, text := post(t, http.DefaultClient, b.alerts, "", body)
		require.Equal(t, want, status, "%.60s", body)
		require.NotEmpty(t, text)
	}
	resp, err := http.Get(b.alerts)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	require.Len(t, record.told(), before, "nothing of it was recorded, not even the good half")
}

func TestTheTokenIsWanted(t *testing.T) {
	_, b, record := listening(t, &plan.Alerts{Token: "${secrets.hook}"}, plan.Phase{})
	body := `{"name":"A","state":"firing"}`
	for _, wrong := range []string{"", "other", "s3cret-toke"} {
		status, _ := post(t, http.DefaultClient, b.alerts, wrong, body)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	require.NotContains(t, record.told(), "alert A")
	status, _ := post(t, http.DefaultClient, b.alerts, "s3cret-token", body)
	require.Equal(t, http.StatusNoContent, status)
	status, _ = post(t, http.DefaultClient, strings.TrimSuffix(b.alerts, "alerts")+"ack", "", "{}")
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestWebPagesAreNotListenedTo(t *testing.T) {
	call := func(url, token string, header map[string]string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"name":"A","state":"firing"}`))
		require.NoError(t, err)
		req.Close = true
		for key, value := range header {
			req.Header.Set(key, value)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	const browser, form = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/60.0", "application/x-www-form-urlencoded"
	_, b, record := listening(t, &plan.Alerts{}, plan.Phase{})
	for _, header := range []map[string]string{
		{"Origin": "https://elsewhere.example", "Content-Type": "application/json"},
		{"Origin": "null"},
		{"Sec-Fetch-Site": "cross-site"},
		{"User-Agent": browser},
		{"User-Agent": browser, "Content-Type": form},
		{"User-Agent": browser, "Content-Type": "text/plain;charset=UTF-8"},
	} {
		require.Equal(t, http.StatusForbidden, call(b.alerts, "", header), "%v", header)
		require.Equal(t, http.StatusForbidden, call(strings.TrimSuffix(b.alerts, "alerts")+"ack", "", header), "%v", header)
	}
	require.NotContains(t, record.told(), "alert A")
	for _, header := range []map[string]string{{"Content-Type": "application/json", "User-Agent": "Alertmanager/0.27"}, {"Content-Type": form, "User-Agent": "curl/8.5.0"}} {
		require.Equal(t, http.StatusNoContent, call(b.alerts, "", header), "%v", header)
	}
	_, b, _ = listening(t, &plan.Alerts{Token: "${secrets.hook}"}, plan.Phase{})
	require.Equal(t, http.StatusNoContent, call(b.alerts, "s3cret-token", map[string]string{"Origin": "https://ours.example"}), "it knows the token")
}

func TestNamesOfAlertsAreBounded(t *testing.T) {
	_, b, record := listening(t, &plan.Alerts{}, plan.Phase{})
	many := func(from, to int) string {
		var list []string
		for i := from; i < to; i++ {
			list = append(list, `{"status":"firing","labels":{"alertname":"A`+strconv.Itoa(i)+`"}}`)
		}
		return `{"alerts":[` + strings.Join(list, ",") + `]}`
	}
	for _, tc := range []struct{ from, to, want int }{
		{0, 900, http.StatusNoContent},
		{850, 1001, http.StatusTooManyRequests},
		{850, 1000, http.StatusNoContent},
		{1000, 1001, http.StatusTooManyRequests},
		{0, 1, http.StatusNoContent},
	} {
		status, text := post(t, http.DefaultClient, b.alerts, "", many(tc.from, tc.to))
		require.Equal(t, tc.want, status, "%v: %s", tc, text)
	}
	require.NotContains(t, record.told(), "alert A1000")
}

func TestASecretInTheNameOfAnAlertIsNotRecorded(t *testing.T) {
	c, b, record := listening(t, &plan.Alerts{}, plan.Phase{})
	status, _ := post(t, http.DefaultClient, b.alerts, "", `{"name":"leak s3cret-token","state":"firing"}`)
	require.Equal(t, http.StatusNoContent, status)
	status, _ = post(t, bySocket(c), "http://run/ack", "", `{"name":"leak s3cret-token","by":"ann"}`)
	require.Equal(t, http.StatusNoContent, status)
	record.find(t, measure.EventAlert, "leak (secret hook)")
	record.find(t, measure.EventAck, "leak (secret hook)")
}

// bySocket calls a conductor by its socket.
func bySocket(c *Conductor) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
	}}}
}

func TestAcknowledgements(t *testing.T) {
	sweep := plan.Disruption{Name: "kill", Sweep: true, Kubernetes: &plan.Kubernetes{}}
	c, b, record := listening(t, &plan.Alerts{}, plan.Phase{Disruptions: []plan.Disruption{{Name: "slow"}, sweep}})
	client := bySocket(c)
	ack := func(body string) int {
		status, _ := post(t, client, "http://run/ack", "", body)
		return status
	}
	require.Equal(t, http.StatusNotFound, ack(`{"name":"HighErrors"}`), "it was not heard")
	status, _ := post(t, http.DefaultClient, b.alerts, "", alertmanager)
	require.Equal(t, http.StatusNoContent, status)
	for _, name := range []string{"", "slow", "kill", "kill.shop-a", "HighErrors"} {
		require.Equal(t, http.StatusNoContent, ack(`{"name":"`+name+`","by":"ann"}`), name)
		require.Equal(t, map[string]string{"by": "ann"}, record.find(t, measure.EventAck, name).Attrs)
	}
	require.Equal(t, http.StatusNotFound, ack(`{"name":"slo"}`))
	require.Equal(t, http.StatusBadRequest, ack(`nonsense`))
	info, err := os.Stat(c.Socket)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestARecordThatFailsIsToldToWhoPosts(t *testing.T) {
	_, b, record := listening(t, &plan.Alerts{}, plan.Phase{})
	record.mu.Lock()
	record.fail = io.ErrShortWrite
	record.mu.Unlock()
	status, _ := post(t, http.DefaultClient, b.alerts, "", `{"name":"A","state":"firing"}`)
	require.Equal(t, http.StatusInternalServerError, status)
}

func TestAnAddressInUseStopsBeforeAnyTraffic(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c := &Conductor{Plan: plan.Plan{Alerts: &plan.Alerts{Listen: l.Addr().String()}}, Recorder: &memory{}}
	b, err := c.bind(plan.Phase{Name: "beta"})
	require.NoError(t, err)
	require.ErrorContains(t, c.hear(b, &undoing{}), "another process listens on "+l.Addr().String())
}

func TestASocketThatCanNotBeIsAWarning(t *testing.T) {
	record := &memory{}
	c := &Conductor{Recorder: record, Socket: filepath.Join(t.TempDir(), strings.Repeat("x", 200))}
	b, err := c.bind(plan.Phase{Name: "beta"})
	require.NoError(t, err)
	require.NoError(t, c.hear(b, &undoing{}))
	require.Contains(t, record.find(t, measure.EventWarning, "ack").Attrs["detail"], "resilience ack can not reach this run")
}

func FuzzAlerts(f *testing.F) {
	f.Add([]byte(alertmanager))
	f.Add([]byte(`{"name":"A","state":"firing"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		record := &memory{}
		e := &ear{c: &Conductor{Recorder: record}, phase: plan.Phase{Name: "beta"}, alerts: map[string]bool{}}
		if err := e.alert(bytes.Clone(body)); err != nil {
			require.Empty(t, record.events)
			return
		}
		for _, one := range record.events {
			require.NotEmpty(t, one.Name)
			require.Contains(t, []string{"firing", "resolved"}, one.Attrs["state"])
		}
	})
}

package canary

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Tokens of the plan of tests.
const (
	serveToken = "s3rve-token-of-the-test"
	peerToken  = "p33r-token-of-the-test"
	hookToken  = "h00k-token-of-the-test"
)

// shownState is a heldState with history.
type shownState struct {
	*heldState
	history func(from, to int64, width time.Duration) ([]measure.Window, error)
	asked   int
}

func (s *shownState) History(from, to int64, width time.Duration) ([]measure.Window, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	return s.history(from, to, width)
}

// shop is a canary of a shop, in the middle of an incident, at a fixed time.
type shop struct {
	Faces
	state  *shownState
	now    time.Time
	status Status
	broken error
	mu     sync.Mutex
	did    []string // who acknowledged what, and which jobs reported
}

func newShop(t testing.TB) *shop {
	t.Helper()
	now := time.Date(2026, 11, 29, 15, 4, 40, 0, time.UTC)
	s := &shop{now: now, state: &shownState{heldState: newHeldState(), history: shopHistory}}
	open := anIncident()
	shift(&open, now.Add(-35*time.Second))
	s.keep(t, open)
	for n := range 45 {
		i := aNotice(Closed).Incident
		i.Messages = []string{"status 503 <script>alert(1)</script>"}
		shift(&i, now.Add(-time.Duration(n*41+30)*time.Hour))
		s.keep(t, i)
	}
	last := now.Add(-5 * time.Second).UnixNano()
	unit := func(transaction, cell string, good bool, message string) UnitStatus {
		u := UnitStatus{Unit: Unit{Transaction: transaction}, Good: good, Row: 3, Last: last, Message: message, Tried: 1200, Accepted: 1198, Served: 1197}
		if cell != "" {
			u.Key, u.Value = "cell", cell
		}
		return u
	}
	s.status = Status{
		At: now.UnixNano(), Since: now.Add(-72 * time.Hour).UnixNano(), Plan: "shop", Location: "fra", Open: []Incident{open},
		Units: []UnitStatus{
			unit(healthName, "", true, ""),
			unit("browse", "eu-1", true, ""), unit("browse", "eu-2", true, "status 500"), unit("browse", "us-1", true, ""),
			unit("nightly-report", "", true, ""),
			unit("order", "eu-1", false, "status 503"), unit("order", "eu-2", true, ""), unit("order", "us-1", true, ""),
			unit("pay", "eu-1", false, "took 2104 ms, which is more than 2s"), unit("pay", "eu-2", true, ""), unit("pay", "us-1", true, ""),
			{Unit: Unit{Transaction: "refund"}, Good: true},
		},
		Probes: Probes{Done: 1_234_567, Late: 3, Lost: 1, Skipped: 2},
	}
	s.Faces = Faces{
		Canary: shopCanary(now), State: s.state,
		Status: func() (Status, error) { return s.status, s.broken },
		Ack: func(id, by string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.did = append(s.did, id+" by "+by)
			return nil
		},
		Beat: func(job string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.did = append(s.did, "beat of "+job)
			return nil
		},
		Receivers: func() []ReceiverStatus {
			return []ReceiverStatus{{Receiver: "chat", Delivered: 90, Failed: 2, Waiting: 1, Oldest: now.Add(-time.Minute).UnixNano(), Error: "answers 404: no_service"}, {Receiver: "ops", Delivered: 91}}
		},
		Figures: func(from, to int64) (any, error) { return map[string]int64{"from": from, "to": to}, nil },
		Now:     func() time.Time { return s.now },
	}
	return s
}

func shopCanary(now time.Time) plan.Canary {
	return plan.Canary{
		Serve:      &plan.CanaryServe{Title: "Shop", Token: serveToken},
		Heartbeats: map[string]plan.Heartbeat{"nightly-report": {Every: plan.Duration(24 * time.Hour)}},
		Location:   &plan.Location{Name: "fra", Token: peerToken},
		Receivers:  map[string]plan.Receiver{"chat": {Slack: &plan.Slack{URL: "https://hooks.example.com/" + hookToken}}},
		Maintenance: []plan.Maintenance{
			{From: plan.Instant(now.Add(48 * time.Hour)), To: plan.Instant(now.Add(50 * time.Hour)), Reason: "Database upgrade", Of: plan.Names{"order", "pay"}, Cell: "eu-2"},
			{From: plan.Instant(now.Add(-time.Hour)), To: plan.Instant(now.Add(time.Hour)), Reason: "Search index"},
			{From: plan.Instant(now.Add(-3 * time.Hour)), To: plan.Instant(now.Add(-time.Hour)), Reason: "Over"},
		},
	}
}

func (s *shop) keep(t testing.TB, i Incident) {
	t.Helper()
	text, err := json.Marshal(i)
	require.NoError(t, err)
	require.NoError(t, s.state.Commit(nil, map[string][]byte{incidentPrefix + i.ID: text}))
}

// shift moves an incident in time.
func shift(i *Incident, start time.Time) {
	by := start.UnixNano() - i.Start
	for _, at := range []*int64{&i.Start, &i.Detected, &i.Acked, &i.End, &i.Closed, &i.Told} {
		if *at != 0 {
			*at += by
		}
	}
	i.ID = start.UTC().Format("20060102T150405Z-") + i.Rule
}

// shopHistory has attempts in three cells since 80 days ago, some of which failed
// on some days.
func shopHistory(from, to int64, width time.Duration) ([]measure.Window, error) {
	var all []measure.Window
	first := time.Date(2026, 9, 10, 0, 0, 0, 0, time.UTC).UnixNano()
	step := int64(width)
	sketch := &measure.Sketch{}
	for ms := range 100 {
		sketch.Add(float64(ms + 1))
	}
	for start := (from + step - 1) / step * step; start < to; start += step {
		if start < first {
			continue
		}
		for n, transaction := range []string{"browse", "nightly-report", "order", "pay"} {
			for _, cell := range []string{"eu-1", "eu-2", "us-1"} {
				series := measure.Series{Metric: measure.MetricGood, Transaction: transaction, Cell: cell, Tenant: "t-" + cell, Region: cell[:2]}
				w := measure.Window{Series: series, Start: start, Width: step, Count: 1000}
				if d := start / step; (d+int64(n)*3)%11 == 0 && cell == "eu-1" {
					w.Failed = uint64(d%5) + 1
				}
				all = append(all, w)
				w.Series.Metric = measure.MetricOutcome
				w.Count, w.Failed = 500, w.Failed/2
				all = append(all, w)
				w.Series.Metric, w.Count, w.Sketch, w.Max = measure.MetricTransaction, 1000, sketch, 100
				all = append(all, w)
			}
		}
	}
	return all, nil
}

// call asks the handler.
func call(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for n := 0; n+1 < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// everyRoute is what can be asked for: what a stranger may never do is writing.
var everyRoute = []struct {
	method, path, body string
	access             access
}{
	{"GET", "/", "", reader},
	{"HEAD", "/", "", reader},
	{"GET", "/?page=2", "", reader},
	{"GET", "/api/v1/status", "", peer},
	{"GET", "/api/v1/incidents", "", reader},
	{"GET", "/api/v1/incidents/20261129T150405Z-orders", "", reader},
	{"POST", "/api/v1/incidents/20261129T150405Z-orders/ack", `{"by":"ann"}`, writer},
	{"GET", "/api/v1/history?width=day&by=tenant", "", reader},
	{"GET", "/api/v1/figures", "", reader},
	{"GET", "/heartbeat/nightly-report", "", reader},
	{"POST", "/heartbeat/nightly-report", "whatever it says", writer},
	{"GET", "/metrics", "", reader},
	{"GET", "/healthz", "", anybody},
}

// TestWhoMay: on every route, for every way to show a token or none.
func TestWhoMay(t *testing.T) {
	shows := map[string][]string{
		"nothing":      nil,
		"wrong":        {"Authorization", "Bearer wrong"},
		"empty":        {"Authorization", "Bearer "},
		"half":         {"Authorization", "Bearer " + serveToken[:5]},
		"more":         {"Authorization", "Bearer " + serveToken + "x"},
		"other scheme": {"Authorization", "Token " + serveToken},
		"as name":      {"Authorization", basic(serveToken, "")},
		"peer":         {"Authorization", "Bearer " + peerToken},
		"right":        {"Authorization", "bearer " + serveToken},
		"password":     {"Authorization", basic("ann", serveToken)},
	}
	serves := map[string]*plan.CanaryServe{
		"with token": {Token: serveToken}, "public": {Public: true, Token: serveToken}, "only public": {Public: true}, "nothing": {}, "none": nil,
	}
	for serveName, serve := range serves {
		s := newShop(t)
		s.Canary.Serve = serve
		h := s.Handler()
		for showName, header := range shows {
			for _, route := range everyRoute {
				s.did = nil
				token := serve != nil && serve.Token != ""
				holds := token && (showName == "right" || showName == "password")
				want := http.StatusOK
				switch {
				case route.access == anybody, holds, route.access != writer && serve != nil && serve.Public, route.access == peer && showName == "peer":
				case token:
					want = http.StatusUnauthorized
				default:
					want = http.StatusForbidden
				}
				got := call(h, route.method, route.path, route.body, header...)
				what := fmt.Sprintf("%s %s with %s where the plan has %s", route.method, route.path, showName, serveName)
				require.Equal(t, want, got.Code, what)
				require.Equal(t, want == http.StatusUnauthorized, got.Header().Get("WWW-Authenticate") != "", what)
				if want != http.StatusOK {
					requireError(t, got, what)
					require.Empty(t, s.did, what)
				}
			}
		}
	}
}

func basic(name, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

func requireError(t *testing.T, got *httptest.ResponseRecorder, what string) {
	t.Helper()
	var answer map[string]string
	require.NoError(t, json.Unmarshal(got.Body.Bytes(), &answer), what)
	require.Len(t, answer, 1, what)
	require.NotEmpty(t, answer["error"], what)
	require.Equal(t, "application/json; charset=utf-8", got.Header().Get("Content-Type"), what)
}

// TestMethods: what a path does not take is 405, and says what it takes.
func TestMethods(t *testing.T) {
	s := newShop(t)
	h := s.Handler()
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
		for path, want := range map[string]string{
			"/": "GET, HEAD", "/api/v1/status": "GET, HEAD", "/api/v1/incidents": "GET, HEAD", "/api/v1/incidents/x": "GET, HEAD",
			"/api/v1/incidents/x/ack": "POST", "/heartbeat/x": "GET, HEAD, POST", "/metrics": "GET, HEAD", "/healthz": "GET, HEAD",
		} {
			got := call(h, method, path, "", "Authorization", "Bearer "+serveToken)
			if strings.Contains(want, method) {
				require.NotEqual(t, 405, got.Code, method+path)
				continue
			}
			require.Equal(t, 405, got.Code, method+path)
			require.Equal(t, want, got.Header().Get("Allow"))
			requireError(t, got, method+path)
		}
	}
}

// TestHeaders are on every answer, whatever it is.
func TestHeaders(t *testing.T) {
	h := newShop(t).Handler()
	for _, path := range []string{"/", "/none", "/api/v1/status", "/metrics", "/healthz"} {
		for _, token := range []string{serveToken, "wrong"} {
			got := call(h, "GET", path, "", "Authorization", "Bearer "+token).Header()
			require.Contains(t, got.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-")
			require.Contains(t, got.Get("Content-Security-Policy"), "frame-ancestors 'none'")
			require.Equal(t, "nosniff", got.Get("X-Content-Type-Options"))
			require.Equal(t, "no-referrer", got.Get("Referrer-Policy"))
			require.Equal(t, "no-store", got.Get("Cache-Control"))
		}
	}
}

// TestNoSecrets: no answer to anybody holds one, nor does an error.
func TestNoSecrets(t *testing.T) {
	s := newShop(t)
	h := s.Handler()
	for _, header := range [][]string{nil, {"Authorization", "Bearer " + serveToken}, {"Authorization", basic(serveToken, peerToken)}} {
		for _, route := range everyRoute {
			for _, path := range []string{route.path, route.path + "/" + serveToken, route.path + "?token=" + serveToken} {
				got := call(h, route.method, path, route.body, header...)
				all := fmt.Sprint(got.Header()) + got.Body.String()
				for _, secret := range []string{peerToken, hookToken} {
					require.NotContains(t, all, secret, path)
				}
				if path == route.path {
					require.NotContains(t, all, serveToken, path)
				}
			}
		}
	}
}

func TestStatusAnswer(t *testing.T) {
	s := newShop(t)
	var answer StatusAnswer
	get := func(header ...string) {
		got := call(s.Handler(), "GET", "/api/v1/status", "", header...)
		require.Equal(t, 200, got.Code)
		answer = StatusAnswer{}
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &answer))
	}
	get("Authorization", "Bearer "+serveToken)
	require.Equal(t, s.status, answer.Status)
	require.True(t, answer.Works)
	require.Equal(t, s.Receivers(), answer.Receivers)
	require.Equal(t, []PlannedTime{
		{From: s.now.Add(-time.Hour).UnixNano(), To: s.now.Add(time.Hour).UnixNano(), Reason: "Search index"},
		{From: s.now.Add(48 * time.Hour).UnixNano(), To: s.now.Add(50 * time.Hour).UnixNano(), Reason: "Database upgrade", Of: []string{"order", "pay"}, Cell: "eu-2"},
	}, answer.Planned)
	s.broken = errors.New("disk full")
	get("Authorization", "Bearer "+peerToken)
	require.False(t, answer.Works)
	require.Empty(t, answer.Receivers, "receivers are for who has the token")
	s.Canary.Serve.Public = true
	get()
	require.Empty(t, answer.Receivers)
}

func TestIncidentsAnswer(t *testing.T) {
	h := newShop(t).Handler()
	get := func(query string) (a incidentsAnswer) {
		got := call(h, "GET", "/api/v1/incidents"+query, "", "Authorization", "Bearer "+serveToken)
		require.Equal(t, 200, got.Code, got.Body)
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &a))
		return a
	}
	all := get("")
	require.Equal(t, []int{46, 1, 1, 46}, []int{len(all.Incidents), all.Page, all.Pages, all.Total})
	require.True(t, all.Incidents[0].Open())
	require.Greater(t, all.Incidents[1].Start, all.Incidents[2].Start, "the newest first")
	require.Equal(t, all.Incidents[:1], get("?state=open").Incidents)
	second := get("?state=closed&per=20&page=2")
	require.Equal(t, []int{20, 2, 3, 45}, []int{len(second.Incidents), second.Page, second.Pages, second.Total})
	require.Equal(t, all.Incidents[21:41], second.Incidents)
	require.NotNil(t, get("?page=999999").Incidents)
	require.Empty(t, get("?page=999999").Incidents)

	one := call(h, "GET", "/api/v1/incidents/"+all.Incidents[3].ID, "", "Authorization", "Bearer "+serveToken)
	want, err := json.Marshal(all.Incidents[3])
	require.NoError(t, err)
	require.JSONEq(t, string(want), one.Body.String())
}

func TestBadRequests(t *testing.T) {
	s := newShop(t)
	h := s.Handler()
	for _, c := range []struct {
		method, path, body, kind string
		status                   int
		error                    string
	}{
		{"GET", "/nothing", "", "", 404, "there is no such page"},
		{"GET", "/api/v1/incidents/x", "", "", 404, "there is no such incident"},
		{"GET", "/api/v1/incidents?state=odd", "", "", 400, "state is open or closed"},
		{"GET", "/api/v1/incidents?page=0", "", "", 400, "page is a number from 1 to 1073741824"},
		{"GET", "/api/v1/incidents?per=501", "", "", 400, "per is a number from 1 to 500"},
		{"GET", "/api/v1/incidents?pages=1", "", "", 400, `there is no "pages" here; there are ["state" "page" "per"]`},
		{"GET", "/api/v1/incidents?page=1&page=2", "", "", 400, "give page once"},
		{"GET", "/?page=x", "", "", 400, "page is a number from 1 to 1073741824"},
		{"GET", "/api/v1/history?width=week", "", "", 400, "width is minute, hour or day"},
		{"GET", "/api/v1/history?by=step", "", "", 400, "by is class, cell, region or tenant"},
		{"GET", "/api/v1/history?by=tenant", "", "", 400, "by tenant there are days only: width=day"},
		{"GET", "/api/v1/history?from=yesterday", "", "", 400, "from is a time such as 2026-01-02T15:04:05Z"},
		{"GET", "/api/v1/history?to=9999-01-01T00:00:00Z", "", "", 400, "to is a time such as 2026-01-02T15:04:05Z"},
		{"GET", "/api/v1/history?from=2026-01-02T15:04:05Z&to=2026-01-02T15:04:05Z", "", "", 400, "from has to be before to"},
		{"GET", "/api/v1/history?width=minute&from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z", "", "", 400, "this is more than 1,500 windows: ask for less at a time"},
		{"GET", "/api/v1/figures?from=2025-01-01T00:00:00Z", "", "", 400, "this is more than 400 days: ask for less"},
		{"GET", "/api/v1/figures?to=x", "", "", 400, "to is a time such as 2026-01-02T15:04:05Z"},
		{"POST", "/api/v1/incidents/x/ack", `{"by":"ann"}`, "", 404, "there is no such incident"},
		{"POST", "/api/v1/incidents/20261128T090440Z-orders/ack", `{"by":"ann"}`, "", 409, "incident 20261128T090440Z-orders is closed already"},
		{"POST", "/api/v1/incidents/x/ack", `{"by":`, "", 400, `this wants JSON such as {"by": "ann"}`},
		{"POST", "/api/v1/incidents/x/ack", `{"by":" "}`, "", 400, `"by" is who acknowledges, in 1 to 100 bytes`},
		{"POST", "/api/v1/incidents/x/ack", `{"by":"` + strings.Repeat("x", 101) + `"}`, "", 400, `"by" is who acknowledges, in 1 to 100 bytes`},
		{"POST", "/api/v1/incidents/x/ack", "by=%zz", "application/x-www-form-urlencoded", 400, "this is no form"},
		{"POST", "/api/v1/incidents/x/ack", "by=ann", "text/plain", 415, "this wants application/json"},
		{"POST", "/api/v1/incidents/x/ack", strings.Repeat(" ", 17<<10), "", 413, "this is more than 16 KiB"},
		{"POST", "/heartbeat/nightly-report", strings.Repeat(" ", 17<<10), "", 413, "this is more than 16 KiB"},
		{"POST", "/heartbeat/none", "", "", 404, "the plan has no such heartbeat"},
		{"GET", "/heartbeat/none", "", "", 404, "the plan has no such heartbeat"},
	} {
		header := []string{"Authorization", "Bearer " + serveToken}
		if c.kind != "" {
			header = append(header, "Content-Type", c.kind)
		}
		got := call(h, c.method, c.path, c.body, header...)
		require.Equal(t, c.status, got.Code, c.path)
		require.JSONEq(t, fmt.Sprintf(`{"error":%q}`, c.error), got.Body.String(), c.path)
		require.Empty(t, s.did)
	}
}

func TestTakesAck(t *testing.T) {
	const path = "/api/v1/incidents/20261129T150405Z-orders/ack"
	s := newShop(t)
	h := s.Handler()
	got := call(h, "POST", path, `{"by":"ann\n<b>"}`, "Authorization", "Bearer "+serveToken, "Content-Type", "application/json")
	require.Equal(t, 200, got.Code, got.Body)
	require.JSONEq(t, `{"acknowledged":"20261129T150405Z-orders","by":"ann <b>"}`, got.Body.String())
	form := []string{"Authorization", basic("", serveToken), "Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}
	got = call(h, "POST", path, "by=bob+b", append(form, "Sec-Fetch-Site", "same-origin")...)
	require.Equal(t, 303, got.Code)
	require.Equal(t, "/", got.Header().Get("Location"))
	require.Equal(t, []string{"20261129T150405Z-orders by ann <b>", "20261129T150405Z-orders by bob b"}, s.did)
	s.did = s.did[1:]
	got = call(h, "POST", path, ` {"by":"curl"}`, form...)
	require.Equal(t, 200, got.Code)
	require.Equal(t, "20261129T150405Z-orders by curl", s.did[1])

	got = call(h, "POST", path, "by=eve", append(form, "Sec-Fetch-Site", "cross-site")...)
	require.Equal(t, 403, got.Code)
	got = call(h, "POST", path, "by=eve", append(form, "Origin", "https://evil.example.com")...)
	require.Equal(t, 403, got.Code)
	require.Len(t, s.did, 2, "a browser that knows the password is not made to write by another site")

	acked := s.status.Open[0]
	acked.Acked, acked.AckedBy = s.now.UnixNano(), "ann"
	s.keep(t, acked)
	got = call(h, "POST", path, `{"by":"bob"}`, "Authorization", "Bearer "+serveToken)
	require.Equal(t, 409, got.Code)
	require.JSONEq(t, `{"error":"ann has acknowledged incident 20261129T150405Z-orders already"}`, got.Body.String())
	acked.Acked = 0
	s.keep(t, acked)
	s.Faces.Ack = func(string, string) error { return errors.New("it has closed this moment") }
	require.Equal(t, 409, call(s.Handler(), "POST", path, `{"by":"bob"}`, "Authorization", "Bearer "+serveToken).Code)
}

func TestTakesBeat(t *testing.T) {
	s := newShop(t)
	h := s.Handler()
	got := call(h, "POST", "/heartbeat/nightly-report", "exit 0", "Authorization", "Bearer "+serveToken)
	require.Equal(t, 200, got.Code)
	require.Equal(t, []string{"beat of nightly-report"}, s.did)
	got = call(h, "GET", "/heartbeat/nightly-report", "", "Authorization", "Bearer "+serveToken)
	var u UnitStatus
	require.NoError(t, json.Unmarshal(got.Body.Bytes(), &u))
	require.Equal(t, s.status.Units[4], u)
}

// TestTroubleOfItsOwn is told as 503, without its reason, and by /healthz.
func TestTroubleOfItsOwn(t *testing.T) {
	token := []string{"Authorization", "Bearer " + serveToken}
	s := newShop(t)
	h := s.Handler()
	s.broken = errors.New("/var/lib/secret/path: disk full")
	got := call(h, "GET", "/healthz", "")
	require.Equal(t, 503, got.Code)
	require.JSONEq(t, `{"error":"the canary does not work"}`, got.Body.String())
	got = call(h, "GET", "/", "", token...)
	require.Equal(t, 200, got.Code, "what is known is shown")
	require.Contains(t, got.Body.String(), "does not work as it should")
	require.NotContains(t, got.Body.String(), "secret/path")
	s.status = Status{}
	for _, path := range []string{"/", "/api/v1/status", "/heartbeat/nightly-report"} {
		got = call(h, "GET", path, "", token...)
		require.Equal(t, 503, got.Code)
		require.JSONEq(t, `{"error":"the canary can not answer this now"}`, got.Body.String())
	}
	require.Contains(t, call(h, "GET", "/metrics", "", token...).Body.String(), "resilience_canary_up 0\n")

	s = newShop(t)
	s.state.breaks(errors.New("torn"))
	s.state.history = func(int64, int64, time.Duration) ([]measure.Window, error) { return nil, errors.New("torn") }
	for _, path := range []string{"/", "/api/v1/incidents", "/api/v1/incidents/x", "/api/v1/history"} {
		require.Equal(t, 503, call(s.Handler(), "GET", path, "", token...).Code, path)
	}
}

// TestHangingDaemon: who asks is told so at last, and only so many wait.
func TestHangingDaemon(t *testing.T) {
	s := newShop(t)
	hang, hangs := make(chan struct{}), make(chan struct{}, 100)
	s.Faces.Status = func() (Status, error) {
		hangs <- struct{}{}
		<-hang
		return s.status, nil
	}
	h := s.Handler()
	var all sync.WaitGroup
	for range maxAsking {
		all.Go(func() { call(h, "GET", "/healthz", "") })
	}
	for range maxAsking {
		<-hangs
	}
	require.Equal(t, 503, call(h, "GET", "/healthz", "").Code)
	close(hang)
	all.Wait()
	require.Equal(t, 200, call(h, "GET", "/healthz", "").Code)
}

func TestHistoryAnswer(t *testing.T) {
	s := newShop(t)
	h := s.Handler()
	get := func(query string) (a historyAnswer) {
		got := call(h, "GET", "/api/v1/history?"+query, "", "Authorization", "Bearer "+serveToken)
		require.Equal(t, 200, got.Code, got.Body)
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &a))
		return a
	}
	a := get("width=hour&from=2026-11-01T00:00:00Z&to=2026-11-05T00:00:00Z&by=cell&transaction=order")
	require.Len(t, a.Series, 3)
	require.Equal(t, Unit{"order", "cell", "eu-1"}, a.Series[0].Unit)
	require.Len(t, a.Series[0].Points, 96)
	p := a.Series[0].Points[1]
	require.Equal(t, time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC).UnixNano(), p.Start)
	require.Equal(t, []uint64{1000, 1000, 500, 500, 1000}, []uint64{p.Tried, p.Accepted, p.Looked, p.Right, p.Served})
	require.InDelta(t, 95, *p.P95, 2)
	failed := uint64(0)
	for _, p := range a.Series[0].Points {
		failed += p.Tried - p.Served
	}
	require.NotZero(t, failed)

	a = get("width=hour&from=2026-11-01T00:00:00Z&to=2026-11-01T01:00:00Z")
	require.Len(t, a.Series, 4)
	require.Equal(t, Unit{Transaction: "browse"}, a.Series[0].Unit)
	require.Equal(t, uint64(3000), a.Series[0].Points[0].Tried)
	require.Equal(t, Unit{"browse", "tenant", "t-eu-1"}, get("width=day&by=tenant").Series[0].Unit)
	require.Len(t, get("width=minute").Series[0].Points, 360)
	require.Empty(t, get("transaction=none").Series)
}

// TestHistoryIsBounded in what is held at a time, and in what is answered.
func TestHistoryIsBounded(t *testing.T) {
	s := newShop(t)
	longest := time.Duration(0)
	s.state.history = func(from, to int64, width time.Duration) ([]measure.Window, error) {
		longest = max(longest, time.Duration(to-from)/width)
		var all []measure.Window
		for n := range 1000 {
			series := measure.Series{Metric: measure.MetricTransaction, Transaction: "order", Tenant: fmt.Sprint(n)}
			all = append(all, measure.Window{Series: series, Start: (from + int64(width) - 1) / int64(width) * int64(width), Count: 1})
		}
		return all, nil
	}
	got := call(s.Handler(), "GET", "/api/v1/history?width=day&by=tenant", "", "Authorization", "Bearer "+serveToken)
	require.Equal(t, 400, got.Code)
	require.JSONEq(t, `{"error":"this is more than 50,000 windows: ask for one transaction, or for less time"}`, got.Body.String())
	require.Equal(t, time.Duration(1), longest)
	got = call(s.Handler(), "GET", "/api/v1/history?width=minute", "", "Authorization", "Bearer "+serveToken)
	require.Equal(t, 200, got.Code)
	require.Equal(t, time.Duration(60), longest)
}

// TestDaysAreReadOnce: those that are over are not read again.
func TestDaysAreReadOnce(t *testing.T) {
	s := newShop(t)
	var spans []int64
	s.state.history = func(from, to int64, width time.Duration) ([]measure.Window, error) {
		spans = append(spans, (to-from)/day)
		return shopHistory(from, to, width)
	}
	h := newDayHistory(s.state, func() time.Time { return s.now })
	for _, step := range []struct {
		after time.Duration
		spans []int64
	}{{0, slices.Repeat([]int64{1}, 90)}, {time.Second, nil}, {time.Minute, []int64{1}}, {24 * time.Hour, []int64{1, 1}}, {time.Minute, []int64{1}}, {-time.Hour, []int64{1}}} {
		spans = nil
		s.now = s.now.Add(step.after)
		days, start, err := h.last(90)
		require.NoError(t, err)
		require.Len(t, days, 90)
		require.Zero(t, start%day)
		require.Equal(t, step.spans, spans, step.after)
		require.Len(t, h.days, 90)
	}
}

func TestMetrics(t *testing.T) {
	got := call(newShop(t).Handler(), "GET", "/metrics", "", "Authorization", "Bearer "+serveToken)
	require.Equal(t, 200, got.Code)
	var ours []string
	for line := range strings.Lines(got.Body.String()) {
		if strings.HasPrefix(line, "resilience_") || strings.HasPrefix(line, "# TYPE resilience_") {
			ours = append(ours, line)
		}
	}
	golden(t, "metrics", strings.Join(ours, ""))
	require.Contains(t, got.Body.String(), "go_goroutines")
}

// TestServerIsBounded: who sends without end is cut off.
func TestServerIsBounded(t *testing.T) {
	server := NewServer(newShop(t).Handler())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	for _, timeout := range []time.Duration{server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout} {
		require.NotZero(t, timeout)
	}
	for name, sends := range map[string]string{
		"431": "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
		"413": "POST /heartbeat/nightly-report HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + serveToken + "\r\nContent-Length: 99999999\r\n\r\n" + strings.Repeat("x", 32<<10),
		"400": "\x16\x03\x01 nonsense\r\n\r\n",
		"200": "GET /healthz HTTP/1.0\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		go func() { _, _ = io.WriteString(conn, sends) }()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, name)
		require.Equal(t, name, fmt.Sprint(answer.StatusCode))
		require.NoError(t, answer.Body.Close())
		require.NoError(t, conn.Close())
	}
}

// FuzzAPI: whatever is asked, the answer is no 5xx, no error is anything but JSON,
// and no secret is shown.
func FuzzAPI(f *testing.F) {
	for _, r := range everyRoute {
		f.Add(r.method, r.path, r.body, "Authorization", "Bearer "+serveToken, "application/json")
	}
	f.Add("POST", "/api/v1/incidents/%2e%2e%2f/ack", "by=\x00", "Authorization", "Basic ====", "application/x-www-form-urlencoded")
	f.Add("GET", "//api//v1/../v1/history?width=minute&from=2026-11-29T15:04:05+23:59;", "{", "Range", "bytes=0-", "multipart/form-data")
	f.Add("CONNECT", "*", "", "Host", "\xff", ";;;")
	f.Add("OPTIONS", "*", "", "A", "", "")
	f.Add("GET", "/heartbeat/\x7f?%", `{"by":{"by":[]}}`, "Authorization", "Bearer", "a/b; c=\"")
	s := newShop(f)
	h := s.Handler()
	open := newShop(f)
	open.Canary.Serve.Public = true
	public := open.Handler()
	f.Fuzz(func(t *testing.T, method, target, body, name, value, kind string) {
		r, err := http.ReadRequest(readerOf(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + name + ": " + value + "\r\nContent-Type: " + kind + "\r\n\r\n"))
		if err != nil {
			return // the server answers that itself
		}
		for _, handler := range []http.Handler{h, public} {
			for _, token := range []string{r.Header.Get("Authorization"), "Bearer " + serveToken} {
				asked := r.Clone(t.Context())
				asked.Header.Set("Authorization", token)
				asked.Body = io.NopCloser(strings.NewReader(body))
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, asked)
				require.Less(t, w.Code, 500, "%s %s: %s", method, target, w.Body)
				if w.Code >= 400 {
					requireError(t, w, target)
				}
				for _, secret := range []string{peerToken, hookToken} {
					require.NotContains(t, w.Body.String(), secret)
				}
			}
		}
	})
}

func readerOf(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }

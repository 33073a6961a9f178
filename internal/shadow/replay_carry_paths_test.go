package shadow

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// TestCarryOutOfURLs: an id that an answer tells in a URL alone goes into the requests
// for what it is the id of, and nothing else of a URL goes anywhere.
func TestCarryOutOfURLs(t *testing.T) {
	for name, c := range map[string]struct {
		recorded, answered string // bodies of POST /orders
		then, want         string // target, or body where it begins as JSON does
	}{
		"a number":                     {`{"href":"/orders/17"}`, `{"href":"/orders/42"}`, "/orders/17/items?page=17&order_id=17", "/orders/42/items?page=17&order_id=42"},
		"HAL":                          {`{"_links":{"self":{"href":"/api/orders/17{?zoom}"}}}`, `{"_links":{"self":{"href":"/api/orders/42{?zoom}"}}}`, "/api/orders/17?zoom=1", "/api/orders/42?zoom=1"},
		"JSON:API":                     {`{"data":{"links":{"self":"https://shop/orders/17#top"}}}`, `{"data":{"links":{"self":"http://127.0.0.1:8080/orders/42#top"}}}`, "/orders/17", "/orders/42"},
		"written by PHP":               {`{"href":"\/orders\/17"}`, `{"href":"\/orders\/42"}`, "/orders/17", "/orders/42"},
		"another kind of id":           {`{"href":"/orders/17"}`, `{"href":"/orders/` + carriedID + `"}`, "/orders/17", "/orders/" + carriedID},
		"a uuid":                       {`{"href":"/orders/` + recordedID + `/items"}`, `{"href":"/orders/` + carriedID + `/items"}`, "/items?order=" + recordedID, "/items?order=" + carriedID},
		"a short name":                 {`{"href":"/orders/p01"}`, `{"href":"/orders/p77"}`, "/orders/p01/p01?order_id=p01&sort=p01", "/orders/p77/p01?order_id=p77&sort=p01"},
		"escaped":                      {`{"href":"/files/a%2Fb-12"}`, `{"href":"/files/c%2Fd-34"}`, "/files/a%2fb-12", "/files/c%2Fd-34"},
		"several":                      {`{"href":"/orders/17/lines/3"}`, `{"href":"/orders/42/lines/9"}`, "/orders/17/lines/3?order_id=3", "/orders/42/lines/9?order_id=3"},
		"an id that is a URL":          {`{"@id":"/orders/17","id":"/carts/5"}`, `{"@id":"/orders/42","id":"/carts/6"}`, "/carts/5/orders/17", "/carts/6/orders/42"},
		"a base before it":             {`{"href":"/orders/17"}`, `{"href":"/next/orders/42"}`, "/orders/17", "/orders/42"},
		"a URL in a query":             {`{"href":"/orders/17"}`, `{"href":"/orders/42"}`, "/login?back=%2Forders%2F17&n=17", "/login?back=%2Forders%2F42&n=17"},
		"a URL in a body":              {`{"href":"/orders/17"}`, `{"href":"/orders/42"}`, `{"of":"/orders/17?order_id=17&n=17#top","n":17}`, `{"of":"/orders/42?order_id=42&n=17#top","n":17}`},
		"a whole URL":                  {`{"href":"http://old/orders/17"}`, `{"href":"http://new/orders/42"}`, `{"of":"http://old/orders/17"}`, `{"of":"http://new/orders/42"}`},
		"a whole URL of another":       {`{"href":"http://old/orders/17","to":"http://old/carts/5"}`, `{"href":"http://new/a/b/orders/42","to":"http://new/a/b/carts/5"}`, `{"of":["http://old/orders/17","http://old/carts/5","http://x/orders/17"]}`, `{"of":["http://new/a/b/orders/42","http://old/carts/5","http://x/orders/42"]}`},
		"a base in a body":             {`{"href":"/orders/17"}`, `{"href":"/next/orders/42"}`, `{"of":"/orders/17"}`, `{"of":"/next/orders/42"}`},
		"a base that is no more":       {`{"href":"/next/orders/17"}`, `{"href":"/orders/42"}`, `{"of":"/next/orders/17"}`, `{"of":"/next/orders/42"}`},
		"no URL in a body":             {`{"href":"/orders/17"}`, `{"href":"/orders/42"}`, `{"of":"/orders/17 is late"}`, `{"of":"/orders/17 is late"}`},
		"of other things":              {`{"href":"/orders/17"}`, `{"href":"/orders/42"}`, "/products/17", "/products/17"},
		"a secret":                     {`{"href":"/reset/` + pseudonymMark + strings.Repeat("0a", 16) + `"}`, `{"href":"/reset/word"}`, "/reset/" + pseudonymMark + strings.Repeat("0a", 16), "/reset/word"},
		"other words":                  {`{"href":"/orders/17/open"}`, `{"href":"/orders/42/paid"}`, "/orders/17", "/orders/17"},
		"words":                        {`{"href":"/orders/open"}`, `{"href":"/orders/paid"}`, "/orders/open", "/orders/open"},
		"a version":                    {`{"href":"/v1/orders/17"}`, `{"href":"/v2/orders/42"}`, "/v1/orders/17", "/v1/orders/42"},
		"versions":                     {`{"a":"/api/v1beta1/x","b":"/1.0/x"}`, `{"a":"/api/v2/x","b":"/2.0/x"}`, "/api/v1beta1/1.0", "/api/v1beta1/1.0"},
		"a number behind a version":    {`{"href":"/v1/17"}`, `{"href":"/v1/42"}`, "/v1/17", "/v1/17"},
		"a page":                       {`{"next":"/orders/page/2"}`, `{"next":"/orders/page/3"}`, "/orders/page/2", "/orders/page/2"},
		"a page and an order":          {`{"next":"/orders?page=2&sort=price1"}`, `{"next":"/orders?page=3&sort=price2"}`, "/orders?page=2", "/orders?page=2"},
		"a day":                        {`{"next":"/orders/2026/11","day":"/orders/2026-11-29"}`, `{"next":"/orders/2027/11","day":"/orders/2026-11-30"}`, "/orders/2026/11/2026-11-29", "/orders/2026/11/2026-11-29"},
		"a tile":                       {`{"map":"/tiles/3/4/5"}`, `{"map":"/tiles/9/4/5"}`, "/tiles/3/4/5", "/tiles/3/4/5"},
		"another length":               {`{"href":"/orders/17"}`, `{"href":"/carts/5/items/42"}`, "/orders/17", "/orders/17"},
		"a list in another order":      {`[{"a":"http://x/orders/17"},{"a":"http://x/orders/18"}]`, `[{"a":"http://y/orders/18"},{"a":"http://y/orders/17"}]`, "/orders/17", "/orders/17"},
		"a page that begins later":     {`["/orders/17","/orders/18"]`, `["/orders/18/items","/orders/19"]`, "/orders/18", "/orders/18"},
		"an id elsewhere":              {`["/orders/abc123"]`, `["/orders/abc124",{"ref":"abc123"}]`, "/orders/abc123", "/orders/abc123"},
		"a URL of something elsewhere": {`["/orders/abc123",{}]`, `["/orders/abc124",{"u":"/users/abc123"}]`, "/orders/abc123", "/orders/abc123"},
		"of one that has moved":        {`["/orders/17/lines/a1b2c3",1]`, `["/orders/18/lines/d4e5f6",1,"/orders/17"]`, "/lines/a1b2c3", "/lines/a1b2c3"},
		"no URL":                       {`{"href":"orders/17","a":"/","b":"//"}`, `{"href":"orders/42","a":"//","b":"/"}`, "/orders/17", "/orders/17"},
		"dots":                         {`{"href":"/orders/abc123"}`, `{"href":"/orders/%2e%2e%2fadmin1"}`, "/orders/abc123", "/orders/abc123"},
	} {
		t.Run(name, func(t *testing.T) {
			first := recordedWrite(0, "a", "POST", "/orders", `{}`, c.recorded)
			second := recordedGet(time.Second, "a", c.then)
			if c.then[0] == '{' {
				second = recordedWrite(time.Second, "a", "PUT", "/orders", c.then, `{}`)
			}
			got := carriedTo(t, nil, first, second, nil, c.answered)
			if c.then[0] == '{' {
				require.Equal(t, c.want, got.body)
				return
			}
			require.Equal(t, c.want, got.target)
		})
	}
}

// TestCarryOutOfURLsOfOthers: what a link to somebody else's names is not asked for
// here.
func TestCarryOutOfURLsOfOthers(t *testing.T) {
	for host, want := range map[string]string{"shop:8080": "/orders/42", "SHOP": "/orders/42", "pay.example": "/orders/17", "front": "/orders/42"} {
		first := recordedWrite(0, "a", "POST", "/orders", `{}`, `{"href":"https://`+host+`/orders/17"}`)
		first.Request.Host = "shop:80"
		first.Request.Header.Set("X-Forwarded-Host", "front")
		got := carriedTo(t, nil, first, recordedGet(time.Second, "a", "/orders/17"), nil, `{"href":"https://any/orders/42"}`)
		require.Equal(t, want, got.target, host)
	}
}

// TestCarryOutOfAddresses: of what was made any name, of where a user is sent what looks
// like one.
func TestCarryOutOfAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		status        int
		header        string
		recorded, own string
		then, want    string
	}{
		"what was made":         {201, "Location", "/notes/my-note", "/notes/my-note-two", "/notes/my-note/x?note=my-note", "/notes/my-note-two/x?note=my-note-two"},
		"where it is":           {200, "Content-Location", "/notes/a1", "/notes/a2", "/notes/a1", "/notes/a2"},
		"sent to what was made": {303, "Location", "/orders/17/thanks", "/orders/42/thanks", "/orders/17", "/orders/42"},
		"sent to a word":        {303, "Location", "/orders/done", "/orders/failed", "/orders/done", "/orders/done"},
		"sent elsewhere":        {302, "Location", "/home", "/login", "/home", "/home"},
		"a path without slash":  {201, "Location", "c-1", "c-2", "/notes/c-1", "/notes/c-2"},
		"a link":                {200, "Link", "</orders/17/items>; rel=items", "</orders/42/items>; rel=items", "/orders/17", "/orders/42"},
	} {
		t.Run(name, func(t *testing.T) {
			first := recordedWrite(0, "a", "POST", "/orders", `{}`, `{}`)
			first.Response.Status = c.status
			first.Response.Header.Set(c.header, c.recorded)
			got := carriedTo(t, nil, first, recordedGet(time.Second, "a", c.then), map[string]string{c.header: c.own}, `{}`)
			require.Equal(t, c.want, got.target)
		})
	}
}

// linkedOrders is a service that tells its ids in links alone, and knows no order but
// those that it has made.
func linkedOrders(t *testing.T, next int) http.RoundTripper {
	t.Helper()
	var mu sync.Mutex
	made := map[string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		next++
		id := strconv.Itoa(next)
		made[id] = true
		mu.Unlock()
		w.Header().Set("Content-Type", "application/hal+json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"state":"open","_links":{"self":{"href":"/orders/%s"},"pay":{"href":"/orders/%s/payments"}}}`, id, id)
	})
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/hal+json")
		mu.Lock()
		known := made[r.PathValue("id")]
		mu.Unlock()
		if !known {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, `{"state":"open"}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	to, err := url.Parse(server.URL)
	require.NoError(t, err)
	return redirected{to.Host}
}

// redirected sends all requests to one host.
type redirected struct{ host string }

func (d redirected) RoundTrip(r *http.Request) (*http.Response, error) {
	r.URL.Host = d.host
	return http.DefaultTransport.RoundTrip(r)
}

// TestReplayOfLinks replays what users did with a service that tells ids in links
// alone: each of two others finds the orders that it has made itself.
func TestReplayOfLinks(t *testing.T) {
	var exchanges []Exchange
	for i := range 20 {
		session, order := fmt.Sprintf("s%d", i), fmt.Sprintf("/orders/%d", 500+i)
		exchanges = append(exchanges,
			recordedWrite(time.Duration(i)*time.Millisecond, session, "POST", "/orders", `{}`, `{"state":"open","_links":{"self":{"href":"`+order+`"},"pay":{"href":"`+order+`/payments"}}}`),
			recordedGet(time.Duration(i)*time.Millisecond+time.Second, session, order))
	}
	s := staged{test: unhurried(), tape: tape{exchanges: exchanges}, candidate: linkedOrders(t, 7000), baseline: linkedOrders(t, 90)}
	s.test.Speed = 1000
	s.test.Writes = &plan.Writes{Routes: plan.Names{"POST /orders"}}
	all := s.run(t, t.Context())
	answers := map[string]uint64{}
	for _, w := range all.Windows {
		if w.Series.Metric == measure.MetricRequest {
			answers[w.Series.Arm+" "+w.Series.Status] += w.Count
		}
	}
	require.Equal(t, map[string]uint64{"candidate 200": 20, "candidate 201": 20, "baseline 200": 20, "baseline 201": 20}, answers)
}

// TestLongPathsAreLeft: there is no end to what may be in a URL, but to what is looked at.
func TestLongPathsAreLeft(t *testing.T) {
	require.Empty(t, partsOf("/orders"+strings.Repeat("/a", carryParts)))
	require.Len(t, partsOf("/orders"+strings.Repeat("/a", carryParts-1)), carryParts)
	_, path := pathIn("/" + strings.Repeat("a", carryURL))
	require.Empty(t, path)
	_, path = pathIn("/" + strings.Repeat("a", carryURL-1))
	require.Len(t, path, carryURL)
}

// BenchmarkCarryLinks looks for names in answers with many links, to one that made the
// same names and another host, and to one that made others; beside it both are parsed.
func BenchmarkCarryLinks(b *testing.B) {
	answer := func(host string, from int) Body {
		var items []string
		for i := range 50 {
			items = append(items, fmt.Sprintf(`{"state":"open","_links":{"self":{"href":"http://%s/orders/%d"}}}`, host, from+i))
		}
		return jsonBody("[" + strings.Join(items, ",") + "]")
	}
	recorded := answer("shop", 100)
	tree, _ := treeOf(recorded)
	for name, own := range map[string]Body{"same": answer("next", 100), "other": answer("next", 500)} {
		b.Run(name, func(b *testing.B) {
			var carry, parse time.Duration
			for b.Loop() {
				begun := time.Now()
				for range 10 {
					paired(Request{Method: "GET", Target: "/orders"}, Response{Body: recorded}, Response{Body: own}, tree)
				}
				carry += time.Since(begun)
				begun = time.Now()
				for range 10 {
					for _, body := range []Body{recorded, own} {
						t, _ := treeOf(body)
						t.release()
					}
				}
				parse += time.Since(begun)
			}
			b.ReportMetric(float64(carry)/float64(parse), "of-parsing")
			b.ReportMetric(float64(carry.Microseconds())/float64(10*b.N), "us/answer")
		})
	}
}

// TestNamesByTheirLooks holds what is looked for byte by byte against expressions that
// say the same.
func TestNamesByTheirLooks(t *testing.T) {
	field := regexp.MustCompile(`(?i:(^|[_-])(id|uuid|guid|token|etag|key|ref|reference|cursor|handle|nonce|csrf)$)|[a-z](Id|ID|Uuid|UUID|Token|Key|Ref|Cursor)$`)
	day := regexp.MustCompile(`^\d{4}-\d{2}-\d{2}([T ]|$)`)
	name := regexp.MustCompile(`^[A-Za-z0-9_.~+/=:"-]+$`)
	mixed := regexp.MustCompile(`[A-Za-z].*\d|\d.*[A-Za-z]`)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.StringMatching(`([a-zA-Z]{0,3}[_-]?)?(id|uuid|Id|ID|UUID|Uuid|TOKEN|Key|ref|Ref|csrf|Cursor|handle)?`).Draw(t, "field")
		require.Equal(t, field.MatchString(a), isIDField(a), a)
		b := rapid.StringMatching(`([0-9]{4}-[0-9]{2}-[0-9]{1,2}[T x]?)?[ -~é]{0,6}`).Draw(t, "text")
		require.Equal(t, day.MatchString(b), isDay(b), b)
		require.Equal(t, name.MatchString(b), isNameText(b), b)
		require.Equal(t, mixed.MatchString(b), isMixed(b), b)
	})
}

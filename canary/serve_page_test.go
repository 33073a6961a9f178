package canary

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"resilience/internal/plan"
)

// shown is the page as a browser reads it.
type shown struct {
	t    testing.TB
	root *html.Node
	text string
}

func (s *shop) show(t testing.TB, path string, header ...string) shown {
	t.Helper()
	if header == nil {
		header = []string{"Authorization", "Bearer " + serveToken}
	}
	got := call(s.Handler(), "GET", path, "", header...)
	require.Equal(t, 200, got.Code, got.Body)
	require.Equal(t, "text/html; charset=utf-8", got.Header().Get("Content-Type"))
	root, err := html.Parse(strings.NewReader(got.Body.String()))
	require.NoError(t, err)
	return shown{t, root, got.Body.String()}
}

// all gives the elements of some names below a node.
func all(under *html.Node, names ...string) []*html.Node {
	var found []*html.Node
	for n := range under.Descendants() {
		if n.Type == html.ElementNode && (len(names) == 0 || slices.Contains(names, n.Data)) {
			found = append(found, n)
		}
	}
	return found
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// spoken is what a screen reader says of an element.
func spoken(n *html.Node) string {
	var b strings.Builder
	var visit func(*html.Node)
	visit = func(n *html.Node) {
		if b.WriteByte(' '); n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
		for c := n.FirstChild; c != nil && attr(n, "aria-hidden") != "true"; c = c.NextSibling {
			visit(c)
		}
	}
	visit(n)
	return strings.Join(strings.Fields(b.String()), " ")
}

// TestPageIsAccessible as far as can be told without a browser.
func TestPageIsAccessible(t *testing.T) {
	p := newShop(t).show(t, "/")
	require.Equal(t, "en", attr(all(p.root, "html")[0], "lang"))
	require.Equal(t, "1 incident open – Shop", spoken(all(p.root, "title")[0]))
	for _, landmark := range []string{"header", "main", "footer", "h1"} {
		require.Len(t, all(p.root, landmark), 1, landmark)
	}
	level := 0
	for _, h := range all(p.root, "h1", "h2", "h3", "h4", "h5", "h6") {
		now := int(h.Data[1] - '0')
		require.LessOrEqual(t, now, level+1, "%s skips a level", spoken(h))
		require.NotEmpty(t, spoken(h))
		level = now
	}
	ids := map[string]*html.Node{}
	for _, n := range all(p.root) {
		if id := attr(n, "id"); id != "" {
			require.Nil(t, ids[id], "two have the id %s", id)
			ids[id] = n
		}
		require.NotContains(t, []string{"script", "img", "iframe", "object"}, n.Data)
		for _, a := range n.Attr {
			require.False(t, strings.HasPrefix(a.Key, "on") || a.Key == "style", "%s: browsers are told to ignore that", a.Key)
		}
	}
	for _, n := range all(p.root) {
		if by := attr(n, "aria-labelledby"); by != "" {
			require.Contains(t, ids, by)
		}
		switch n.Data {
		case "a", "summary", "button":
			require.NotEmpty(t, spoken(n))
		case "section", "article":
			require.NotEmpty(t, attr(n, "aria-labelledby"))
		case "th":
			require.NotEmpty(t, attr(n, "scope"))
		case "time":
			_, err := time.Parse(time.RFC3339Nano, attr(n, "datetime"))
			require.NoError(t, err)
		}
	}
	for _, input := range all(p.root, "input") {
		labelled := slices.ContainsFunc(all(p.root, "label"), func(l *html.Node) bool { return attr(l, "for") == attr(input, "id") && spoken(l) != "" })
		require.True(t, labelled)
	}
	require.Contains(t, ids, strings.TrimPrefix(attr(all(p.root, "a")[0], "href"), "#"), "the first link skips to what matters")
}

// TestPageSaysEachDay in words, for each transaction.
func TestPageSaysEachDay(t *testing.T) {
	p := newShop(t).show(t, "/")
	lists := all(p.root, "ol")
	require.Len(t, lists, 5, "transactions and heartbeats, without the health endpoint")
	for _, list := range lists {
		days := all(list, "li")
		require.Len(t, days, 90)
		for n, d := range days {
			date := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n-89).Format("2 January 2006: ")
			require.True(t, strings.HasPrefix(spoken(d), date), spoken(d))
		}
	}
	order := all(lists[2], "li")
	require.Equal(t, "29 November 2026: 100 % good, 0 of 3,000 attempts failed, 1 incident", spoken(order[89]))
	require.Equal(t, "bad", attr(order[89], "class"))
	require.Equal(t, "1 September 2026: no attempts", spoken(order[0]))
	require.Equal(t, "none", attr(order[0], "class"))
	failed := slices.IndexFunc(all(lists[0], "li"), func(d *html.Node) bool { return attr(d, "class") == "doubt" })
	require.Regexp(t, `: 99\.\d+ % good, \d of 3,000 attempts failed$`, spoken(all(lists[0], "li")[failed]))
}

// TestPageSaysHowItIs in words, not by colour alone.
func TestPageSaysHowItIs(t *testing.T) {
	calm := func(s *shop) {
		s.status.Open = nil
		for n := range s.status.Units {
			s.status.Units[n].Good, s.status.Units[n].Last = true, s.now.UnixNano()
		}
	}
	for want, change := range map[string]func(*shop){
		"1 incident open": func(*shop) {},
		"All is well":     calm,
		"No incident; the last attempt failed of 1 transaction": func(s *shop) {
			calm(s)
			s.status.Units[5].Good = false
		},
		"Planned maintenance": func(s *shop) {
			calm(s)
			s.status.Units[5].Planned = "Upgrade"
		},
		"Nothing has been tried yet": func(s *shop) { s.status.Open, s.status.Units = nil, nil },
	} {
		s := newShop(t)
		change(s)
		p := s.show(t, "/")
		banner := slices.IndexFunc(all(p.root, "p"), func(n *html.Node) bool { return strings.HasPrefix(attr(n, "class"), "banner") })
		require.Equal(t, want, spoken(all(p.root, "p")[banner]))
	}
	s := newShop(t)
	s.status.Units[5].Good = true
	recovering := spoken(all(s.show(t, "/").root, "main")[0])
	require.True(t, strings.Contains(recovering, "order Recovering in 1 of 3 cells"))
	text := spoken(all(newShop(t).show(t, "/").root, "body")[0])
	for _, want := range []string{
		"order Failing in 1 of 3 cells", "eu-1 Failing", "browse Works", "refund Not tried yet", "As seen from fra, 2026-11-29 15:04 UTC",
		"order, pay in cell eu-2 Database upgrade", "all transactions Search index", "pay The last attempt failed in 1 of 3 cells",
		"The health endpoint of the system says that it is healthy", "Acknowledged by nobody", "1,234,567 times",
	} {
		require.True(t, strings.Contains(text, want), want)
	}
	require.False(t, strings.Contains(text, "Over"), "maintenance that is over")
}

func TestPagesOfIncidents(t *testing.T) {
	s := newShop(t)
	count := func(path string) (rows int, links string) {
		p := s.show(t, path)
		for _, section := range all(p.root, "section") {
			if attr(section, "aria-labelledby") == "past" {
				rows = len(all(section, "tr")) - 1
			}
		}
		for _, nav := range all(p.root, "nav") {
			links += spoken(nav)
		}
		return rows, links
	}
	for path, want := range map[string]struct {
		rows  int
		links string
	}{"/": {20, "Page 1 of 3 Older"}, "/?page=2": {20, "Newer Page 2 of 3 Older"}, "/?page=3": {5, "Newer Page 3 of 3"}} {
		rows, links := count(path)
		require.Equal(t, want.rows, rows, path)
		require.Equal(t, want.links, links, path)
	}
	require.True(t, strings.Contains(spoken(s.show(t, "/?page=7").root), "There are no more. To the newest"))
}

// TestPageForStrangers has nothing to write with, nor anything of receivers; and
// what comes from outside is text.
func TestPageForStrangers(t *testing.T) {
	s := newShop(t)
	s.status.Open[0].Messages = []string{`</style><script>alert(1)</script>`, `" onload="x`}
	s.status.Open[0].Runbook = "javascript:alert(1)"
	p := s.show(t, "/")
	require.Len(t, all(p.root, "form"), 1)
	require.True(t, strings.Contains(p.text, "Receiver chat: 1 notice waiting, the oldest since 2026-11-29 15:03:40 UTC; it answers 404: no_service"))
	require.False(t, strings.Contains(p.text, "<script"))
	require.False(t, strings.Contains(p.text, `"javascript:`))
	require.True(t, strings.Contains(spoken(p.root), `</style><script>alert(1)</script>`))
	s.Canary.Serve = &plan.CanaryServe{Public: true, Token: serveToken}
	p = s.show(t, "/", "Authorization", "Bearer "+peerToken)
	require.Empty(t, all(p.root, "form"))
	require.False(t, strings.Contains(p.text, "Receiver"))
}

// TestStyleIsAllowed: the digest is that of the style sheet as a browser reads it.
func TestStyleIsAllowed(t *testing.T) {
	p := newShop(t).show(t, "/")
	digest := sha256.Sum256([]byte(all(p.root, "style")[0].FirstChild.Data))
	policy := call(newShop(t).Handler(), "GET", "/", "").Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(digest[:])+"'")
}

// TestContrast of text is 4.5 at least, and of bars 3, in light and dark (WCAG 2.2,
// 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(styleText, -1)
	require.Len(t, blocks, 2)
	for n, scheme := range []string{"light", "dark"} {
		colours := map[string]float64{}
		for _, c := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`).FindAllStringSubmatch(blocks[n][1], -1) {
			colours[c[1]] = luminance(t, c[2])
		}
		require.Len(t, colours, 16)
		for _, pair := range []struct {
			text, on string
			least    float64
		}{
			{"text", "page", 4.5},
			{"text", "card", 4.5},
			{"soft", "page", 4.5},
			{"soft", "card", 4.5},
			{"link", "card", 4.5},
			{"card", "link", 4.5},
			{"card", "text", 4.5},
			{"good", "card", 4.5},
			{"doubt", "card", 4.5},
			{"bad", "card", 4.5},
			{"planned", "card", 4.5},
			{"none", "card", 3},
			{"text", "doubt-soft", 4.5},
			{"good", "good-soft", 4.5},
			{"doubt", "doubt-soft", 4.5},
			{"bad", "bad-soft", 4.5},
			{"planned", "planned-soft", 4.5},
			{"soft", "none-soft", 4.5},
		} {
			a, b := colours[pair.text], colours[pair.on]
			require.GreaterOrEqual(t, (max(a, b)+0.05)/(min(a, b)+0.05), pair.least, "%s: %s on %s", scheme, pair.text, pair.on)
		}
	}
}

// luminance is that of WCAG 2.2, of a colour such as 1b1f26.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for n, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v, err := strconv.ParseUint(hex[2*n:2*n+2], 16, 8)
		require.NoError(t, err)
		c := float64(v) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		good, total uint64
		want        string
	}{{0, 5, "0 %"}, {5, 5, "100 %"}, {999_999, 1_000_000, "99.99 %"}, {1, 3, "33.33 %"}, {1, 1_000_000, "0.0001 %"}, {1, 1 << 60, "< 0.00001 %"}} {
		require.Equal(t, c.want, percent(tally{c.good, c.total}), fmt.Sprint(c.good, c.total))
	}
}

// TestStatusPageInBrowser has axe look at the page: see make page-test.
func TestStatusPageInBrowser(t *testing.T) {
	folder := os.Getenv("PAGE_CHECK")
	if folder == "" {
		t.Skip("the status page is not looked at in a browser: see make page-test")
	}
	out := cmp.Or(os.Getenv("PAGE_OUT"), t.TempDir())
	s := newShop(t)
	h := s.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+serveToken) // so that all is shown that there is
		h.ServeHTTP(w, r)
	}))
	defer server.Close()
	said, err := exec.Command("node", "../dashboards/check/axe.mjs", folder, server.URL, out).CombinedOutput()
	require.NoError(t, err, string(said))
	t.Log(string(said))
}

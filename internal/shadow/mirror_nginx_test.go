package shadow

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/servers"
)

var nginxBlock = regexp.MustCompile("(?s)```nginx\n(.*?)```")

// TestSinkBehindNginx runs the example of docs/mirror.md with a real nginx.
func TestSinkBehindNginx(t *testing.T) {
	v1, asked := asking(t, "one")
	v2, copied := asking(t, "two")
	m, seen := startMirror(t, MirrorOptions{Baseline: v1, Candidate: v2, Allow: []string{"POST /search"}})
	front := servers.Nginx(t, func(address string) string {
		return nginxExample(t, map[string]string{
			"127.0.0.1:80;": address + ";", "127.0.0.1:8301": strings.TrimPrefix(v1, "http://"), "127.0.0.1:8080": strings.TrimPrefix(m.URL(), "http://"),
		})
	})
	require.Equal(t, "one", body(rawAnswer(t, front, "GET /orders?page=%2F2 HTTP/1.1\r\nHost: shop.test\r\nCookie: sid=1\r\nConnection: close\r\n\r\n")))
	require.Equal(t, "one", body(rawAnswer(t, front, "POST /search HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")))
	require.Equal(t, "one", body(rawAnswer(t, front, "POST /orders HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")))
	require.Eventually(t, func() bool { return m.Counts().Compared == 2 && m.Counts().Seen == 3 }, patient, 10*time.Millisecond)
	m.Close(closing(t))
	require.Equal(t, Mirrored{Seen: 3, Compared: 2, Differing: 2, Withheld: 1}, m.Counts())
	require.Len(t, copied, 2)
	require.Len(t, asked, 5, "three of users, two of the mirror")
	got := map[string]Exchange{}
	for _, a := range seen.all {
		got[a.Route] = a.Exchange
	}
	require.Equal(t, "shop.test", got["GET /orders?page=%2F2"].Request.Host)
	require.Equal(t, "sid=1", got["GET /orders?page=%2F2"].Request.Header.Get("Cookie"))
	require.Equal(t, "hello", string(got["POST /search"].Request.Body.Data))
}

// nginxExample is the example with other addresses.
func nginxExample(t *testing.T, addresses map[string]string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/mirror.md")
	require.NoError(t, err)
	block := nginxBlock.FindSubmatch(page)
	require.NotNil(t, block, "docs/mirror.md has no example for nginx")
	var pairs []string
	for was, is := range addresses {
		require.Contains(t, string(block[1]), was)
		pairs = append(pairs, was, is)
	}
	return strings.NewReplacer(pairs...).Replace(string(block[1]))
}

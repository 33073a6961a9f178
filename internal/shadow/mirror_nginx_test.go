package shadow

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var nginxBlock = regexp.MustCompile("(?s)```nginx\n(.*?)```")

// TestSinkBehindNginx runs the example of docs/mirror.md with a real nginx.
func TestSinkBehindNginx(t *testing.T) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("there is no nginx here: the example of docs/mirror.md was not run")
	}
	v1, asked := asking(t, "one")
	v2, copied := asking(t, "two")
	m, seen := startMirror(t, MirrorOptions{Baseline: v1, Candidate: v2, Allow: []string{"POST /search"}})
	front := startNginx(t, program, map[string]string{
		"127.0.0.1:8301": strings.TrimPrefix(v1, "http://"), "127.0.0.1:8080": strings.TrimPrefix(m.URL(), "http://"),
	})
	require.Equal(t, "one", body(rawAnswer(t, front, "GET /orders?page=%2F2 HTTP/1.1\r\nHost: shop.test\r\nCookie: sid=1\r\nConnection: close\r\n\r\n")))
	require.Equal(t, "one", body(rawAnswer(t, front, "POST /search HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")))
	require.Equal(t, "one", body(rawAnswer(t, front, "POST /orders HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")))
	require.Eventually(t, func() bool { return m.Counts().Compared == 2 && m.Counts().Seen == 3 }, 10*time.Second, 10*time.Millisecond)
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

// startNginx runs the example with other addresses, and gives its own.
func startNginx(t *testing.T, program string, addresses map[string]string) (url string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/mirror.md")
	require.NoError(t, err)
	block := nginxBlock.FindSubmatch(page)
	require.NotNil(t, block, "docs/mirror.md has no example for nginx")
	server := string(block[1])
	addresses["127.0.0.1:80;"] = deadAddress(t) + ";"
	listen := strings.TrimSuffix(addresses["127.0.0.1:80;"], ";")
	var pairs []string
	for was, is := range addresses {
		require.Contains(t, server, was)
		pairs = append(pairs, was, is)
	}
	server = strings.NewReplacer(pairs...).Replace(server)
	dir := t.TempDir()
	var temporary strings.Builder
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", what, filepath.Join(dir, what))
	}
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("daemon off;\nmaster_process off;\npid %s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n", dir, &temporary, server)
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	said := &strings.Builder{}
	cmd := exec.CommandContext(t.Context(), program, "-p", dir, "-c", config, "-e", "stderr")
	cmd.Stderr = said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said)
		}
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return "http://" + listen
}

package disrupt

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// The authority's certificate is where the plan says, so that what the plan does
// not start can trust it, and what is there already is never lost.
func TestAuthorityIsWhereThePlanSays(t *testing.T) {
	dir := t.TempDir()
	start := func(file string) (*TCPProxy, error) {
		return NewTCPProxy(t.Context(), "db", plan.Dependency{Upstream: echo(t), Serve: &plan.Serve{WriteCA: file}}, "beta", dir, (&tcpGathered{}).emit)
	}
	p, err := start("ca.pem")
	require.NoError(t, err)
	path := filepath.Join(dir, "ca.pem")
	require.Equal(t, path, p.CA())
	_, err = shown(p, trusting(t, path))
	require.NoError(t, err)
	left, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.NoFileExists(t, path)

	require.NoError(t, os.WriteFile(path, left, 0o600)) // as a proxy does that is killed
	p, err = start(path)
	require.NoError(t, err)
	_, err = shown(p, trusting(t, path))
	require.NoError(t, err)
	require.NoError(t, p.Close())

	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = start(path)
	require.ErrorContains(t, err, "is something else and would be lost")
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "precious", string(kept))
	_, err = start("no/such/folder/ca.pem")
	require.ErrorContains(t, err, "no such file or directory")
}

// Who calls a proxy elsewhere that serves TLS is told whom to trust, for as long
// as the dependency is used.
func TestAuthorityOfAProxyElsewhere(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(ok))
	t.Cleanup(s.Close)
	p, _ := front(t, plan.Dependency{Upstream: s.URL, Serve: &plan.Serve{}})
	c := NewControl(map[string]Dependency{"dep": p}, testToken, 0)
	c.Served = map[string]Served{"dep": {Protocol: "http", Backlog: &Backlog{}}}
	d, _ := connect(t, serveControl(t, c, nil))
	require.NotEqual(t, p.CA(), d.CA())
	client := newClient(t, http1)
	client.Transport.(*http.Transport).TLSClientConfig = trusting(t, d.CA())
	requireWell(t, get(t, client, d.URL()))
	require.NoError(t, d.Close())
	require.NoFileExists(t, d.CA())
	require.FileExists(t, p.CA())
}

package plan

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:5432": "127.0.0.1:5432", "DB.local:53": "db.local:53", "[::1]:6379": "[::1]:6379",
	} {
		got, err := Address(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "db", ":5432", "db:", "db:0", "db:65536", "db:x", "::1:53", "tcp://db:5432", "a@db:5432", "db:5432/x"} {
		_, err := Address(text)
		require.Error(t, err, text)
	}
}

func TestHostsOfDependencies(t *testing.T) {
	hosts, err := Plan{Dependencies: map[string]Dependency{
		"pay":  {Protocol: "http", Upstream: "https://pay.local"},
		"db":   {Protocol: "tcp", Upstream: "127.0.0.1:5432"},
		"dns":  {Protocol: "dns", Upstream: "[::1]:53"},
		"else": {Protocol: "tcp", Toxiproxy: &Toxiproxy{URL: "http://127.0.0.1:8474"}},
	}}.Hosts()
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:5432", "[::1]:53", "pay.local:443"}, hosts)
	_, err = Plan{Dependencies: map[string]Dependency{"db": {Protocol: "tcp", Upstream: "db"}}}.Hosts()
	require.ErrorContains(t, err, "upstream of db: wants HOST:PORT")
	for _, url := range []string{"tcp://127.0.0.1:1234", "dns://127.0.0.1:1234"} {
		host, err := Host(url)
		require.NoError(t, err, "of a proxy")
		require.Equal(t, "127.0.0.1:1234", host)
	}
	require.Equal(t, "RESILIENCE_DEP_PAY_DB_CA", AuthorityVariable("pay-db"))
}

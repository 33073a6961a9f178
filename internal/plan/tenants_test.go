package plan

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const someTenants = `
- {name: acme, class: gold, cell: eu-1, region: eu, token: {env: ACME}, headers: {X-Org: a}}
- {name: globex, class: gold, cell: us-1, region: us, token: {file: globex.token}}
- {name: initech, class: bronze, cell: eu-1, region: eu}
`

const sameTenants = `name,class,cell,region,token_env,token_file,header.X-Org
acme,gold,eu-1,eu,ACME,,a
globex,gold,us-1,us,,globex.token,
initech,bronze,eu-1,eu,,,
`

// Tenants are the same in YAML and in CSV.
func TestReadTenants(t *testing.T) {
	dir := t.TempDir()
	read := func(name, text string) ([]Tenant, error) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return ReadTenants(path, name)
	}
	yaml, err := read("tenants.yaml", someTenants)
	require.NoError(t, err)
	require.Len(t, yaml, 3)
	require.Equal(t, Tenant{Name: "acme", Class: "gold", Cell: "eu-1", Region: "eu", Headers: map[string]string{"X-Org": "a"}, Token: &Secret{Env: "ACME"}}, yaml[0])
	csv, err := read("tenants.csv", sameTenants)
	require.NoError(t, err)
	require.Equal(t, yaml, csv)

	for _, wrong := range []struct{ name, text, want string }{
		{"a.csv", "name,clas\nacme,gold\n", `a.csv:1: there is no column "clas" for tenants; did you mean "class"?`},
		{"b.csv", "name\nacme\nacme\n", `b.csv:3: there are two tenants "acme"`},
		{"c.csv", "name,token_env,token_file\nacme,A,b\n", "c.csv:2: the token of acme wants either"},
		{"d.csv", "name\n", "no row of data"},
		{"e.yaml", "", "e.yaml:1:1: the file is empty"},
		{"f.yaml", "[]", "f.yaml:1:1: there is no tenant in it"},
		{"g.yaml", "acme: {}", "g.yaml:1:1: tenants wants a list"},
		{"h.yaml", "- name: [", "h.yaml:1"},
	} {
		_, err := read(wrong.name, wrong.text)
		require.ErrorContains(t, err, wrong.want)
		require.NotContains(t, err.Error(), dir)
	}
}

// A test acts as the tenants that it names, with credentials from where their
// file says they are.
func TestIdentities(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tenants.csv"), []byte(sameTenants), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "globex.token"), []byte("of-globex\n"), 0o600))
	p := Plan{Dir: dir, Tenants: &Tenants{File: "tenants.csv", Header: "X-Synthetic-Tenant", Prefix: "synthetic-"}}
	getenv := env(map[string]string{"ACME": "of-acme"})
	names := func(words ...string) ([]string, error) {
		all, err := p.Identities(Test{Name: "browse", Load: &Profile{Tenants: words}}, getenv)
		var names []string
		for _, id := range all {
			names = append(names, id.Name)
		}
		return names, err
	}
	for _, c := range []struct{ words, want []string }{
		{nil, nil},
		{[]string{"all"}, []string{"acme", "globex", "initech"}},
		{[]string{"cell=eu-1"}, []string{"acme", "initech"}},
		{[]string{"cell=eu-1", "class=gold"}, []string{"acme"}},
		{[]string{"tenant=acme", "tenant=globex"}, []string{"acme", "globex"}},
	} {
		got, err := names(c.words...)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err := names("region=mars")
	require.ErrorContains(t, err, "no tenant is region=mars")

	all, err := p.Identities(Test{Load: &Profile{Tenants: Names{"all"}}}, getenv)
	require.NoError(t, err)
	require.Equal(t, Identity{
		Name: "acme", Class: "gold", Cell: "eu-1", Region: "eu", Prefix: "synthetic-", Token: "of-acme",
		Marks:   map[string]string{"X-Synthetic-Tenant": "acme", "Baggage": "synthetic=true,synthetic.tenant=acme"},
		Headers: map[string]string{"X-Org": "a", "Authorization": "Bearer of-acme"},
	}, all[0])
	require.Equal(t, "of-globex", all[1].Token)
	require.Empty(t, all[2].Headers)
	require.Equal(t, map[string]string{"acme": "of-acme", "globex": "of-globex"}, p.TenantTokens(getenv))

	_, err = p.Identities(Test{Load: &Profile{Tenants: Names{"all"}}}, env(nil))
	require.ErrorContains(t, err, "tenants.csv: the token of the tenant acme is empty: put it into the environment variable ACME")
}

// Nobody's file makes a panic, and what is refused has a place.
func FuzzTenants(f *testing.F) {
	f.Add(someTenants, true)
	f.Add(sameTenants, false)
	f.Fuzz(func(t *testing.T, text string, yaml bool) {
		name := "tenants.csv"
		if yaml {
			name = "tenants.yaml"
		}
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		all, err := ReadTenants(path, name)
		var places Errors
		var line *FeedError
		require.True(t, err == nil && len(all) > 0 || errors.As(err, &places) || errors.As(err, &line), "%v", err)
		for _, tenant := range all {
			if err == nil {
				require.Empty(t, wrongName(tenant.Name))
			}
		}
	})
}

package plan

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxTenants bounds a file of tenants: each of them is a series of its own.
const maxTenants = 10_000

// ReadTenants reads a file of tenants: a list in YAML, or CSV with the columns
// name, class, cell, region, token_env, token_file and header.NAME (those that
// are needed). Shown is what messages call the file. What is wrong with its
// content is [Errors] or a [*FeedError].
func ReadTenants(path, shown string) ([]Tenant, error) {
	if strings.EqualFold(filepath.Ext(path), ".csv") {
		return tenantsOfCSV(path, shown)
	}
	data, err := Options{}.read(path)
	if err != nil {
		return nil, fmt.Errorf("the file of tenants %s can not be read: %s", shown, reason(err))
	}
	var r report
	root := r.tree(shown, data)
	if root == nil {
		return nil, r.errs.ordered()
	}
	var all []Tenant
	d := newDecoder(&r, Options{}, root)
	d.literal = true
	d.value(root, reflect.ValueOf(&all).Elem(), "tenants", "")
	seen := map[string]bool{}
	for i, t := range all {
		at := fmt.Sprintf("tenants[%d]", i)
		if slices.ContainsFunc(d.bad, func(path string) bool { return strings.HasPrefix(path, at+".") }) {
			continue
		}
		if problem := wrongTenant(t, seen); problem != "" {
			d.fail(at, d.values[at].place, "", "%s", problem)
		}
	}
	if len(all) == 0 && len(r.errs) == 0 {
		d.fail("tenants", root.place, "", "there is no tenant in it")
	}
	return all, r.errs.ordered()
}

func tenantsOfCSV(path, shown string) ([]Tenant, error) {
	rows, err := OpenFeeder(path)
	var wrong *FeedError
	if errors.As(err, &wrong) {
		wrong.File = shown
	}
	if err != nil {
		return nil, err
	}
	known := []string{"name", "class", "cell", "region", "token_env", "token_file"}
	for _, column := range rows.Columns() {
		if !slices.Contains(known, column) && !strings.HasPrefix(column, "header.") {
			return nil, &FeedError{File: shown, Line: 1, Reason: fmt.Sprintf("there is no column %q for tenants; %s", shorten(column), DidYouMean(column, slices.Clone(known)))}
		}
	}
	var all []Tenant
	seen := map[string]bool{}
	for i := range rows.Len() {
		t := tenantOfRow(rows.Row(uint64(i)))
		if problem := wrongTenant(t, seen); problem != "" {
			return nil, &FeedError{File: shown, Line: rows.lines[i], Reason: problem}
		}
		all = append(all, t)
	}
	return all, nil
}

func tenantOfRow(row map[string]string) Tenant {
	t := Tenant{Name: row["name"], Class: row["class"], Cell: row["cell"], Region: row["region"]}
	for column, value := range row {
		if name, is := strings.CutPrefix(column, "header."); is && value != "" {
			if t.Headers == nil {
				t.Headers = map[string]string{}
			}
			t.Headers[name] = value
		}
	}
	if row["token_env"]+row["token_file"] != "" {
		t.Token = &Secret{Env: row["token_env"], File: row["token_file"]}
	}
	return t
}

// wrongTenant says what is wrong with a tenant; "" when nothing is.
func wrongTenant(t Tenant, seen map[string]bool) string {
	for what, name := range map[string]string{"class": t.Class, "cell": t.Cell, "region": t.Region} {
		if problem := wrongName(name); name != "" && problem != "" {
			return what + ": " + problem
		}
	}
	for name, value := range t.Headers {
		if problem := wrongHeader(name, value); problem != "" {
			return problem
		}
		if strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Cookie") {
			return name + " is a credential, which is never written here; use token:"
		}
	}
	switch problem := wrongName(t.Name); {
	case problem != "":
		return problem
	case seen[t.Name]:
		return fmt.Sprintf("there are two tenants %q", t.Name)
	case len(seen) == maxTenants:
		return fmt.Sprintf("there are more than %d tenants", maxTenants)
	case t.Token != nil && (t.Token.Env == "") == (t.Token.File == ""):
		return fmt.Sprintf("the token of %s wants either the name of an environment variable (env) or of a file (file)", t.Name)
	}
	seen[t.Name] = true
	return ""
}

// selection is one condition on tenants: a key of theirs and its value.
type selection struct{ key, value string }

// selections reads what a test says of the tenants that it acts as.
func selections(words Names) ([]selection, error) {
	var all []selection
	for _, word := range words {
		if word == "all" && len(words) == 1 {
			return nil, nil
		}
		key, value, is := strings.Cut(word, "=")
		if !is || value == "" || !slices.Contains([]string{"tenant", "class", "cell", "region"}, key) {
			return nil, fmt.Errorf("tenants is all, or KEY=VALUE with tenant, class, cell or region as the key; got %q", shorten(word))
		}
		all = append(all, selection{key, value})
	}
	return all, nil
}

// chosen are the tenants that meet the conditions: of several with one key any,
// of different keys each.
func chosen(all []Tenant, words Names) ([]Tenant, error) {
	conditions, err := selections(words)
	if err != nil {
		return nil, err
	}
	wanted := map[string][]string{}
	for _, c := range conditions {
		wanted[c.key] = append(wanted[c.key], c.value)
	}
	meets := func(t Tenant) bool {
		for key, values := range wanted {
			if !slices.Contains(values, map[string]string{"tenant": t.Name, "class": t.Class, "cell": t.Cell, "region": t.Region}[key]) {
				return false
			}
		}
		return true
	}
	var out []Tenant
	for _, t := range all {
		if meets(t) {
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no tenant is %s", strings.Join(words, " and "))
	}
	return out, nil
}

// Identities are the tenants that a test acts as, with their credentials; none
// when it acts as nobody. Getenv looks up variables of the environment.
func (p Plan) Identities(test Test, getenv func(string) (string, bool)) ([]Identity, error) {
	_, profile := test.Kind()
	if len(profile.Tenants) == 0 || p.Tenants == nil {
		return nil, nil
	}
	all, err := ReadTenants(Locate(p.Dir, p.Tenants.File), p.Tenants.File)
	if err != nil {
		return nil, err
	}
	if test.Canary != nil { // fewer than the plan's canary has
		all, err = chosen(all, test.Canary.Shape.Tenants)
	}
	if err == nil {
		all, err = chosen(all, profile.Tenants)
	}
	if err != nil {
		return nil, fmt.Errorf("test %s: %w", test.Name, err)
	}
	out := make([]Identity, len(all))
	for i, t := range all {
		if out[i], err = p.identity(t, getenv); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Tenants.File, err)
		}
	}
	return out, nil
}

// identity is a tenant with its credentials. Its baggage is that of W3C, so that
// services hand it on. https://www.w3.org/TR/baggage/
func (p Plan) identity(t Tenant, getenv func(string) (string, bool)) (Identity, error) {
	id := Identity{
		Name: t.Name, Class: t.Class, Cell: t.Cell, Region: t.Region, Prefix: p.Tenants.Prefix, Headers: map[string]string{},
		Marks: map[string]string{p.Tenants.Header: t.Name, "Baggage": "synthetic=true,synthetic.tenant=" + url.PathEscape(t.Name)},
	}
	maps.Copy(id.Headers, t.Headers)
	if t.Token == nil {
		return id, nil
	}
	var err error
	if id.Token, err = t.Token.value(p.Dir, "the token of the tenant "+t.Name, getenv); err != nil {
		return Identity{}, err
	}
	id.Headers["Authorization"] = "Bearer " + id.Token
	return id, nil
}

// TenantTokens are the tokens of all tenants that can be had, by their names.
func (p Plan) TenantTokens(getenv func(string) (string, bool)) map[string]string {
	if p.Tenants == nil {
		return nil
	}
	all, err := ReadTenants(Locate(p.Dir, p.Tenants.File), p.Tenants.File)
	if err != nil {
		return nil // whoever acts as one is told
	}
	tokens := map[string]string{}
	for _, t := range all {
		if t.Token == nil {
			continue
		}
		if token, err := t.Token.value(p.Dir, t.Name, getenv); err == nil {
			tokens[t.Name] = token
		}
	}
	return tokens
}

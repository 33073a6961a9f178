package traffic

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const acting = `
import http from 'k6/http';
import { actAs, tenant, tenants, transaction } from 'k6/x/resilience';
export default function () {
  const me = tenant();
  const other = tenants().find((name) => name !== me.name);
  const seen = actAs(other, () => http.get(__ENV.TARGET_URL + '/as/' + tenant().name + '/by/' + me.name));
  if (seen.status !== 200 || tenant().name !== me.name) throw new Error('not itself any more');
  transaction('look', () => http.get(__ENV.TARGET_URL + '/' + me.cell + '/' + me.name + '/' + me.prefix + me.class, { headers: { baggage: 'a=b' } }));
  http.get(__ENV.OTHER_URL);
  if (me.name === 'globex') throw new Error('token ' + me.token + ' and ' + me.headers.Authorization);
}
`

// Each iteration acts as the next tenant: what it sends is marked, its
// credentials go to the target alone, and what is measured has its names.
func TestK6Tenants(t *testing.T) {
	var mu sync.Mutex
	seen, elsewhere := map[string]http.Header{}, []http.Header{}
	target := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path] = r.Header
	})
	other := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		elsewhere = append(elsewhere, r.Header)
	})
	s := scriptTo(t, target.URL, acting, plan.Profile{Rate: 12, Duration: seconds(1), MaxVUs: 4, Grace: seconds(20), Parallel: 2})
	host, err := plan.Host(other.URL)
	require.NoError(t, err)
	s.Hosts, s.Env = append(s.Hosts, host), map[string]string{"OTHER_URL": other.URL}
	s.Target.Headers = map[string]string{"X-Of-All": "yes"}
	for _, name := range []string{"acme", "globex"} {
		s.Tenants = append(s.Tenants, plan.Identity{
			Name: name, Class: "gold", Cell: "eu-1", Region: "eu", Prefix: "synthetic-", Token: "token-of-" + name,
			Marks:   map[string]string{"X-Synthetic-Tenant": name, "Baggage": "synthetic=true"},
			Headers: map[string]string{"Authorization": "Bearer token-of-" + name},
		})
	}
	out := runScript(t, s)
	for _, name := range []string{"acme", "globex"} {
		header := seen["/eu-1/"+name+"/synthetic-gold"]
		require.Equal(t, []string{name}, header["X-Synthetic-Tenant"])
		require.Equal(t, "Bearer token-of-"+name, header.Get("Authorization"))
		require.Equal(t, "a=b,synthetic=true", header.Get("Baggage"))
		require.Equal(t, "yes", header.Get("X-Of-All"))
		other := map[string]string{"acme": "globex", "globex": "acme"}[name]
		require.Equal(t, "Bearer token-of-"+other, seen["/as/"+other+"/by/"+name].Get("Authorization"))
		for _, metric := range []string{measure.MetricTransaction, measure.MetricRequest} {
			found := out.sum(metric, func(w measure.Window) bool {
				return w.Series.Tenant == name && w.Series.Class == "gold" && w.Series.Cell == "eu-1" && w.Series.Region == "eu"
			})
			require.InDelta(t, map[string]int{measure.MetricTransaction: 6, measure.MetricRequest: 18}[metric], found.Count, map[string]float64{measure.MetricTransaction: 2, measure.MetricRequest: 6}[metric], "%s of %s", metric, name)
		}
	}
	require.NotEmpty(t, elsewhere)
	for _, header := range elsewhere {
		require.NotEmpty(t, header.Get("X-Synthetic-Tenant"))
		require.Empty(t, header.Get("Authorization"))
	}
	require.NotEmpty(t, out.events(measure.EventException))
	require.NotContains(t, fmt.Sprint(out.batch), "token-of-")
	require.NotContains(t, fmt.Sprint(out.batch), "not itself")
}

func TestK6TenantsMisused(t *testing.T) {
	for call, want := range map[string]string{
		"actAs('initech', () => 1)":    `the test acts as no tenant "initech"`,
		"actAs('acme')":                "needs the name of a tenant and a function",
		"actAs('acme', async () => 1)": "can not be asynchronous",
	} {
		script := "import { actAs } from 'k6/x/resilience';\nexport default function () { " + call + " }"
		s := scriptTo(t, "http://127.0.0.1:1", script, plan.Profile{Grace: seconds(20)})
		s.Tenants = []plan.Identity{{Name: "acme"}}
		thrown := runScript(t, s).events(measure.EventException)
		require.Len(t, thrown, 1)
		require.Contains(t, thrown[0].Attrs["message"], want)
	}
}

func TestK6WithoutTenants(t *testing.T) {
	script := "import { tenant } from 'k6/x/resilience';\nexport default function () { if (tenant() !== null) throw new Error('somebody'); }"
	out := runScript(t, scriptTo(t, "http://127.0.0.1:1", script, plan.Profile{Grace: seconds(20)}))
	require.Empty(t, out.events(measure.EventException))
}

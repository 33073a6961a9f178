package traffic

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const acting = `
import http from 'k6/http';
import exec from 'k6/execution';
import { actAs, tenant, tenants, transaction } from 'k6/x/resilience';
export default function () {
  const me = tenant();
  const other = tenants().find((name) => name !== me.name);
  const seen = actAs(other, () => http.get(__ENV.TARGET_URL + '/as/' + tenant().name + '/by/' + me.name));
  if (seen.status !== 200 || tenant().name !== me.name) throw new Error('not itself any more');
  transaction('look', () => http.get(__ENV.TARGET_URL + '/' + me.cell + '/' + me.name + '/' + me.prefix + me.class, { headers: { baggage: 'a=b', 'x-number': String(exec.scenario.iterationInTest) } }));
  http.get(__ENV.OTHER_URL);
  if (me.name === 'globex') throw new Error('token ' + me.token + ' and ' + me.headers.Authorization);
}
`

// Each iteration acts as the next tenant: what it sends is marked, its
// credentials go to the target alone, and what is measured has its names.
func TestK6Tenants(t *testing.T) {
	var mu sync.Mutex
	seen, elsewhere := map[string]http.Header{}, []http.Header{}
	turns := map[string]string{} // by the number of the iteration
	target := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path] = r.Header
		if number := r.Header.Get("X-Number"); number != "" {
			turns[number] = r.Header.Get("X-Synthetic-Tenant")
		}
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
	counted := func(metric, name string) uint64 {
		return out.sum(metric, func(w measure.Window) bool {
			return w.Series.Tenant == name && w.Series.Class == "gold" && w.Series.Cell == "eu-1" && w.Series.Region == "eu"
		}).Count
	}
	transactions := map[string]uint64{"acme": counted(measure.MetricTransaction, "acme"), "globex": counted(measure.MetricTransaction, "globex")}
	require.EqualValues(t, len(turns), transactions["acme"]+transactions["globex"])
	for number, name := range turns {
		n, err := strconv.Atoi(number)
		require.NoError(t, err)
		require.Equal(t, []string{"acme", "globex"}[n%2], name, "iteration %d", n)
	}
	for _, name := range []string{"acme", "globex"} {
		header := seen["/eu-1/"+name+"/synthetic-gold"]
		require.Equal(t, []string{name}, header["X-Synthetic-Tenant"])
		require.Equal(t, "Bearer token-of-"+name, header.Get("Authorization"))
		require.Equal(t, "a=b,synthetic=true", header.Get("Baggage"))
		require.Equal(t, "yes", header.Get("X-Of-All"))
		other := map[string]string{"acme": "globex", "globex": "acme"}[name]
		require.Equal(t, "Bearer token-of-"+other, seen["/as/"+other+"/by/"+name].Get("Authorization"))
		require.Positive(t, transactions[name])
		require.Equal(t, 3*transactions[name], counted(measure.MetricRequest, name), "all requests of the iterations of %s", name)
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

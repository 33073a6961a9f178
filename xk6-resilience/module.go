package xk6resilience

import (
	"math/rand/v2"

	"github.com/grafana/sobek"

	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
)

// module is the root of k6/x/resilience; k6 asks it for an instance for each
// VU.
type module struct{ session *session }

// instance is the module as one VU sees it.
type instance struct{ vu *vu }

// NewModuleInstance implements [modules.Module].
func (m *module) NewModuleInstance(k6 modules.VU) modules.Instance {
	v := &vu{VU: k6, session: m.session, random: rand.NewPCG(0, 0)}
	if env := k6.InitEnv(); env != nil {
		v.metrics = registerBareMetrics(env.Registry)
	}
	m.session.mu.Lock()
	m.session.vus = append(m.session.vus, v)
	m.session.mu.Unlock()
	return &instance{vu: v}
}

// Exports implements [modules.Instance].
func (i *instance) Exports() modules.Exports {
	return modules.Exports{Named: map[string]any{
		"transaction": i.vu.transaction,
		"eventually":  i.vu.eventually,
		"idempotent":  i.vu.idempotent,
		"row":         i.vu.row,
		"tenant":      i.vu.identity,
		"tenants":     i.vu.identities,
		"actAs":       i.vu.actsAs,
		"entry":       i.vu.entry,
		"probes":      i.vu.probes,
		"watchGRPC":   i.vu.watchGRPC,

		"PodDisruptor":     i.vu.podDisruptor,
		"ServiceDisruptor": i.vu.serviceDisruptor,
		"ProxyDisruptor":   i.vu.proxyDisruptor,
	}}
}

// throw raises a JavaScript exception.
func (v *vu) throw(err error) { common.Throw(v.Runtime(), err) }

// row gives this iteration's row of the test's data file as an object, and
// null where there is none.
func (v *vu) row() sobek.Value {
	if v.State() == nil {
		v.throw(errRowInInit)
	}
	feeder, err := v.session.data()
	if err != nil {
		v.throw(err)
	}
	if feeder == nil {
		return sobek.Null()
	}
	parse, _ := sobek.AssertFunction(v.Runtime().Get("JSON").ToObject(v.Runtime()).Get("parse"))
	row := feeder.Raw(v.session.around.Load().stream.First + v.State().GetScenarioGlobalVUIter())
	value, err := parse(sobek.Undefined(), v.Runtime().ToValue(string(row)))
	if err != nil {
		v.throw(err)
	}
	return value
}

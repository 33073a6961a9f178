package disrupt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"resilience/internal/plan"
)

// dnsAnswers is every answer that a fault can give. No code means no answer.
var dnsAnswers = map[string]struct{ code int }{
	"empty":    {dns.RcodeSuccess},
	"none":     {noAnswer},
	"nxdomain": {dns.RcodeNameError},
	"refused":  {dns.RcodeRefused},
	"servfail": {dns.RcodeServerFailure},
}

const noAnswer = -1

// dnsHarm is what a fault does to the questions that it touches.
type dnsHarm struct {
	latency *latency // or an answer:
	code    int
	names   []string // the only ones, as in a plan; empty for all
}

func readDNSHarm(d plan.Disruption) (dnsHarm, error) {
	kind, err := onlyFault(d)
	switch {
	case err != nil:
		return dnsHarm{}, err
	case d.Latency != nil:
		effect, err := readLatency(d)
		if err != nil {
			return dnsHarm{}, err
		}
		return dnsHarm{latency: new(effect.(latency))}, nil
	case d.DNS == nil:
		return dnsHarm{}, fmt.Errorf("%s can not be done to dns: use dns or latency", kind)
	}
	answer, ok := dnsAnswers[d.DNS.Answer]
	if !ok {
		return dnsHarm{}, fmt.Errorf("dns: there is no answer %q: use one of %s", d.DNS.Answer, strings.Join(slices.Sorted(maps.Keys(dnsAnswers)), ", "))
	}
	return dnsHarm{code: answer.code, names: d.DNS.Names}, nil
}

// matches tells whether the fault is meant for a question.
func (h dnsHarm) matches(question *dns.Msg) bool {
	return len(h.names) == 0 || slices.ContainsFunc(question.Question, func(q dns.Question) bool {
		name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
		return slices.ContainsFunc(h.names, func(entry string) bool { return matchesName(strings.ToLower(entry), name) })
	})
}

// matchesName compares with host or *.domain, which is every name below it.
func matchesName(entry, name string) bool {
	if domain, wild := strings.CutPrefix(entry, "*"); wild {
		return strings.HasSuffix(name, domain)
	}
	return strings.TrimSuffix(entry, ".") == name
}

// dnsInjection is a fault on questions while it is in effect.
type dnsInjection struct {
	on    *DNSProxy
	harm  dnsHarm
	tally *tally
}

// Disruption reads what a disruption of a plan asks for. Disruptions of the same
// seed and different names make different decisions.
func (p *DNSProxy) Disruption(d plan.Disruption, seed int64) (Disruption, error) {
	harm, err := readDNSHarm(d)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	return newLocal(p.name, d, seed, "queries", func(t *tally) (func() error, error) {
		i := &dnsInjection{on: p, harm: harm, tally: t}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ctx.Err() != nil {
			return nil, errProxyClosed
		}
		p.injected = append(p.injected, i)
		slices.SortStableFunc(p.injected, func(a, b *dnsInjection) int { return a.stage() - b.stage() })
		return i.lift, nil
	})
}

// stage orders faults: those that only delay come first.
func (i *dnsInjection) stage() int {
	if i.harm.latency != nil {
		return 0
	}
	return 1
}

// touch harms a question if it is chosen, and is true when it needs no further
// answer.
func (i *dnsInjection) touch(w dns.ResponseWriter, question *dns.Msg) (answered bool) {
	if !i.harm.matches(question) {
		return false
	}
	turn, touched := i.tally.take()
	switch {
	case !touched:
		return false
	case i.harm.latency != nil:
		if delay := i.harm.latency.of(turn.draw); delay > 0 {
			turn.wait(i.on.ctx, delay)
		}
		return false
	case i.harm.code != noAnswer:
		reply(w, question, i.harm.code)
	}
	return true
}

// status is what a touched question is measured with.
func (i *dnsInjection) status() string {
	if i.harm.code == noAnswer {
		return ""
	}
	return dns.RcodeToString[i.harm.code]
}

func (i *dnsInjection) lift() error {
	i.on.mu.Lock()
	i.on.injected = slices.DeleteFunc(i.on.injected, func(other *dnsInjection) bool { return other == i })
	i.on.mu.Unlock()
	return nil
}

package xk6resilience

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/grafana/sobek"

	"go.k6.io/k6/v2/metrics"

	"resilience/internal/plan"
)

// tenant is a synthetic customer that iterations act as, in the form that is
// quick to use for each request.
type tenant struct {
	plan.Identity
	marks, headers http.Header
}

func newTenant(id plan.Identity) tenant {
	t := tenant{Identity: id, marks: http.Header{}, headers: http.Header{}}
	for name, value := range id.Marks {
		t.marks.Set(name, value)
	}
	for name, value := range id.Headers {
		t.headers.Set(name, value)
	}
	return t
}

// baggage is the header of W3C that services hand on: what a script puts into it
// stays.
const baggage = "Baggage"

// mark adds the headers of the tenant to those of a request; its credentials
// only where it goes to the target.
func (t *tenant) mark(header http.Header, toTarget bool) {
	for name, values := range t.marks {
		if own := header.Get(name); name == baggage && own != "" {
			values = []string{own + "," + values[0]}
		}
		header[name] = values
	}
	if !toTarget {
		return
	}
	for name, values := range t.headers {
		header[name] = values
	}
}

// turn is the tenant of an iteration, by its number: each has its turn, however
// many VUs and processes there are; nil for nobody.
func (s *surroundings) turn(number uint64) *tenant {
	if len(s.tenants) == 0 {
		return nil
	}
	return &s.tenants[number%uint64(len(s.tenants))]
}

// named is the tenant of that name; nobody for "".
func (s *surroundings) named(name string) (t *tenant, known bool) {
	t, known = s.byName[name]
	return t, known || name == ""
}

// label gives what is measured from now on the names of a tenant, or those of
// nobody. Where there are no tenants at all, such names are the script's own.
func (v *vu) label(t *tenant) {
	if len(v.session.around.Load().tenants) == 0 {
		return
	}
	if t == nil {
		t = &tenant{}
	}
	v.State().Tags.Modify(func(tags *metrics.TagsAndMeta) {
		for name, value := range map[string]string{"tenant": t.Name, "class": t.Class, "cell": t.Cell, "region": t.Region} {
			if value == "" {
				tags.DeleteTag(name)
			} else {
				tags.SetTag(name, value)
			}
		}
	})
}

// acting is whom the VU acts as; nil for nobody.
func (v *vu) acting() *tenant {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tenant
}

// identity is tenant() of scripts: whom this iteration acts as, and null where
// that is nobody.
func (v *vu) identity() sobek.Value {
	if v.State() == nil {
		v.throw(errors.New("tenant() gives whom an iteration acts as: call it in the function that runs, not at the top of the script"))
	}
	t := v.acting()
	if t == nil {
		return sobek.Null()
	}
	headers := v.Runtime().NewObject()
	for _, some := range []http.Header{t.marks, t.headers} {
		for name := range some {
			v.set(headers, name, some.Get(name))
		}
	}
	out := v.Runtime().NewObject()
	for name, value := range map[string]string{
		"name": t.Name, "class": t.Class, "cell": t.Cell, "region": t.Region, "prefix": t.Prefix, "token": t.Token,
	} {
		v.set(out, name, value)
	}
	v.set(out, "headers", headers)
	return out
}

// identities are the names of all tenants of the test.
func (v *vu) identities() []string {
	names := []string{}
	for _, t := range v.session.around.Load().tenants {
		names = append(names, t.Name)
	}
	return names
}

// actsAs is actAs(name, fn) of scripts: what fn sends is that of another tenant,
// for those who want to see that one can not do what is another's. It is measured
// as what the iteration's own tenant did. It gives what fn gave.
func (v *vu) actsAs(name string, fn sobek.Callable) sobek.Value {
	if fn == nil || v.State() == nil {
		v.throw(errors.New("actAs(name, fn) needs the name of a tenant and a function, and belongs into the function that runs"))
	}
	around := v.session.around.Load()
	other, known := around.byName[name]
	if !known {
		v.throw(fmt.Errorf("actAs: the test acts as no tenant %q", name))
	}
	own := v.swap(other)
	defer v.swap(own)
	value, err := fn(sobek.Undefined())
	switch {
	case err != nil:
		panic(err)
	case isPromise(value):
		v.throw(errors.New("actAs: its function can not be asynchronous: use http.get instead of http.asyncRequest"))
	}
	return value
}

// swap makes the VU act as another tenant, and gives whom it acted as.
func (v *vu) swap(t *tenant) *tenant {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.tenant
	v.tenant = t
	return before
}

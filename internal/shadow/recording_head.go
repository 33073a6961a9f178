package shadow

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// head says in the clear what a block holds, so that it need not be unpacked to
// be passed over, or to be counted.
type head struct {
	count       uint64
	first, last int64 // when exchanges began, in Unix nanoseconds
	tenants     []string
	routes      []routeHead
}

// routeHead counts the exchanges of a route.
type routeHead struct {
	route    string
	bytes    uint64 // of the bodies that are kept
	statuses map[int]uint64
}

// headOf reads exchanges that are sorted by time.
func headOf(all []Exchange) head {
	h := head{count: uint64(len(all)), first: all[0].At.UnixNano(), last: all[len(all)-1].At.UnixNano()}
	tenants, routes := map[string]bool{}, map[string]*routeHead{}
	for i := range all {
		x := &all[i]
		tenants[x.Tenant] = true
		r := routes[x.Route]
		if r == nil {
			r = &routeHead{route: x.Route, statuses: map[int]uint64{}}
			routes[x.Route] = r
		}
		r.bytes += uint64(len(x.Request.Body.Data) + len(x.Response.Body.Data))
		r.statuses[max(x.Response.Status, 0)]++
	}
	h.tenants = slices.Sorted(maps.Keys(tenants))
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		h.routes = append(h.routes, *routes[name])
	}
	return h
}

func (h head) append(b []byte) []byte {
	b = binary.AppendUvarint(b, h.count)
	b = binary.AppendVarint(b, h.first)
	b = binary.AppendUvarint(b, uint64(h.last-h.first))
	b = binary.AppendUvarint(b, uint64(len(h.tenants)))
	for _, t := range h.tenants {
		b = appendText(b, t)
	}
	b = binary.AppendUvarint(b, uint64(len(h.routes)))
	for _, r := range h.routes {
		b = appendText(b, r.route)
		b = binary.AppendUvarint(b, r.bytes)
		b = binary.AppendUvarint(b, uint64(len(r.statuses)))
		for _, status := range slices.Sorted(maps.Keys(r.statuses)) {
			b = binary.AppendUvarint(b, uint64(status))
			b = binary.AppendUvarint(b, r.statuses[status])
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func readHead(data []byte) (head, error) {
	d := decoder{raw: data}
	h := head{count: d.number(), first: d.signed()}
	h.last = h.first + int64(d.number())
	if h.last < h.first {
		d.fail(errNumber)
	}
	for range d.count() {
		h.tenants = append(h.tenants, string(d.bytes()))
	}
	for range d.count() {
		r := routeHead{route: string(d.bytes()), bytes: d.number(), statuses: map[int]uint64{}}
		for range d.count() {
			status := d.number()
			r.statuses[int(status&0xffff)] += d.number()
		}
		h.routes = append(h.routes, r)
	}
	return h, d.err
}

func (d *decoder) signed() int64 {
	n, size := binary.Varint(d.raw)
	if size <= 0 {
		d.fail(errShort)
		return 0
	}
	d.raw = d.raw[size:]
	return n
}

// Selection says which exchanges of a recording are read. The zero value is all
// of them.
type Selection struct {
	From, To time.Time // From is in it, To is not; the zero time is no limit
	Tenants  []string  // any of these; none is all
	Routes   []string  // any of these; none is all
}

// mayHold reports whether a block can have exchanges of the selection.
func (s Selection) mayHold(h head) bool {
	return s.meets(h.first, h.last) && some(s.Tenants, h.tenants, func(t string) string { return t }) &&
		some(s.Routes, h.routes, func(r routeHead) string { return r.route })
}

func (s Selection) meets(first, last int64) bool {
	return (s.From.IsZero() || last >= s.From.UnixNano()) && (s.To.IsZero() || first < s.To.UnixNano())
}

func some[T any](wanted []string, has []T, name func(T) string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(has, func(h T) bool { return slices.Contains(wanted, name(h)) })
}

func (s Selection) holds(x *Exchange) bool {
	at := x.At.UnixNano()
	return s.meets(at, at) && (len(s.Tenants) == 0 || slices.Contains(s.Tenants, x.Tenant)) &&
		(len(s.Routes) == 0 || slices.Contains(s.Routes, x.Route))
}

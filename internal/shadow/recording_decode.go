package shadow

import (
	"encoding/binary"
	"errors"
	"net/http"
	"time"
)

var (
	errShort  = errors.New("it ends too early")
	errNumber = errors.New("it holds a number that can not be")
)

// decoder reads what an encoder wrote. The first mistake ends it: all that it
// gives after that is zero.
type decoder struct {
	raw   []byte
	known []string
	last  int64
	err   error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.raw = err, nil
	}
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.raw)
	if size <= 0 {
		d.fail(errShort)
		return 0
	}
	d.raw = d.raw[size:]
	return n
}

// count is a number of things that take at least a byte each, so that no more are
// allocated than can follow.
func (d *decoder) count() int {
	n := d.number()
	if n > uint64(len(d.raw)) {
		d.fail(errShort)
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte {
	n := d.count()
	if d.err != nil {
		return nil
	}
	taken := d.raw[:n]
	d.raw = d.raw[n:]
	return taken
}

func (d *decoder) text() string {
	switch n := d.number(); {
	case d.err != nil:
		return ""
	case n == textNew:
		s := string(d.bytes())
		d.known = append(d.known, s)
		return s
	case n == textPlain:
		return string(d.bytes())
	case n-textNumbers < uint64(len(d.known)):
		return d.known[n-textNumbers]
	}
	d.fail(errNumber)
	return ""
}

func (d *decoder) exchange() Exchange {
	d.last += int64(d.number())
	x := Exchange{At: time.Unix(0, d.last).UTC(), Took: time.Duration(d.number())}
	x.Session, x.Tenant, x.Route = d.text(), d.text(), d.text()
	x.Request = Request{Method: d.text(), Host: d.text(), Target: d.text(), Header: d.header(), Body: d.body()}
	x.Response.Status, x.Response.Failure = int(d.number()), d.text()
	x.Response.Header, x.Response.Body = d.header(), d.body()
	if x.Took < 0 || x.Response.Status < 0 {
		d.fail(errNumber)
	}
	return x
}

func (d *decoder) header() http.Header {
	n := d.count()
	room := min(n, 64) // more is allocated when it is there
	h, values := make(http.Header, room), make([]string, 0, room)
	for i := 0; i < n && d.err == nil; i++ {
		name, more := d.text(), d.count()
		first := len(values)
		for j := 0; j < more && d.err == nil; j++ {
			values = append(values, d.text())
		}
		all := values[first:len(values):len(values)]
		name = http.CanonicalHeaderKey(name) // whoever wrote it: nobody looks for others
		if known := h[name]; known != nil {
			all = append(known, all...)
		}
		h[name] = all
	}
	return h
}

func (d *decoder) body() Body {
	if len(d.raw) == 0 || d.raw[0] > bodyBits {
		d.fail(errNumber)
		return Body{}
	}
	bits := d.raw[0]
	size, n := binary.Varint(d.raw[1:])
	if n <= 0 {
		d.fail(errShort)
		return Body{}
	}
	d.raw = d.raw[1+n:]
	b := Body{Size: size, Cut: bits&bodyCut != 0}
	if data := d.bytes(); len(data) > 0 {
		b.Data = append(make([]byte, 0, len(data)), data...) // a body that is kept must not keep its block
	}
	return d.bodyTexts(b, bits)
}

func (d *decoder) bodyTexts(b Body, bits byte) Body {
	if bits&bodyDigest != 0 {
		b.Digest = d.text()
	}
	if bits&bodyEncoding != 0 {
		b.Encoding = d.text()
	}
	if bits&bodyDamage != 0 {
		b.Damage = d.text()
	}
	return b
}

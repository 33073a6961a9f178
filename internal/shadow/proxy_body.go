package shadow

import "net/http"

// body is what passed by, decoded. Its data may be that of the tee, and then must
// not outlive it.
func (t *captureTee) body(header http.Header) Body {
	if t.decoded || t.size == 0 {
		return Body{Data: t.data, Size: t.size, Cut: t.cut(), Digest: t.sum()}
	}
	b := BodyOf(t.data, header, t.max)
	if t.cut() { // that it does not end is our doing
		b.Size, b.Cut, b.Digest, b.Damage = -1, true, "", ""
	}
	return b
}

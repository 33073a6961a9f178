package shadow

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Declared names what somebody declared to be redacted, beside what always is. A
// recording holds it, so that whoever compares answers with it shows nothing of what
// it hides.
type Declared struct {
	Paths   []string `json:"paths,omitempty"`
	Headers []string `json:"headers,omitempty"`
	Query   []string `json:"query,omitempty"`
	// KeptCookies are those whose values the recording has as they were.
	KeptCookies []string `json:"kept_cookies,omitempty"`
	// Unknown says that the part of a recording is damaged that would tell.
	Unknown bool `json:"-"`
}

// Declared is what the rules name.
func (r RedactionRules) Declared() Declared {
	return Declared{Paths: r.Paths, Headers: r.Headers, Query: r.Query, KeptCookies: r.KeepCookies}
}

// String lists all of what is redacted.
func (d Declared) String() string {
	if d.Unknown {
		return "nobody knows what, because the beginning of the file is damaged"
	}
	text := ""
	for kind, names := range [][]string{d.Paths, d.Headers, d.Query} {
		for _, name := range names {
			if text != "" {
				text += ", "
			}
			text += []string{"", "header ", "query "}[kind] + name
		}
	}
	return text
}

func (d Declared) none() bool {
	return len(d.Paths)+len(d.Headers)+len(d.Query)+len(d.KeptCookies) == 0
}

// kindDeclared is the kind of the block that says it, beside those of exchanges and of
// the index.
const kindDeclared = 3

// maxDeclared is how much of it a recording holds, in bytes.
const maxDeclared = 1 << 20

// writeDeclared writes it as JSON, which is packed.
func (w *Writer) writeDeclared(d Declared) error {
	if d.none() {
		return nil
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if len(raw) > maxDeclared {
		return fmt.Errorf("what was declared to be redacted takes %d bytes; a recording keeps at most %d", len(raw), maxDeclared)
	}
	w.writeFrame(kindDeclared, nil, raw)
	return w.err
}

// Declared is what was declared to be redacted when the recording was made.
func (r *Reader) Declared() Declared { return r.declared }

// findDeclared reads it, where it stands before the exchanges.
func (r *Reader) findDeclared() {
	if r.size <= int64(headerSize) {
		return
	}
	switch f, why := r.frameAt(int64(headerSize)); {
	case why != "":
		r.declared.Unknown = true
	case f.kind == kindDeclared:
		r.declared.Unknown = r.readDeclared(int64(headerSize), f) != nil
	}
}

// readDeclared reads what is declared in a block.
func (r *Reader) readDeclared(at int64, f frame) error {
	if f.raw > maxDeclared {
		return errors.New("more is declared to be redacted than may be")
	}
	if err := r.unpack(at, f); err != nil {
		return err
	}
	var d Declared
	err := json.Unmarshal(r.raw, &d)
	if err == nil {
		_, err = readPaths(d.Paths)
	}
	if err != nil {
		return fmt.Errorf("what was declared to be redacted can not be read: %w", err)
	}
	r.declared = d
	return nil
}

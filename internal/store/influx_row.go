package store

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"resilience/internal/measure"
)

// row is a point as it is read back: its tags and fields by name. Values are
// strings, numbers as [json.Number], booleans, or nil where there is none.
type row map[string]any

// errRow says that a point is not one that this program wrote.
var errRow = errors.New("not as it was written")

// values takes the values out of a row and remembers the first that is wrong.
type values struct {
	row row
	err error
}

func (v *values) wrong(key string) {
	if v.err == nil {
		v.err = fmt.Errorf("%s is %v: %w", key, v.row[key], errRow)
	}
}

// tag is "" where there is none.
func (v *values) tag(key string) string {
	text, ok := v.row[key].(string)
	if !ok && v.row[key] != nil {
		v.wrong(key)
	}
	return unescapeTag(text)
}

func (v *values) text(key string) string {
	text, ok := v.row[key].(string)
	if !ok {
		v.wrong(key)
	}
	return text
}

func (v *values) number(key string) int64 {
	number, _ := v.row[key].(json.Number)
	n, err := number.Int64()
	if err != nil {
		v.wrong(key)
	}
	return n
}

func (v *values) count(key string) uint64 {
	n := v.number(key)
	if n < 0 {
		v.wrong(key)
	}
	return uint64(n)
}

func (v *values) float(key string) float64 {
	number, _ := v.row[key].(json.Number)
	n, err := number.Float64()
	if err != nil {
		v.wrong(key)
	}
	return n
}

// windowOf reads what windowPoint wrote.
func windowOf(r row) (w measure.Window, origin string, err error) {
	v := &values{row: r}
	part := v.count("part")
	w = measure.Window{
		Source: v.tag("source"), Start: v.number("start"), Width: v.number("width"), Part: uint32(part),
		Count: v.count("count"), Failed: v.count("failed"), Unfinished: v.count("unfinished"), Dropped: v.count("dropped"),
		Sum: v.float("sum"), Min: v.float("min"), Max: v.float("max"),
		Series: measure.Series{
			Metric: v.tag("metric"), Phase: v.tag("phase"), Test: v.tag("test"), Arm: v.tag("arm"), Transaction: v.tag("transaction"),
			Step: v.tag("step"), Tenant: v.tag("tenant"), Class: v.tag("class"), Cell: v.tag("cell"), Region: v.tag("region"),
			Instance: v.tag("instance"), Status: v.tag("status"),
		},
	}
	if part > math.MaxUint32 {
		v.wrong("part")
	}
	if r["sketch"] != nil {
		w.Sketch = &measure.Sketch{}
		data, err := base64.StdEncoding.DecodeString(v.text("sketch"))
		if err == nil {
			err = w.Sketch.UnmarshalBinary(data)
		}
		if err != nil {
			v.wrong("sketch")
		}
	}
	return w, v.tag("origin"), v.err
}

// eventOf reads what eventPoint wrote.
func eventOf(r row) (e measure.Event, origin string, err error) {
	v := &values{row: r}
	e = measure.Event{
		Source: v.tag("source"), Seq: v.count("seq"), At: v.number("at"), Kind: v.tag("kind"),
		Phase: v.tag("phase"), Test: v.tag("test"), Arm: v.tag("arm"), Name: v.tag("name"),
	}
	if r["attrs"] != nil {
		if err := json.Unmarshal([]byte(v.text("attrs")), &e.Attrs); err != nil {
			v.wrong("attrs")
		}
	}
	return e, v.tag("origin"), v.err
}

// piece is one part of a document.
type piece struct {
	kind, name, digest string
	part, parts        int64
	data               []byte
}

// pieceOf reads one point of those that documentPoints wrote.
func pieceOf(r row) (piece, error) {
	v := &values{row: r}
	p := piece{v.tag("kind"), v.tag("name"), v.text("digest"), v.number("part"), v.number("parts"), nil}
	var err error
	if p.data, err = base64.StdEncoding.DecodeString(v.text("data")); err != nil {
		v.wrong("data")
	}
	return p, v.err
}

// totalsOf reads what totalsPoint wrote.
func totalsOf(r row) (totals, error) {
	v := &values{row: r}
	return totals{v.number("windows"), v.number("events"), v.number("documents")}, v.err
}

package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Resolved writes a plan as indented JSON, which is YAML too: [Parse] reads an
// equal plan from it. Placeholders stay as they are, so that no secret is in
// it; the same plan gives the same bytes.
func Resolved(p Plan) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(plainly(reflect.ValueOf(p))); err != nil {
		return nil, fmt.Errorf("the resolved plan: %w", err)
	}
	return out.Bytes(), nil
}

// Digest names what a plan says: the SHA-256 of [Resolved], in hexadecimal.
func Digest(p Plan) string {
	data, _ := Resolved(p) // fails for no plan that Load or Parse gave
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// object is a JSON object with its keys in order.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(m.key); err != nil {
			return nil, err
		}
		out.WriteByte(':')
		if err := encoder.Encode(m.value); err != nil {
			return nil, err
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// plainly turns a value of a plan into what encoding/json writes as a plan
// would spell it.
func plainly(v reflect.Value) any {
	switch is := v.Interface().(type) {
	case Gate:
		return is.spelled()
	case Stage:
		return is.spelled()
	case Baseline:
		return is.spelled()
	case encoding.TextMarshaler:
		return is
	}
	switch v.Kind() {
	case reflect.Pointer:
		return plainly(v.Elem())
	case reflect.Struct:
		return plainStruct(v)
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plainly(v.Index(i))
		}
		return out
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.Interface {
			return v.Interface()
		}
		out := make(map[string]any, v.Len())
		for key, value := range v.Seq2() {
			out[key.String()] = plainly(value)
		}
		return out
	}
	return v.Interface()
}

func plainStruct(v reflect.Value) object {
	out := object{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := fieldName(f)
		optional := strings.Contains(f.Tag.Get("yaml"), "omitempty")
		if key == "" || optional && v.Field(i).IsZero() {
			continue
		}
		if v.Field(i).Kind() == reflect.Interface {
			out = append(out, member{key, v.Field(i).Interface()})
			continue
		}
		out = append(out, member{key, plainly(v.Field(i))})
	}
	return out
}

// spelled gives a gate as its sentence, or as a mapping when it says more.
func (g Gate) spelled() any {
	rest := longGate{
		Gate: g.Text, Strict: g.Strict, MinSamples: g.MinSamples,
		Confidence: Percent(g.Confidence), Severity: g.Severity, Group: g.Group, Weight: g.Weight, Calibrate: g.Calibrate, Note: g.Note,
	}
	if rest == (longGate{Gate: g.Text}) {
		return g.Text
	}
	return plainStruct(reflect.ValueOf(rest))
}

// spelled gives a baseline as the name of its target, or as a mapping when it is
// not one.
func (b Baseline) spelled() any {
	if b == (Baseline{Target: b.Target}) {
		return b.Target
	}
	return plainStruct(reflect.ValueOf(b))
}

// spelled gives a stage with the one of rate and VUs that it has, zero or not.
func (s Stage) spelled() any {
	if s.VUs != nil {
		return object{{"duration", s.Duration}, {"vus", *s.VUs}}
	}
	return object{{"duration", s.Duration}, {"rate", s.Rate}}
}

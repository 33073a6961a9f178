package plan

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"resilience/gates"
)

// decoder turns a tree into a Plan and remembers the place of every value by
// its path, such as phases[0].tests[1].load.rate or targets["a"].url.
type decoder struct {
	*report
	opts    Options
	root    *node
	values  map[string]*node
	keys    map[string]place
	bad     []string // paths with a mistake
	columns []columnUse
	tenants []Tenant // of the plan's file
	literal bool     // texts are as they stand: nothing in them is a variable or placeholder
}

// columnUse is a place that needs a column of the test's data file.
type columnUse struct {
	path, column string
	at           place
}

func newDecoder(r *report, opts Options, root *node) *decoder {
	return &decoder{report: r, opts: opts, root: root, values: map[string]*node{}, keys: map[string]place{}}
}

// fail reports a mistake in the value at a path.
func (d *decoder) fail(path string, at place, hint, format string, args ...any) {
	if len(d.bad) < 2*maxProblems { // every rule looks through them
		d.bad = append(d.bad, path)
	}
	d.add(at, hint, format, args...)
}

// has reports whether the plan says anything at a path.
func (d *decoder) has(path string) bool { return d.values[path] != nil }

// own is a type that decodes itself from a node.
type own interface {
	decode(d *decoder, n *node, path string)
}

// unit is a type that is written as a word.
type unit interface {
	encoding.TextUnmarshaler
	pattern() string
}

// value decodes a node into a value; allowed are the placeholders it may hold.
func (d *decoder) value(n *node, v reflect.Value, path, allowed string) {
	d.values[path] = n
	if n.kind == null && v.Kind() != reflect.Interface {
		d.fail(path, n.place, "give it a value or leave it out", "%s is empty", label(path))
		return
	}
	switch to := v.Addr().Interface().(type) {
	case own:
		to.decode(d, n, path)
		return
	case unit:
		d.unit(n, to, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		inside := reflect.New(v.Type().Elem())
		d.value(n, inside.Elem(), path, allowed)
		v.Set(inside)
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.names(n, v, path, allowed)
	case reflect.Slice:
		d.list(n, v, path, allowed)
	case reflect.Interface:
		if got := d.anything(n, path, allowed); got != nil {
			v.Set(reflect.ValueOf(got))
		}
	default:
		d.scalar(n, v, path, allowed)
	}
}

// wants checks the kind of a node.
func (d *decoder) wants(n *node, k kind, path, hint string) bool {
	if n.kind == k {
		return true
	}
	got := string(n.kind)
	if n.kind == scalar {
		got = strconv.Quote(shorten(n.text))
	}
	d.fail(path, n.place, hint, "%s wants %s, not %s", label(path), k, got)
	return false
}

func (d *decoder) unit(n *node, to unit, path string) {
	if !d.wants(n, scalar, path, "") {
		return
	}
	text, ok := d.text(n, path)
	if !ok {
		return
	}
	if err := to.UnmarshalText([]byte(shorten(text))); err != nil {
		d.fail(path, n.place, "", "%s %s", label(path), err)
	}
}

func (d *decoder) scalar(n *node, v reflect.Value, path, allowed string) {
	if !d.wants(n, scalar, path, "") {
		return
	}
	text, ok := d.text(n, path)
	if !ok {
		return
	}
	free := n.plain || strings.Contains(n.text, "${") // quotes make text, except around a variable
	switch v.Kind() {
	case reflect.String:
		d.placeholders(n, text, path, allowed)
		v.SetString(text)
	case reflect.Bool:
		if free && (text == "true" || text == "false") {
			v.SetBool(text == "true")
			return
		}
		d.fail(path, n.place, "", "%s wants true or false; got %q", label(path), shorten(text))
	case reflect.Int:
		if i, err := strconv.ParseInt(text, 10, 32); free && err == nil {
			v.SetInt(i)
			return
		}
		d.fail(path, n.place, "", "%s wants a whole number; got %q", label(path), shorten(text))
	case reflect.Uint64:
		if i, err := strconv.ParseUint(text, 10, 63); free && err == nil {
			v.SetUint(i)
			return
		}
		d.fail(path, n.place, "", "%s wants a whole number, 0 or more; got %q", label(path), shorten(text))
	default:
		panic(fmt.Sprintf("plan: no decoding into %s", v.Type()))
	}
}

func (d *decoder) structure(n *node, v reflect.Value, path string) {
	if !d.wants(n, mapping, path, "") {
		return
	}
	fields := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(v.Type()) {
		if name := fieldName(f); name != "" {
			fields[name] = f
		}
	}
	for _, e := range n.entries {
		f, known := fields[e.key]
		switch at := join(path, e.key); {
		case known:
			d.keys[at] = e.place
			d.value(e.value, v.FieldByIndex(f.Index), at, f.Tag.Get("bind"))
		case path == "" && strings.HasPrefix(e.key, "x-"):
			// a place for anchors
		default:
			if near := gates.Nearest(e.key, named(fields)); near != "" && len(d.bad) < 2*maxProblems {
				d.bad = append(d.bad, join(path, near)) // it is not missing, too
			}
			d.fail(at, e.place, nearestKey(e.key, v.Type(), fields), "unknown key %q in %s", shorten(e.key), thing(path, v.Type()))
		}
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := fieldName(f)
		if f.Tag.Get("jsonschema") == "required" && n.get(name) == nil && !slices.Contains(d.bad, join(path, name)) {
			d.fail(join(path, name), n.place, "", "%s wants %s:", thing(path, v.Type()), name)
		}
	}
}

func (d *decoder) names(n *node, v reflect.Value, path, allowed string) {
	if !d.wants(n, mapping, path, "write NAME: under it") {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.entries)))
	for _, e := range n.entries {
		at := path + `["` + e.key + `"]`
		d.keys[at] = e.place
		value := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, value, at, allowed)
		v.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}

func (d *decoder) list(n *node, v reflect.Value, path, allowed string) {
	if !d.wants(n, listing, path, "write it as [a, b] or as lines that begin with -") {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i), allowed)
	}
}

// fieldName is the key of a field, "" when it has none.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if name == "-" {
		return ""
	}
	return name
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// label is the last part of a path: rate, accept[0], or the name in a map.
func label(path string) string {
	path = words(path)
	if path == "" {
		return "the plan"
	}
	return path[strings.LastIndex(path, ".")+1:]
}

// called are the words for kinds whose types are named by more than one.
var called = map[string]string{"failuremode": "failure mode", "canarytask": "transaction", "canaryrule": "rule", "canarytest": "canary", "intended": "change"}

// thing names what a mapping is: load, or for those in lists and maps "a test".
func thing(path string, t reflect.Type) string {
	last := path[strings.LastIndex(path, ".")+1:]
	switch kind := strings.TrimPrefix(strings.ToLower(t.Name()), "long"); {
	case path == "":
		return "a plan"
	case !strings.HasSuffix(last, "]"):
		return last
	case called[kind] != "":
		return "a " + called[kind]
	case strings.ContainsAny(kind[:1], "aeio"):
		return "an " + kind
	default:
		return "a " + kind
	}
}

// shorten keeps a text fit for a message.
func shorten(text string) string {
	if r := []rune(text); len(r) > 80 {
		return string(r[:77]) + "..."
	}
	return text
}

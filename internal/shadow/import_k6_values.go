package shadow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/grafana/sobek/ast"
	"github.com/grafana/sobek/token"
)

// k6Computed stands for a value that is known only when a script runs.
type k6Computed struct{}

// k6Object is an object in the order in which it is written, as JSON.stringify
// keeps it.
type k6Object []k6Member

type k6Member struct {
	name  string
	value any
}

func (o k6Object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// MarshalJSON keeps the order.
func (o k6Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for n, m := range o {
		if b.WriteByte("{,"[min(n, 1)]); m.value == nil {
			m.value = json.RawMessage("null")
		}
		name, value := k6JSON(m.name), k6JSON(m.value)
		if value == nil {
			return nil, fmt.Errorf("%s is computed", m.name)
		}
		b.Write(append(append(name, ':'), value...))
	}
	if len(o) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// k6JSON is JSON without the escapes that encoding/json adds; nil for what is
// computed.
func k6JSON(value any) []byte {
	if _, computed := value.(k6Computed); computed {
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(value) != nil {
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// k6Plain is the text of a value that has one.
func k6Plain(value any) (string, bool) {
	switch value.(type) {
	case string, int64, float64, bool:
		return k6Text(value), true
	}
	return "", false
}

// k6Text writes a value as JavaScript does.
func k6Text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
		return "null"
	}
	return fmt.Sprint(value)
}

// mostValues bounds how far variables lead to other variables.
const mostValues = 50

// mostSteps are taken for one call: variables can double their length many times.
const mostSteps = 100_000

// value works out an expression, where that needs no running: literals, what is
// put together of them, and variables that never change.
func (k *k6Script) value(e ast.Expression) (any, bool) { return k.valueWithin(e, mostValues) }

func (k *k6Script) valueWithin(e ast.Expression, within int) (any, bool) {
	if k.steps++; k.steps > mostSteps {
		return nil, false
	}
	switch e := e.(type) {
	case *ast.StringLiteral:
		return e.Value.String(), true
	case *ast.NumberLiteral:
		return e.Value, true
	case *ast.BooleanLiteral:
		return e.Value, true
	case *ast.NullLiteral:
		return nil, true
	case *ast.TemplateLiteral:
		return k.template(e, within)
	case *ast.ArrayLiteral:
		return k.list(e, within)
	case *ast.ObjectLiteral:
		return k.object(e, within)
	case *ast.BinaryExpression:
		return k.sum(e, within)
	case *ast.CallExpression:
		return k.made(e, within)
	case *ast.Identifier:
		if initial, known := k.known[e.Name.String()]; known && initial != nil && within > 0 {
			return k.valueWithin(initial, within-1)
		}
		return nil, e.Name == "undefined"
	}
	return nil, false
}

func (k *k6Script) template(t *ast.TemplateLiteral, within int) (any, bool) {
	if tag, is := t.Tag.(*ast.DotExpression); t.Tag != nil && (!is || tag.Identifier.Name != "url") {
		return nil, false
	}
	var b strings.Builder
	for n, e := range t.Elements {
		b.WriteString(e.Parsed.String())
		if n < len(t.Expressions) {
			value, ok := k.valueWithin(t.Expressions[n], within)
			text, plain := k6Plain(value)
			if !ok || !plain || b.Len() > mostScript {
				return nil, false
			}
			b.WriteString(text)
		}
	}
	return b.String(), true
}

func (k *k6Script) list(a *ast.ArrayLiteral, within int) (any, bool) {
	all := make([]any, 0, len(a.Value))
	for _, e := range a.Value {
		value, ok := k.valueWithin(e, within)
		if !ok {
			value = k6Computed{}
		}
		all = append(all, value)
	}
	return all, true
}

func (k *k6Script) object(o *ast.ObjectLiteral, within int) (any, bool) {
	all := make(k6Object, 0, len(o.Value))
	for _, p := range o.Value {
		if short, is := p.(*ast.PropertyShort); is && short.Initializer == nil { // { headers }
			p = &ast.PropertyKeyed{Key: &ast.StringLiteral{Value: short.Name.Name}, Kind: ast.PropertyKindValue, Value: &short.Name}
		}
		member, is := p.(*ast.PropertyKeyed)
		if !is || member.Computed || member.Kind != ast.PropertyKindValue {
			return nil, false
		}
		name, ok := k.valueWithin(member.Key, 0)
		if !ok {
			return nil, false
		}
		value, ok := k.valueWithin(member.Value, within)
		if !ok {
			value = k6Computed{}
		}
		all = append(all, k6Member{name: k6Text(name), value: value})
	}
	return all, true
}

func (k *k6Script) sum(e *ast.BinaryExpression, within int) (any, bool) {
	left, ok := k.valueWithin(e.Left, within)
	right, also := k.valueWithin(e.Right, within)
	a, isTextLine := k6Plain(left)
	b, isAlso := k6Plain(right)
	_, first := left.(string)
	_, second := right.(string)
	if !ok || !also || !isTextLine || !isAlso || e.Operator != token.PLUS || !first && !second || len(a)+len(b) > mostScript {
		return nil, false
	}
	return a + b, true
}

// made is what a call gives that needs no running.
func (k *k6Script) made(call *ast.CallExpression, within int) (any, bool) {
	callee, is := call.Callee.(*ast.DotExpression)
	if !is || len(call.ArgumentList) == 0 {
		return nil, false
	}
	value, ok := k.valueWithin(call.ArgumentList[0], within)
	text, isTextLine := value.(string)
	switch name := callee.Identifier.Name; {
	case ok && name == "stringify" && len(call.ArgumentList) == 1:
		written := k6JSON(value)
		return string(written), written != nil
	case ok && name == "b64decode" && isTextLine:
		return k6Base64(text)
	}
	return nil, false
}

// walkScript visits all nodes of a tree. The lists of declarations are left out:
// what they list is in the tree, too.
func walkScript(part any, visit func(any)) {
	walkValue(reflect.ValueOf(part), visit)
}

func walkValue(v reflect.Value, visit func(any)) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			walkValue(v.Elem(), visit)
		}
	case reflect.Pointer:
		if v.IsNil() || v.Elem().Kind() != reflect.Struct || !strings.HasSuffix(v.Type().Elem().PkgPath(), "/ast") {
			return
		}
		visit(v.Interface())
		walkValue(v.Elem(), visit)
	case reflect.Slice:
		for n := range v.Len() {
			walkValue(v.Index(n), visit)
		}
	case reflect.Struct:
		for n := range v.NumField() {
			if name := v.Type().Field(n).Name; name != "DeclarationList" && v.Type().Field(n).IsExported() {
				walkValue(v.Field(n), visit)
			}
		}
	}
}

package shadow

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grafana/sobek/ast"
	"github.com/grafana/sobek/parser"
)

// mostScript is how long a script may be, in bytes: it is parsed in memory.
const mostScript = 16 << 20

// computedReason is why the call of a script is skipped: a value of it is known
// only when it runs.
const computedReason = "its arguments are computed"

func isK6(start []byte) bool {
	return bytes.Contains(start, []byte("k6/http")) && !bytes.HasPrefix(bytes.TrimSpace(start), []byte("{"))
}

func readK6(i *importing, r *bufio.Reader) error {
	source, err := io.ReadAll(io.LimitReader(r, mostScript+1))
	if err == nil && len(source) > mostScript {
		err = fmt.Errorf("a script of more than %d MiB can not be read", mostScript>>20)
	}
	source = withoutBOM(source)
	if err == nil && !utf8.Valid(source) {
		err = errors.New("the script is not UTF-8")
	}
	if err == nil {
		err = tameScript(string(source))
	}
	if err != nil {
		return i.failed("", err)
	}
	program, err := parseScript(string(source))
	if err != nil {
		return i.failed("", fmt.Errorf("the script can not be read: %w", err))
	}
	k := &k6Script{i: i, program: program, functions: map[string]string{}, known: map[string]ast.Expression{}}
	k.learn()
	return k.run()
}

// parseScript gives the tree of a module. No source map is looked for: it could be
// any file.
func parseScript(source string) (program *ast.Program, err error) {
	defer func() {
		if wrong := recover(); wrong != nil { // on what no test of the parser has
			err = fmt.Errorf("the parser gave up: %v", wrong)
		}
	}()
	return parser.ParseFile(nil, "", source, 0, parser.IsModule, parser.WithDisableSourceMaps)
}

// k6Script is a script whose calls of k6/http are read, in the order in which they
// are written: each once, whatever loop or condition it is in.
type k6Script struct {
	i         *importing
	program   *ast.Program
	calls     []*ast.CallExpression
	modules   []string                  // names of k6/http
	functions map[string]string         // of k6/http that were imported by name
	known     map[string]ast.Expression // variables that have one value
	pause     time.Duration             // asked for by sleep(), up to here
	steps     int                       // to work out the arguments of a call
}

// learn finds out which names stand for what.
func (k *k6Script) learn() {
	changed := map[string]bool{}
	walkScript(k.program.Body, func(n any) {
		switch n := n.(type) {
		case *ast.CallExpression:
			k.calls = append(k.calls, n)
		case *ast.ImportDeclaration:
			k.imports(n)
		case *ast.Binding:
			if name, is := n.Target.(*ast.Identifier); is {
				_, twice := k.known[name.Name.String()]
				changed[name.Name.String()] = twice || changed[name.Name.String()]
				k.known[name.Name.String()] = n.Initializer
			}
		case *ast.AssignExpression:
			if name, is := n.Left.(*ast.Identifier); is {
				changed[name.Name.String()] = true
			}
		}
	})
	for name, is := range changed {
		if is {
			delete(k.known, name)
		}
	}
	slices.SortStableFunc(k.calls, func(a, b *ast.CallExpression) int { return cmp.Compare(a.LeftParenthesis, b.LeftParenthesis) })
}

func (k *k6Script) imports(d *ast.ImportDeclaration) {
	if d.FromClause == nil || d.FromClause.ModuleSpecifier.String() != "k6/http" || d.ImportClause == nil {
		return
	}
	if name := d.ImportClause.ImportedDefaultBinding; name != nil {
		k.modules = append(k.modules, name.Name.String())
	}
	if all := d.ImportClause.NameSpaceImport; all != nil {
		k.modules = append(k.modules, all.ImportedBinding.String())
	}
	if some := d.ImportClause.NamedImports; some != nil {
		for _, s := range some.ImportsList {
			k.functions[cmp.Or(s.Alias.String(), s.IdentifierName.String())] = s.IdentifierName.String()
		}
	}
}

func (k *k6Script) run() error {
	for _, call := range k.calls {
		place := fmt.Sprint("line ", k.program.File.Position(int(call.LeftParenthesis)-k.program.File.Base()).Line)
		if err := k.call(call, place); err != nil {
			return err
		}
	}
	return nil
}

func (k *k6Script) call(call *ast.CallExpression, place string) error {
	k.steps = 0
	if name, is := call.Callee.(*ast.Identifier); is && name.Name == "sleep" && len(call.ArgumentList) == 1 {
		if seconds, ok := k.value(call.ArgumentList[0]); ok {
			k.pause += durationOf(k6Text(seconds), time.Second)
		}
		return nil
	}
	function, is := k.functionOf(call.Callee)
	if !is {
		return nil
	}
	arguments := make([]any, 0, len(call.ArgumentList))
	for _, a := range call.ArgumentList {
		value, ok := k.value(a)
		if !ok {
			value = k6Computed{}
		}
		arguments = append(arguments, value)
	}
	if function == "batch" {
		return k.batch(arguments, place)
	}
	return k.request(k6Arguments(function, arguments), place)
}

// functionOf is the name of the function of k6/http that a call is of.
func (k *k6Script) functionOf(callee ast.Expression) (string, bool) {
	name := ""
	switch c := callee.(type) {
	case *ast.Identifier:
		name = k.functions[c.Name.String()]
	case *ast.DotExpression:
		if module, is := c.Left.(*ast.Identifier); is && slices.Contains(k.modules, module.Name.String()) {
			name = c.Identifier.Name.String()
		}
	}
	return name, slices.Contains(k6Functions, name)
}

var k6Functions = []string{"get", "head", "options", "post", "put", "patch", "del", "request", "asyncRequest", "batch"}

// k6Arguments gives the arguments of any function as those of request: method,
// URL, body and parameters.
func k6Arguments(function string, given []any) []any {
	switch function {
	case "request", "asyncRequest":
		return given
	case "get", "head":
		all := append([]any{strings.ToUpper(function)}, given...)
		if len(all) > 2 {
			all = slices.Insert(all, 2, any(nil))
		}
		return all
	case "del":
		function = "delete"
	}
	return append([]any{strings.ToUpper(function)}, given...)
}

// batch has requests in a list or an object: URLs, lists of arguments, or objects.
func (k *k6Script) batch(arguments []any, place string) error {
	var all []any
	switch list := append(arguments, nil)[0].(type) {
	case []any:
		all = list
	case k6Object:
		for _, m := range list {
			all = append(all, m.value)
		}
	default:
		return k.request(nil, place)
	}
	for _, one := range all {
		var q []any
		switch one := one.(type) {
		case string:
			q = []any{"GET", one}
		case []any:
			q = one
		case k6Object:
			q = []any{one.get("method"), one.get("url"), one.get("body"), one.get("params")}
		}
		if err := k.request(q, place); err != nil {
			return err
		}
	}
	return nil
}

func (k *k6Script) request(arguments []any, place string) error {
	k.i.begin()
	x, reason := k6Exchange(append(slices.Clip(arguments), nil, nil, nil, nil)[:4])
	if reason == "" {
		reason = x.Request.setURL(x.Request.Target)
	}
	if reason != "" {
		k.i.skip(reason, place)
		return nil
	}
	x.At = untimed(k.i.counts.Read - 1).Add(k.pause)
	x.Session = "k6 " + k.i.o.Name
	x.Response.Body.Size = -1
	return k.i.keep(x, place)
}

func k6Exchange(arguments []any) (x Exchange, reason string) {
	method, isTextLine := arguments[0].(string)
	address, isURL := arguments[1].(string)
	if !isTextLine || !isURL {
		return x, computedReason
	}
	if !isMethod(method) {
		return x, "it has no method"
	}
	x.Request = Request{Method: strings.ToUpper(method), Target: address, Header: http.Header{}}
	if !x.Request.k6Parameters(arguments[3]) || !x.Request.k6Body(arguments[2]) {
		return x, computedReason
	}
	return x, ""
}

// k6Parameters reads headers and cookies.
func (q *Request) k6Parameters(value any) bool {
	if value == nil {
		return true
	}
	parameters, is := value.(k6Object)
	if !is {
		return false
	}
	headers, _ := parameters.get("headers").(k6Object)
	for _, h := range headers {
		text, ok := k6Plain(h.value)
		if !ok {
			return false
		}
		q.Header.Set(h.name, text)
	}
	if host := q.Header.Get("Host"); host != "" {
		q.Header.Del("Host")
	}
	var cookies []string
	given, _ := parameters.get("cookies").(k6Object)
	for _, c := range given {
		text, ok := k6Plain(c.value)
		if object, is := c.value.(k6Object); is {
			text, ok = k6Plain(object.get("value"))
		}
		if !ok {
			return false
		}
		cookies = append(cookies, c.name+"="+text)
	}
	if len(cookies) > 0 {
		q.Header.Set("Cookie", strings.Join(append(q.Header.Values("Cookie"), cookies...), "; "))
	}
	return parameters.get("headers") == nil || headers != nil
}

// k6Body is a text, or the fields of a form.
func (q *Request) k6Body(value any) bool {
	var text string
	switch v := value.(type) {
	case nil:
		return true
	case string:
		text = v
	case k6Bytes:
		text = string(v)
	case k6Object:
		form := url.Values{}
		for _, m := range v {
			field, ok := k6Plain(m.value)
			if !ok {
				return false
			}
			form.Add(m.name, field)
		}
		text = form.Encode()
		if q.Header.Get("Content-Type") == "" {
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	default:
		return false
	}
	q.Body = Body{Data: []byte(text), Size: int64(len(text))}
	return true
}

// k6Bytes is what was written in base64.
type k6Bytes []byte

func k6Base64(text string) (any, bool) {
	data, err := base64.StdEncoding.DecodeString(text)
	return k6Bytes(data), err == nil
}

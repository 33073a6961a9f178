package plan

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
)

// The descriptions of the schema are the comments of the types it is made from.
var (
	//go:embed types.go
	typesSource string
	//go:embed disruption.go
	disruptionSource string
	//go:embed faults.go
	faultsSource string
	//go:embed gate.go
	gateSource string
	//go:embed objective.go
	objectiveSource string
	//go:embed model.go
	modelSource string
	//go:embed telemetry.go
	telemetrySource string
	//go:embed influx.go
	influxSource string
	//go:embed otlp.go
	otlpSource string
	//go:embed tenants.go
	tenantsSource string
	//go:embed distribute.go
	distributeSource string
	//go:embed canary.go
	canarySource string
	//go:embed canary_traffic.go
	canaryTrafficSource string
	//go:embed shadow.go
	shadowSource string
)

// sources are all of them.
func sources() []string {
	return []string{
		typesSource, disruptionSource, faultsSource, gateSource, objectiveSource, modelSource, telemetrySource,
		influxSource, otlpSource, tenantsSource, distributeSource, canarySource, canaryTrafficSource, shadowSource,
	}
}

// Schema gives the JSON Schema (draft 2020-12) of a plan as it is written:
// with ${VARIABLES} in place of values, both forms of a gate, and keys that
// begin with x- at the top for anchors.
func Schema() ([]byte, error) {
	comments, err := comments(sources()...)
	if err != nil {
		return nil, err
	}
	r := jsonschema.Reflector{
		FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, ExpandedStruct: true, Anonymous: true,
		LookupComment: func(t reflect.Type, field string) string { return comments[t.Name()+"."+field] },
		Mapper:        mapped,
	}
	s := r.Reflect(Plan{})
	s.Title = "Plan"
	s.Description = comments["Plan."]
	s.PatternProperties = map[string]*jsonschema.Schema{"^x-": jsonschema.TrueSchema}
	long := r.Reflect(longGate{})
	long.Version = ""
	s.Definitions["LongGate"] = long
	compared := r.Reflect(longBaseline{})
	compared.Version = ""
	s.Definitions["LongBaseline"] = compared
	s.Definitions["Text"] = &jsonschema.Schema{
		AnyOf:       []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}},
		Description: "Text may be written without quotes, even where YAML takes it for a number.",
	}
	for _, d := range s.Definitions {
		loosen(d)
	}
	loosen(s)
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("the schema of plans: %w", err)
	}
	return append(data, '\n'), nil
}

// placeholderPattern is a text that holds a variable or placeholder.
const placeholderPattern = `\$\{`

// mapped gives the schema of types that are not written as they are in Go.
func mapped(t reflect.Type) *jsonschema.Schema {
	if u, is := reflect.New(t).Interface().(unit); is {
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "string", Pattern: u.pattern()},
			{Type: "string", Pattern: placeholderPattern},
		}}
	}
	switch t {
	case reflect.TypeFor[Gate]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string", MinLength: new(uint64)}, {Ref: "#/$defs/LongGate"}}}
	case reflect.TypeFor[Baseline]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{text(), {Ref: "#/$defs/LongBaseline"}}}
	case reflect.TypeFor[Names]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text(), {Type: "array", Items: text()}}}
	case reflect.TypeFor[Triggers]():
		one := mapped(reflect.TypeFor[Trigger]())
		return &jsonschema.Schema{AnyOf: append(slices.Clone(one.AnyOf), &jsonschema.Schema{Type: "array", Items: one})}
	case reflect.TypeFor[map[string]string]():
		return &jsonschema.Schema{Type: "object", AdditionalProperties: text()}
	case reflect.TypeFor[[]string]():
		return &jsonschema.Schema{Type: "array", Items: text()}
	}
	return nil
}

func text() *jsonschema.Schema { return &jsonschema.Schema{Ref: "#/$defs/Text"} }

// loosen lets the properties of a schema be what YAML makes of them: text that
// looks like a number, and variables in place of numbers.
func loosen(s *jsonschema.Schema) {
	if s.Properties == nil {
		return
	}
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		switch p := pair.Value; p.Type {
		case "integer", "boolean":
			p.AnyOf = []*jsonschema.Schema{{Type: p.Type}, {Type: "string", Pattern: placeholderPattern}}
			p.Type = ""
		case "string":
			if p.Enum == nil {
				p.Ref, p.Type = text().Ref, ""
			}
		}
	}
}

// comments gives the comment of every type ("Test.") and field ("Test.Name")
// of some Go source.
func comments(sources ...string) (map[string]string, error) {
	found := map[string]string{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), "types.go", source, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("the comments of the plan's types: %w", err)
		}
		for _, decl := range file.Decls {
			types, ok := decl.(*ast.GenDecl)
			if !ok || types.Tok != token.TYPE {
				continue
			}
			spec := types.Specs[0].(*ast.TypeSpec)
			found[spec.Name.Name+"."] = sentence(types.Doc.Text())
			if fields, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					for _, name := range f.Names {
						found[spec.Name.Name+"."+name.Name] = sentence(f.Comment.Text())
					}
				}
			}
		}
	}
	return found, nil
}

// sentence puts a comment into one line.
func sentence(comment string) string {
	first, _, _ := strings.Cut(comment, "\n\n")
	return strings.Join(strings.Fields(first), " ")
}

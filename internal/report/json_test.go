package report

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("report.json", parsed))
	s, err := c.Compile("report.json")
	require.NoError(t, err)
	return s
}

func TestJSONKeepsItsSchema(t *testing.T) {
	s := compiledSchema(t)
	for name, doc := range testDocuments() {
		t.Run(name, func(t *testing.T) {
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(render(t, "json", doc)))
			require.NoError(t, err)
			require.NoError(t, s.Validate(value))
		})
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := compiledSchema(t)
	good := render(t, "json", testDocuments()["fail"])
	for _, change := range [][2]string{
		{`"outcome": "fail"`, `"outcome": "green"`},
		{`"schema": "resilience/report/v1"`, `"schema": "resilience/report/v2"`},
		{`"samples": 2400`, `"samples": -1`},
		{`"cause": "system"`, `"cause": ""`},
		{`"checks"`, `"cheques"`},
	} {
		require.Contains(t, good, change[0])
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.ReplaceAll(good, change[0], change[1])))
		require.NoError(t, err)
		require.Error(t, s.Validate(value), change[1])
	}
}

// TestSchemaDocumentsEveryField compares the schema with the types, so that a
// new field can not be forgotten and a removed one does not stay.
func TestSchemaDocumentsEveryField(t *testing.T) {
	type object struct {
		Description string             `json:"description"`
		Properties  map[string]any     `json:"properties"`
		Defs        map[string]*object `json:"$defs"`
	}
	var root object
	require.NoError(t, json.Unmarshal(Schema(), &root))
	for name, fields := range map[string]reflect.Type{
		"":          reflect.TypeFor[Document](),
		"run":       reflect.TypeFor[gates.Run](),
		"verdict":   reflect.TypeFor[gates.Verdict](),
		"check":     reflect.TypeFor[gates.Check](),
		"traffic":   reflect.TypeFor[gates.Traffic](),
		"disrupted": reflect.TypeFor[gates.Disrupted](),
		"example":   reflect.TypeFor[measure.Example](),
		"mode":      reflect.TypeFor[AssessedMode](),

		"replayed":      reflect.TypeFor[gates.Replayed](),
		"withheld":      reflect.TypeFor[gates.Withheld](),
		"difference":    reflect.TypeFor[gates.Difference](),
		"failure_modes": reflect.TypeFor[FailureModes](),
		"budget":        reflect.TypeFor[gates.Budget](),
		"burn":          reflect.TypeFor[gates.Burn](),
		"fired":         reflect.TypeFor[gates.Fired](),
		"cost":          reflect.TypeFor[gates.Cost](),
		"composed":      reflect.TypeFor[gates.Composed](),
		"composed_part": reflect.TypeFor[gates.ComposedPart](),
	} {
		described := &root
		if name != "" {
			described = root.Defs[name]
		}
		require.NotEmpty(t, described.Description, name)
		var want []string
		for _, field := range reflect.VisibleFields(fields) {
			if tag, _, _ := strings.Cut(field.Tag.Get("json"), ","); tag != "-" && !field.Anonymous && field.IsExported() {
				want = append(want, tag)
			}
		}
		require.ElementsMatch(t, want, slices.Collect(maps.Keys(described.Properties)), "fields of %q in schema.json", name)
	}
}

package shadow

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	yaml "github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// yamlWriter writes YAML at random, with secrets under names of secrets.
type yamlWriter struct {
	rng    *rand.Rand
	b      strings.Builder
	plains int
}

// value writes a value after a name, or after the dash of a list, whose column is told.
func (w *yamlWriter) value(column int, secret bool) {
	word, pad := "plain", strings.Repeat(" ", column+1+w.rng.IntN(3))
	if secret {
		word = "s3cr3t"
	}
	one, two := fmt.Sprintf("%s-%d", word, w.rng.IntN(1000)), fmt.Sprintf("%s-%d/+", word, w.rng.IntN(1000))
	if w.plains += 2; secret {
		w.plains -= 2
	}
	mark := []string{"|", ">", "|-", ">+", "!x |"}[w.rng.IntN(5)]
	fmt.Fprintf(&w.b, []string{
		" %[1]s %[2]s\n", " %[1]s\n%[3]s%[2]s\n", " '%[1]s %[2]s'\n", " \"%[1]s\\\" %[2]s\"\n", " '%[1]s\n\n%[3]s%[2]s: x'\n", " \"%[1]s\n%[3]s- %[2]s\"\n",
		" %[4]s\n%[3]s%[1]s\n\n%[3]s %[2]s: x # y\n", " # note\n%[3]s%[1]s\n%[3]s%[2]s\n", "\n\n%[3]s\"%[1]s\n%[3]s%[2]s\"\n",
	}[w.rng.IntN(9)], one, two, pad, mark)
}

// mapping writes members of an object at some column.
func (w *yamlWriter) mapping(column, depth int, secret bool) {
	for i := range 1 + w.rng.IntN(4) {
		if i > 0 {
			w.b.WriteString(strings.Repeat(" ", column))
		}
		name, hidden := fmt.Sprintf("name%c%d", 'a'+i, i), secret
		if w.rng.IntN(3) == 0 {
			name, hidden = fmt.Sprintf("%s%d", []string{"password_", "api_token_"}[w.rng.IntN(2)], i), true
		}
		w.b.WriteString(name + ":")
		w.within(column, depth, hidden)
	}
}

// within writes what a name at some column has.
func (w *yamlWriter) within(column, depth int, secret bool) {
	inside := column + 1 + w.rng.IntN(3)
	switch kind := w.rng.IntN(4); {
	case depth == 0 || kind < 2:
		w.value(column, secret)
	case kind == 2:
		w.b.WriteString("\n" + strings.Repeat(" ", inside))
		w.mapping(inside, depth-1, secret)
	default:
		if w.rng.IntN(2) == 0 {
			inside = column
		}
		w.b.WriteString("\n")
		for range 1 + w.rng.IntN(3) {
			w.b.WriteString(strings.Repeat(" ", inside) + "-")
			if w.rng.IntN(2) == 0 {
				w.value(inside, secret)
				continue
			}
			w.b.WriteString(" ")
			w.mapping(inside+2, depth-1, secret)
		}
	}
}

// TestNoYAMLLeaks wants no secret left in YAML, however it is written, all else to stay,
// and what was YAML to be YAML.
func TestNoYAMLLeaks(t *testing.T) {
	r := redactor(t, RedactionRules{})
	secrets, read := 0, 0
	for seed := range uint64(2000) {
		w := yamlWriter{rng: rand.New(rand.NewPCG(seed, 7))}
		w.mapping(0, 3, false)
		text := w.b.String()
		if seed%2 == 1 {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		got := string(r.Redact(jsonOfType("application/yaml", text)).Response.Body.Data)
		require.NotContains(t, got, "s3cr3t", "%d:\n%s\n%s", seed, text, got)
		require.Equal(t, w.plains, strings.Count(got, "plain-"), "%d:\n%s\n%s", seed, text, got)
		var before, after any
		if seed%2 == 0 && yaml.Unmarshal([]byte(text), &before) == nil {
			read++
			require.NoError(t, yaml.Unmarshal([]byte(got), &after), "%d:\n%s\n%s", seed, text, got)
			require.Equal(t, shapeOf(before), shapeOf(after), "%d:\n%s\n%s", seed, text, got)
		}
		secrets += strings.Count(text, "s3cr3t")
	}
	require.Greater(t, secrets, 4000)
	require.Greater(t, read, 500)
}

// shapeOf is a value with its names and without its texts.
func shapeOf(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			v[name] = shapeOf(v[name])
		}
	case []any:
		for i := range v {
			v[i] = shapeOf(v[i])
		}
	case string:
		return "text"
	}
	return value
}

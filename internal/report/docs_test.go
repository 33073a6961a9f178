package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocs wants docs/report.md to name every format, exit code, field of the
// schema and output that there is.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/report.md")
	require.NoError(t, err)
	for name, format := range formats {
		require.Contains(t, string(page), fmt.Sprintf("| `%s` | `%s` |", name, format.File))
	}
	for code, meaning := range meanings {
		require.Contains(t, string(page), fmt.Sprintf("| %d | %s |", code, meaning))
	}
	require.Contains(t, string(page), "`"+SchemaName+"`")

	type object struct {
		Properties map[string]any    `json:"properties"`
		Defs       map[string]object `json:"$defs"`
	}
	var root object
	require.NoError(t, json.Unmarshal(Schema(), &root))
	for _, o := range slices.AppendSeq([]object{root}, maps.Values(root.Defs)) {
		for field := range o.Properties {
			require.Contains(t, string(page), "`"+field+"`")
		}
	}
	outputs := regexp.MustCompile(`(?m)^([a-z-]+)<<END$`).FindAllStringSubmatch(render(t, "github", testDocuments()["fail"]), -1)
	require.Len(t, outputs, 5)
	for _, output := range outputs {
		require.Contains(t, string(page), "`"+output[1]+"`")
	}
}

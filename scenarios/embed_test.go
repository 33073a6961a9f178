package scenarios

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/grafana/sobek"
	"github.com/stretchr/testify/require"
)

// Every script is an ECMAScript module that begins by saying what it does.
func TestScripts(t *testing.T) {
	require.Subset(t, Names(), []string{"checkout.js", "http-get.js", "hygiene.js", "isolation.js", "neighbours.js", "privileges.js", "rest-crud.js"})
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			script, ok := Open(name)
			require.True(t, ok)
			same, err := fs.ReadFile(Files(), name)
			require.NoError(t, err)
			require.Equal(t, same, script)
			require.True(t, strings.HasPrefix(string(script), "// "+name+": "), "the first line is what the script does")
			require.Contains(t, string(script), "//   TARGET_URL ")

			module, err := sobek.ParseModule(name, string(script),
				func(any, string) (sobek.ModuleRecord, error) { return nil, nil })
			require.NoError(t, err)
			require.Contains(t, exports(module), "default")
		})
	}
}

func exports(module sobek.ModuleRecord) []string {
	var names []string
	module.GetExportedNames(func(n []string) { names = n })
	return names
}

func TestOpenUnknown(t *testing.T) {
	_, ok := Open("nothing.js")
	require.False(t, ok)
}

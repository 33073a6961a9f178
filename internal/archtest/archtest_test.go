package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
)

// checks is every rule. Each has a module that breaks it in testdata, with the
// complaints that it must lead to in a file named want.
var checks = map[string]func(tree) []complaint{
	"rows":             checkRows,
	"imports":          checkImports,
	"adapter-tests":    checkAdapterTests,
	"confinements":     checkConfinements,
	"fixtures":         checkFixtures,
	"names":            checkNames,
	"package-comments": checkPackageComments,
	"inits":            checkInits,
	"docs":             checkDocs,
	"words":            checkWords,
	"sleeps":           checkSleeps,
}

func TestModule(t *testing.T) {
	module, err := readTree(os.DirFS("../.."))
	require.NoError(t, err)
	require.Contains(t, module.folders(), "internal/measure", "the module was read")
	require.Contains(t, module.texts, "Makefile", "the other files were read")
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			for _, c := range check(module) {
				t.Error(c)
			}
		})
	}
}

func TestEachRuleCanFail(t *testing.T) {
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			example, want := readExample(t, name)
			require.NotEmpty(t, want, "an example must break the rule")
			var got []string
			for _, c := range check(example) {
				got = append(got, c.String())
			}
			require.Equal(t, want, got)
		})
	}
}

func TestEachExampleHasItsRule(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	for _, file := range files {
		require.Contains(t, checks, strings.TrimSuffix(filepath.Base(file), ".txtar"))
	}
}

func readExample(t *testing.T, name string) (example tree, want []string) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	require.NoError(t, err)
	files := fstest.MapFS{"go.mod": {Data: []byte("module example\n")}}
	for _, f := range archive.Files {
		if f.Name == "want" {
			want = slices.Collect(strings.Lines(string(f.Data)))
			continue
		}
		files[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	example, err = readTree(files)
	require.NoError(t, err)
	for i := range want {
		want[i] = strings.TrimSuffix(want[i], "\n")
	}
	return example, want
}

// TestReadTree is about what is not read: it would make rules complain about
// what nobody wrote for this module, or hide what somebody did.
func TestReadTree(t *testing.T) {
	module, err := readTree(fstest.MapFS{
		"go.mod":                   {Data: []byte("// a comment\nmodule example.org/a\n\ngo 1.26\n")},
		"root.go":                  {Data: []byte("package a\n")},
		"b/windows.go":             {Data: []byte("//go:build windows\n\npackage b\n\nimport \"example.org/a/c\"\n")},
		"b/testdata/broken.go":     {Data: []byte("not Go\n")},
		"b/testdata/data.bin":      {Data: []byte{0, 1, 2}},
		"nested/go.mod":            {Data: []byte("module nested\n")},
		"nested/n.go":              {Data: []byte("package n\n")},
		".git/hooks/h.go":          {Data: []byte("not Go\n")},
		".resilience/log.txt":      {Data: []byte("log\n")},
		".github/workflows/ci.yml": {Data: []byte("on: push\n")},
	})
	require.NoError(t, err)
	require.Equal(t, "example.org/a", module.module)
	require.Equal(t, []string{".", "b"}, module.folders())
	require.Contains(t, module.texts, ".github/workflows/ci.yml")
	require.Contains(t, module.texts, "b/testdata/broken.go")
	require.NotContains(t, module.texts, "b/testdata/data.bin")
	require.NotContains(t, module.texts, ".resilience/log.txt")
	folder, own := module.own(module.sources[0].imports[0].path)
	require.True(t, own)
	require.Equal(t, "c", folder)

	worktree, err := readTree(fstest.MapFS{"go.mod": {Data: []byte("module a\n")}, ".git": {Data: []byte("gitdir: elsewhere\n")}})
	require.NoError(t, err)
	require.NotContains(t, worktree.texts, ".git")

	_, err = readTree(fstest.MapFS{"go.mod": {Data: []byte("module a\n")}, "a.go": {Data: []byte("not Go\n")}})
	require.ErrorContains(t, err, "a.go:1:1")
	_, err = readTree(fstest.MapFS{"a.go": {Data: []byte("package a\n")}})
	require.ErrorContains(t, err, "names no module")
}

// Package scenarios holds the k6 scripts that users start from. A plan names
// one without a path (script: checkout.js); each says in its head comment what
// it does and which variables it reads.
package scenarios

import (
	"embed"
	"io/fs"
)

//go:embed *.js
var files embed.FS

// Files has all scripts, in its root.
func Files() fs.FS { return files }

// Open reads the script of this name; ok is false when there is none.
func Open(name string) (script []byte, ok bool) {
	script, err := files.ReadFile(name)
	return script, err == nil
}

// Names lists the scripts, sorted.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the root of an embedded file system is always there
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

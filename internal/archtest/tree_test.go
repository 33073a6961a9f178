package archtest

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tree is the source of a module.
type tree struct {
	module  string // its import path
	sources []source
	texts   map[string]string // all files that people read, by path
	fset    *token.FileSet
}

// source is one Go file.
type source struct {
	path    string
	folder  string // of its package, "." for the root
	test    bool
	syntax  *ast.File
	imports []imported
}

type imported struct {
	path string
	name string // that the file gives it, "" for its own
	at   token.Pos
}

// complaint says where a rule is broken, and how.
type complaint struct{ at, says string }

func (c complaint) String() string { return c.at + ": " + c.says }

func (t tree) complain(at token.Pos, format string, args ...any) complaint {
	p := t.fset.Position(at)
	return complaint{at: fmt.Sprintf("%s:%d", p.Filename, p.Line), says: fmt.Sprintf(format, args...)}
}

// own gives the folder of an imported package of this module.
func (t tree) own(importPath string) (folder string, ok bool) {
	if importPath == t.module {
		return ".", true
	}
	return strings.CutPrefix(importPath, t.module+"/")
}

// byFolder gives the files of each package, tests included.
func (t tree) byFolder() map[string][]source {
	packages := map[string][]source{}
	for _, s := range t.sources {
		packages[s.folder] = append(packages[s.folder], s)
	}
	return packages
}

// folders gives the folder of each package, sorted.
func (t tree) folders() []string { return slices.Sorted(maps.Keys(t.byFolder())) }

func readTree(files fs.FS) (tree, error) {
	t := tree{texts: map[string]string{}, fset: token.NewFileSet()}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(files, name):
			return fs.SkipDir
		case !entry.Type().IsRegular() || name == ".git": // a file in a worktree
			return nil
		}
		return t.read(files, name)
	})
	if err != nil {
		return tree{}, err
	}
	t.module, err = modulePath(t.texts["go.mod"])
	slices.SortFunc(t.sources, func(a, b source) int { return cmp.Compare(a.path, b.path) })
	return t, err
}

// skipped tells folders that hold nothing written for this module.
func skipped(files fs.FS, folder string) bool {
	base := path.Base(folder)
	switch {
	case folder == "." || base == ".ci" || base == ".github":
		return false
	case base == "vendor" || base == "node_modules" || folder == "bin" || folder == "out":
		return true
	case strings.HasPrefix(base, "."):
		return true
	}
	_, err := fs.Stat(files, path.Join(folder, "go.mod"))
	return err == nil // a module of its own
}

func (t *tree) read(files fs.FS, name string) error {
	const most = 1 << 20 // what is longer was not written by hand
	if info, err := fs.Stat(files, name); err != nil || info.Size() > most {
		return err
	}
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	if utf8.Valid(content) && !bytes.ContainsRune(content, 0) {
		t.texts[name] = string(content)
	}
	if path.Ext(name) != ".go" || slices.Contains(strings.Split(name, "/"), "testdata") {
		return nil
	}
	syntax, err := parser.ParseFile(t.fset, name, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	t.sources = append(t.sources, source{
		path: name, folder: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		syntax: syntax, imports: importsOf(syntax),
	})
	return nil
}

func importsOf(syntax *ast.File) []imported {
	var list []imported
	for _, spec := range syntax.Imports {
		i := imported{at: spec.Pos()}
		i.path, _ = strconv.Unquote(spec.Path.Value) // the parser has checked it
		if spec.Name != nil {
			i.name = spec.Name.Name
		}
		list = append(list, i)
	}
	return list
}

// nameOf gives the name under which a file knows a package, "" if it does not.
func (s source) nameOf(importPath string) string {
	for _, i := range s.imports {
		if i.path == importPath {
			return cmp.Or(i.name, path.Base(importPath))
		}
	}
	return ""
}

func modulePath(gomod string) (string, error) {
	lines := bufio.NewScanner(strings.NewReader(gomod))
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("go.mod names no module")
}

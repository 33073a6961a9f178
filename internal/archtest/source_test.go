package archtest

import (
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// vague names say nothing about what a package is for.
var vague = []string{"utils", "common", "types", "helpers", "manager", "pkg"}

func checkNames(t tree) []complaint {
	var found []complaint
	for _, folder := range t.folders() {
		for part := range strings.SplitSeq(folder, "/") {
			if slices.Contains(vague, part) {
				found = append(found, complaint{folder, "name the package for what it provides, not " + part})
			}
		}
	}
	for _, s := range t.sources {
		name := strings.TrimSuffix(s.syntax.Name.Name, "_test")
		if slices.Contains(vague, name) && path.Base(s.folder) != name {
			found = append(found, t.complain(s.syntax.Name.Pos(), "name the package for what it provides, not %s", name))
		}
	}
	return found
}

func checkPackageComments(t tree) []complaint {
	var found []complaint
	packages := t.byFolder()
	for _, folder := range slices.Sorted(maps.Keys(packages)) {
		told := slices.ContainsFunc(packages[folder], func(s source) bool {
			return !s.test && tellsOf(s.syntax)
		})
		if !told {
			found = append(found, complaint{folder, `has no package comment: begin one file that is not a test with "// Package NAME ..." ("// Command NAME ..." for a main package)`})
		}
	}
	return found
}

func tellsOf(file *ast.File) bool {
	story := file.Doc.Text() // without directives
	if file.Name.Name == "main" {
		return strings.HasPrefix(story, "Command ") || strings.HasPrefix(story, "Package main ")
	}
	return strings.HasPrefix(story, "Package "+file.Name.Name+" ")
}

// registers is the one file that k6 wants to register itself.
const registers = "xk6-resilience/register.go"

func checkInits(t tree) []complaint {
	var found []complaint
	for _, s := range t.sources {
		for _, d := range s.syntax.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && f.Name.Name == "init" && s.path != registers {
				found = append(found, t.complain(f.Pos(), "nothing may happen in init: use a visible table, or a call from main"))
			}
		}
	}
	return found
}

func checkDocs(t tree) []complaint {
	var found []complaint
	for _, s := range t.sources {
		if s.test || s.syntax.Name.Name == "main" {
			continue
		}
		for _, d := range s.syntax.Decls {
			for _, name := range undocumented(d) {
				found = append(found, t.complain(name.Pos(), "%s is exported and has no comment", name.Name))
			}
		}
	}
	return found
}

// undocumented gives the exported names of a declaration that no comment tells
// of: neither their own, nor that of their group, nor one at the line's end.
func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc.Text() == "" && d.Name.IsExported() && reachable(d) && !ofErrors(d) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var names []*ast.Ident
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec: // the comment of a group does not tell what each type is
				if s.Doc.Text() == "" && s.Comment.Text() == "" && (d.Lparen.IsValid() || d.Doc.Text() == "") {
					names = append(names, s.Name)
				}
			case *ast.ValueSpec:
				if d.Doc.Text() == "" && s.Doc.Text() == "" && s.Comment.Text() == "" {
					names = append(names, s.Names...)
				}
			}
		}
		return slices.DeleteFunc(names, func(n *ast.Ident) bool { return !n.IsExported() })
	}
	return nil
}

// ofErrors tells the methods that every error has, which need no explanation.
func ofErrors(f *ast.FuncDecl) bool {
	return f.Recv != nil && (f.Name.Name == "Error" || f.Name.Name == "Unwrap")
}

// reachable is false for methods of types that are not exported: the interface
// that they are for tells about them.
func reachable(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	exported := false
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			exported = n.IsExported()
			return false
		case *ast.IndexExpr: // T of T[A]: the arguments do not matter
			name, ok := n.X.(*ast.Ident)
			exported = ok && name.IsExported()
			return false
		case *ast.IndexListExpr:
			name, ok := n.X.(*ast.Ident)
			exported = ok && name.IsExported()
			return false
		}
		return true
	})
	return exported
}

// unwanted is what no file may say: work left for later belongs into an issue,
// and a path of one machine is wrong on all others.
var unwanted = regexp.MustCompile(`\b(TODO|FIXME)\b|(^|[^\w./-])/(work|root)/`)

func checkWords(t tree) []complaint {
	var found []complaint
	for _, name := range slices.Sorted(maps.Keys(t.texts)) {
		if name == "go.sum" || covers("internal/archtest/...", path.Dir(name)) { // hashes; the rule itself
			continue
		}
		for i, line := range strings.Split(t.texts[name], "\n") {
			if words := unwanted.FindString(line); words != "" {
				found = append(found, complaint{at: name + ":" + strconv.Itoa(i+1), says: "says " + strings.TrimSpace(words)})
			}
		}
	}
	return found
}

func checkSleeps(t tree) []complaint {
	var found []complaint
	for _, s := range t.sources {
		clock, virtual := s.nameOf("time"), s.nameOf("testing/synctest") != ""
		if !s.test || clock == "" || virtual { // sleeping is how virtual time is moved
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			if names(n, clock, "Sleep") {
				found = append(found, t.complain(n.Pos(), "a test that sleeps is slow or flaky: wait for a channel or a context, or use testing/synctest"))
			}
			return true
		})
	}
	return found
}

// names tells whether a node is pkg.name.
func names(n ast.Node, pkg, name string) bool {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg && s.Sel.Name == name
}

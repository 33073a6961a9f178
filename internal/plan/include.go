package plan

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of includes.
const (
	maxIncludes     = 8  // deep
	maxIncludeFiles = 32 // altogether
)

// includer merges the files that a plan includes into its tree.
//
// An included file may hold every key of a plan except name, and a list gates
// that is added to the gates of every phase. Its phases and allow entries come
// after the plan's own. In env and defaults the including file wins, and of
// two included files the first. A service, target, dependency or secret that
// two files define is an error. Paths of further includes are relative to the
// file that names them; all others are relative to the plan.
type includer struct {
	*decoder
	show  string   // what paths of included files begin with in messages
	dir   string   // absolute folder of the plan
	stack []string // files that are being included
	files int
	size  int
	gates *node // for every phase
}

func newIncluder(d *decoder, name, show, dir string) *includer {
	return &includer{decoder: d, show: show, dir: dir, stack: []string{filepath.Join(dir, filepath.Base(name))}}
}

// all merges everything into the plan's own tree.
func (in *includer) all(root *node) {
	in.size = root.size
	in.merge(root, root, in.dir)
	if in.gates == nil {
		return
	}
	phases := root.get("phases")
	if phases == nil || phases.kind != listing {
		return
	}
	shared := *phases
	shared.items = nil
	for _, phase := range phases.items {
		shared.items = append(shared.items, withGates(phase, in.gates))
	}
	root.set("phases", &shared)
}

// withGates gives a phase with more gates.
func withGates(phase, gates *node) *node {
	if phase.kind != mapping {
		return phase
	}
	out := *phase
	out.entries = slices.Clone(phase.entries)
	own := phase.get("gates")
	if own == nil {
		out.entries = append(out.entries, entry{"gates", gates.place, gates})
	} else if own.kind == listing {
		out.set("gates", joined(own, gates))
	}
	return &out
}

// set replaces the value of a key that is there.
func (n *node) set(key string, value *node) {
	for i := range n.entries {
		if n.entries[i].key == key {
			n.entries[i].value = value
		}
	}
}

// joined gives a list with the items of two.
func joined(a, b *node) *node {
	out := *a
	out.items = append(slices.Clone(a.items), b.items...)
	return &out
}

// merge adds the files that one file includes to the plan.
func (in *includer) merge(root, from *node, dir string) {
	list := from.get("include")
	if list == nil || list.kind != listing {
		return // the decoder says what is wrong
	}
	for i, item := range list.items {
		path := fmt.Sprintf("include[%d]", i)
		if !in.wants(item, scalar, path, "") {
			continue
		}
		text, ok := in.text(item, path)
		if !ok {
			continue
		}
		if included, folder := in.open(item, text, dir); included != nil {
			in.take(root, included)
			in.merge(root, included, folder)
			in.stack = in.stack[:len(in.stack)-1]
		}
	}
}

// open reads an included file and puts it on the stack; nil when there is a
// mistake.
func (in *includer) open(item *node, name, dir string) (included *node, folder string) {
	path := Locate(dir, name)
	in.files++
	switch {
	case slices.Contains(in.stack, path):
		in.add(item.place, "", "%s includes itself", name)
		return nil, ""
	case len(in.stack) > maxIncludes:
		in.add(item.place, "", "includes are nested deeper than %d", maxIncludes)
		return nil, ""
	case in.files > maxIncludeFiles:
		in.add(item.place, "", "more than %d files are included", maxIncludeFiles)
		return nil, ""
	}
	data, err := in.opts.read(path)
	if err != nil {
		in.add(item.place, "its path is relative to the file that includes it", "%s can not be read: %s", name, reason(err))
		return nil, ""
	}
	included = in.parse(in.called(path), data)
	if included == nil {
		return nil, ""
	}
	if in.size += included.size; in.size > maxNodes {
		in.add(item.place, "", "includes make the plan larger than %d values", maxNodes)
		return nil, ""
	}
	in.stack = append(in.stack, path)
	return included, filepath.Dir(path)
}

// called gives the name of an included file in messages: relative as the
// plan's own name was.
func (in *includer) called(path string) string {
	relative, err := filepath.Rel(in.dir, path)
	if err != nil {
		return path
	}
	return filepath.Join(in.show, relative)
}

// take adds what one file says to the plan.
func (in *includer) take(root, included *node) {
	for _, e := range included.entries {
		own := root.get(e.key)
		switch {
		case e.key == "include" || strings.HasPrefix(e.key, "x-"):
		case e.key == "name":
			in.add(e.place, "the plan that includes it has the name", "an included file can not have a name:")
		case e.key == "gates":
			in.gate(e.value)
		case own == nil:
			root.entries = append(root.entries, e)
		case own.kind != e.value.kind || own.kind == scalar || own.kind == null:
			root.entries = append(root.entries, e) // the decoder says what is wrong
		case own.kind == listing:
			root.set(e.key, joined(own, e.value))
		default:
			root.set(e.key, in.united(e.key, own, e.value))
		}
	}
}

// gate keeps gates for every phase.
func (in *includer) gate(list *node) {
	switch {
	case !in.wants(list, listing, "gates", "begin each gate with -"):
	case in.gates == nil:
		in.gates = list
	default:
		in.gates = joined(in.gates, list)
	}
}

// united gives a mapping with the keys of two: the first wins where that is
// meant, everything else is defined once.
func (in *includer) united(key string, own, other *node) *node {
	out := *own
	out.entries = slices.Clone(own.entries)
	for _, e := range other.entries {
		mine := own.get(e.key)
		switch {
		case mine == nil:
			out.entries = append(out.entries, e)
		case key == "defaults" && mine.kind == mapping && e.value.kind == mapping:
			out.set(e.key, in.united(key, mine, e.value))
		case key == "env" || key == "defaults":
		default:
			in.add(e.place, "give one of them another name", "%s.%s is already defined in %s:%d",
				key, e.key, mine.place.file, mine.place.line)
		}
	}
	return &out
}

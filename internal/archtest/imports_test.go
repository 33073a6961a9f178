package archtest

import (
	"slices"
	"strings"
)

// mayImport is the import rule: what the files of a package, tests aside, may
// import from this module. "x/..." is x and all below it; "..." is everything.
//
// Adapters (traffic, telemetry, shadow, disrupt, store, report, distribute)
// never import each other or run: what run needs of them are small interfaces
// of its own, and cmd/resilience joins them.
var mayImport = map[string][]string{
	"internal/measure":    {},
	"gates/evidence":      {},
	"gates":               {"internal/measure", "gates/evidence"},
	"internal/plan":       {"gates"},
	"internal/traffic":    {"internal/plan", "internal/measure"},
	"internal/disrupt":    {"internal/plan", "internal/measure"},
	"internal/telemetry":  {"internal/plan", "internal/measure"},
	"internal/shadow":     {"internal/plan", "internal/measure", "gates/evidence"},
	"internal/store":      {"internal/measure", "gates"},
	"internal/distribute": {"internal/plan", "internal/measure", "gates"},
	"internal/report":     {"internal/measure", "gates"},
	"internal/run":        {"internal/plan", "internal/measure", "gates"},
	"internal/rollout":    {"internal/plan", "internal/measure", "gates"},
	"canary":              {"internal/plan", "internal/measure", "gates"},
	"xk6-resilience":      {"internal/measure", "internal/plan", "internal/disrupt", "internal/store"},
	"cmd/resilience":      {"..."},
	".":                   {"xk6-resilience"},
	"scenarios":           {},
	"dashboards/...":      {}, // generate below it writes what dashboards embeds
	"fixtures/...":        {"fixtures/..."},
	"internal/archtest":   {},
}

// adapters join the conductor to the world outside. Tests may import what they
// like, but the tests of an adapter no other adapter and not run either: one
// that needs both is a test of their wiring and belongs into cmd/resilience.
var adapters = []string{
	"internal/traffic", "internal/telemetry", "internal/shadow", "internal/disrupt", "internal/store", "internal/report", "internal/distribute",
}

// confinement keeps modules that weigh much, or that want to own the process,
// in few places.
type confinement struct {
	what    string
	modules []string
	freely  []string // packages that exist for it
	oneFile []string // packages of which one file may import it
}

var confinements = []confinement{
	{
		what: "k6", modules: []string{"go.k6.io/k6"},
		freely: []string{"xk6-resilience"}, oneFile: []string{"cmd/resilience"},
	},
	{
		what: "Kubernetes client code", modules: []string{"k8s.io", "sigs.k8s.io", "github.com/grafana/xk6-disruptor"},
		oneFile: []string{"internal/disrupt", "internal/distribute"},
	},
}

// demo is the one file outside of tests and fixtures that may import fixtures.
const demo = "cmd/resilience/demo.go"

// covers tells whether a pattern, as in mayImport, stands for a folder.
func covers(pattern, folder string) bool {
	if above, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(folder+"/", above)
	}
	return pattern == folder
}

func anyCovers(patterns []string, folder string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, folder) })
}

func rowOf(folder string) (row []string, ok bool) {
	for pattern, row := range mayImport {
		if covers(pattern, folder) {
			return row, true
		}
	}
	return nil, false
}

func checkRows(t tree) []complaint {
	var found []complaint
	for _, folder := range t.folders() {
		if _, ok := rowOf(folder); !ok {
			found = append(found, complaint{folder, "has no row in mayImport (internal/archtest/imports_test.go): add one with the packages that it may import"})
		}
	}
	return found
}

func checkImports(t tree) []complaint {
	var found []complaint
	for _, s := range t.sources {
		row, ok := rowOf(s.folder)
		if s.test || !ok {
			continue
		}
		for _, i := range s.imports {
			if folder, own := t.own(i.path); own && !anyCovers(row, folder) {
				found = append(found, t.complain(i.at, "%s may import %s, not %s: define a small interface, or move what both need below them", s.folder, listed(row), folder))
			}
		}
	}
	return found
}

func listed(row []string) string {
	if len(row) == 0 {
		return "nothing of this module"
	}
	return strings.Join(row, ", ")
}

func checkAdapterTests(t tree) []complaint {
	var found []complaint
	for _, s := range t.sources {
		if !s.test || !slices.Contains(adapters, s.folder) {
			continue
		}
		for _, i := range s.imports {
			folder, own := t.own(i.path)
			if own && folder != s.folder && (slices.Contains(adapters, folder) || folder == "internal/run") {
				found = append(found, t.complain(i.at, "a test of the adapter %s imports %s: test them together in cmd/resilience", s.folder, folder))
			}
		}
	}
	return found
}

func checkConfinements(t tree) []complaint {
	var found []complaint
	for _, c := range confinements {
		first := map[string]string{} // the file that has the place of its folder
		for _, s := range t.sources {
			at := slices.IndexFunc(s.imports, func(i imported) bool { return c.holds(i.path) })
			if s.test || at < 0 || slices.Contains(c.freely, s.folder) {
				continue
			}
			pos := s.imports[at].at
			switch {
			case !slices.Contains(c.oneFile, s.folder):
				found = append(found, t.complain(pos, "%s may be imported by %s only", c.what, strings.Join(slices.Concat(c.freely, c.oneFile), ", ")))
			case first[s.folder] != "":
				found = append(found, t.complain(pos, "%s may be imported by one file of %s only, and %s does", c.what, s.folder, first[s.folder]))
			default:
				first[s.folder] = s.path
			}
		}
	}
	return found
}

func (c confinement) holds(importPath string) bool {
	return slices.ContainsFunc(c.modules, func(m string) bool { return covers(m+"/...", importPath) })
}

func checkFixtures(t tree) []complaint {
	var found []complaint
	for _, s := range t.sources {
		if s.test || s.path == demo || covers("fixtures/...", s.folder) {
			continue
		}
		for _, i := range s.imports {
			if folder, own := t.own(i.path); own && covers("fixtures/...", folder) {
				found = append(found, t.complain(i.at, "fixtures are for tests and %s only", demo))
			}
		}
	}
	return found
}

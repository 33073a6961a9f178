package plan

import (
	"slices"
	"strings"
)

// text gives a scalar with its variables replaced. Placeholders for the run
// stay as they are, and so do escapes. Mistakes are reported and leave the text
// as it is; false says that there were some.
func (d *decoder) text(n *node, path string) (string, bool) {
	if n.resolved != nil {
		return *n.resolved, true
	}
	if d.literal {
		return n.text, true
	}
	before := len(d.errs)
	text := d.substitute(n, n.text, 0, 0, path)
	if len(d.errs) > before {
		d.bad = append(d.bad, path)
		return n.text, false
	}
	n.resolved = &text
	return text, true
}

// substitute replaces the variables of a part of a scalar that begins at an
// offset.
func (d *decoder) substitute(n *node, text string, offset, depth int, path string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	pieces, wrong := split(text)
	if wrong != nil {
		d.add(n.at(offset+wrong.offset), wrong.hint, "%s", wrong.message)
		return text
	}
	var out strings.Builder
	for i, p := range pieces {
		value := p.text
		switch at := offset + p.offset; {
		case p.name == "" || p.name == escape:
			// as it is
		case isVariable(p.name):
			value = d.variable(n, p, at, depth, path)
			if strings.HasSuffix(value, "$") && i+1 < len(pieces) && strings.Contains("{$", pieces[i+1].text[:1]) {
				d.add(n.at(at), "put something between them", "the value of %s ends in $ and can not stand before %s", p.name, pieces[i+1].text[:1])
			}
		case p.has:
			d.add(n.at(at), "only variables can have one", "%s can not have a default", p.name)
		}
		out.WriteString(value)
	}
	return out.String()
}

// variable gives the value of ${NAME} or ${NAME:-default}: from --var, then
// from the environment. As in a shell, the default also stands in for an empty
// value.
func (d *decoder) variable(n *node, p piece, offset, depth int, path string) string {
	value, ok := d.opts.lookup(p.name)
	switch {
	case ok && (value != "" || !p.has):
		return strings.ReplaceAll(value, "${", escape)
	case p.has && depth+1 > maxDefaults:
		d.add(n.at(offset), "", "defaults are nested deeper than %d", maxDefaults)
	case p.has:
		return d.substitute(n, p.instead, offset+len("${"+p.name+":-"), depth+1, path)
	default:
		d.add(n.at(offset), "set it with --var "+p.name+"=... or in the environment, or give a default: ${"+p.name+":-...}",
			"the variable %s that %s needs is not set", p.name, words(path))
	}
	return ""
}

// scopes are the kinds of placeholders that stay until the run, and how they
// are written.
var scopes = map[string]string{
	"services":     "${services.NAME.url}, or .host or .port",
	"dependencies": "${dependencies.NAME.url}, or .host or .port",
	"secrets":      "${secrets.NAME}",
	"data":         "${data.COLUMN}",
	"kept":         "${kept.NAME}",
	"query":        "${query.arm}, or .target, .host, .phase, .step, .from or .to; in objectives ${query.window}",
	"port":         "${port}",
}

// placeholders checks those that stay in a text: that they may stand here, and
// that they name something.
func (d *decoder) placeholders(n *node, text, path, allowed string) {
	if d.literal {
		return
	}
	pieces, _ := split(text)
	for _, p := range pieces {
		if p.name == "" || p.name == escape {
			continue
		}
		offset := max(0, strings.Index(n.text, p.text))
		if message, hint := d.placeholder(p.name, path, allowed); message != "" {
			d.fail(path, n.at(offset), hint, "%s", message)
			continue
		}
		if column, is := strings.CutPrefix(p.name, "data."); is {
			d.columns = append(d.columns, columnUse{path, column, n.at(offset)})
		}
	}
}

// queryWords are what a query can be told.
var queryWords = []string{"arm", "target", "host", "phase", "step", "from", "to", "window"}

// placeholder says what is wrong with one, nothing when it is right.
func (d *decoder) placeholder(name, path, allowed string) (message, hint string) {
	scope, rest, _ := strings.Cut(name, ".")
	form, known := scopes[scope]
	if !known || (scope == "port") != (rest == "") {
		if known && scope != "port" {
			return "${" + name + "} names nothing", "write " + form
		}
		return "${" + name + "} is neither a variable nor a placeholder", "write ${NAME}, " +
			"${services.NAME.url}, ${dependencies.NAME.url}, ${secrets.NAME} or ${data.COLUMN}; $${ stands for the characters ${"
	}
	if !slices.Contains(strings.Split(allowed, ","), scope) {
		return words(path) + " can not hold ${" + name + "}", notHere(scope, allowed)
	}
	switch scope {
	case "services", "dependencies":
		dot := strings.LastIndex(rest, ".")
		if dot < 0 || !slices.Contains([]string{"url", "host", "port"}, rest[dot+1:]) {
			return "${" + name + "} names nothing", "write " + form
		}
		rest = rest[:dot]
	case "query":
		if !slices.Contains(queryWords, rest) {
			return "${" + name + "} names nothing", "write " + form
		}
		return "", ""
	case "data", "kept", "port":
		return "", ""
	}
	if d.root.get(scope).get(rest) == nil {
		return "there is nothing called " + rest + " in " + scope, didYouMean(rest, d.root.get(scope).keys())
	}
	return "", ""
}

// notHere says where a placeholder can stand instead.
func notHere(scope, allowed string) string {
	switch {
	case scope == "secrets":
		return "secrets go into headers, bodies, auth: and env:, never onto a command line or into a URL"
	case scope == "data":
		return "it stands in the path, headers and body of requests"
	case scope == "kept":
		return "it stands in what lifts and verifies a disruption by http"
	case scope == "query":
		return "it stands in queries:"
	case scope == "port":
		return "it stands in command, env and ready of a service"
	case allowed == "":
		return "it is only known while the plan runs"
	}
	return ""
}

// words turns a path into what a user would call it: phases[0].tests[1].load.
func words(path string) string {
	return strings.NewReplacer(`["`, ".", `"]`, "").Replace(path)
}

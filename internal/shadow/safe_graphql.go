package shadow

import "strings"

// graphQuery is the name by which a request has a document of GraphQL
// (https://graphql.github.io/graphql-over-http/draft/).
const graphQuery = "query"

// mutates reports whether a request asks for a mutation of GraphQL, with any method. One
// that is known to the service by a digest alone is not told.
func mutates(r Request) bool {
	return r.anyField(func(name, value string) bool { return name == graphQuery && hasMutation(value) })
}

// hasMutation reports whether a document of GraphQL has an operation that changes data,
// among others that do not (https://spec.graphql.org/October2021/#sec-Language.Operations).
func hasMutation(document string) bool {
	if !strings.Contains(document, "mutation") {
		return false
	}
	depth, begins := 0, true // a definition may begin here
	for at := 0; at < len(document); at++ {
		switch c := document[at]; {
		case c == '#':
			at += before(document[at:], "\r\n")
		case c == '"':
			at = graphStringEnd(document, at)
		case c == '{' || c == '(' || c == '[':
			depth, begins = depth+1, false
		case c == '}' || c == ')' || c == ']':
			depth = max(depth-1, 0)
			begins = depth == 0 && c == '}'
		case isGraphName(c):
			from := at
			for at+1 < len(document) && isGraphName(document[at+1]) {
				at++
			}
			if begins && document[from:at+1] == "mutation" && strings.Contains(document[at:], "{") {
				return true
			}
			begins = false
		}
	}
	return false
}

func isGraphName(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// graphStringEnd is where a string ends that begins there: at its last quote, or at the
// end of the document. Within three quotes only three can be escaped.
func graphStringEnd(document string, at int) int {
	quote, escape := `"`, `\`
	if strings.HasPrefix(document[at:], `"""`) {
		quote, escape = `"""`, `\"""`
	}
	for at += len(quote); at < len(document); at++ {
		switch rest := document[at:]; {
		case strings.HasPrefix(rest, quote):
			return at + len(quote) - 1
		case strings.HasPrefix(rest, escape):
			at += max(len(escape)-1, 1)
		}
	}
	return at
}

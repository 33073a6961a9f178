package shadow

import (
	"net/http"
	"slices"
	"strings"
)

// overrides are headers, and parameters, by which some frameworks take another method for
// that of a request. _method is a parameter only.
var overrides = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

func safeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// overridden reports whether a header, or something else that a request says by a name,
// asks for a method that is not safe.
func overridden(r Request) bool {
	unsafe := func(method string) bool { return !safeMethod(strings.ToUpper(strings.TrimSpace(method))) }
	for name, values := range r.Header {
		if isOverride(name) && slices.ContainsFunc(values, unsafe) {
			return true
		}
	}
	return r.anyField(func(name, value string) bool {
		return (name == "_method" || isOverride(name)) && value != "" && unsafe(value)
	})
}

// isOverride reports whether a name is one of overrides. Some servers do not tell - from _.
func isOverride(name string) bool {
	return slices.ContainsFunc(overrides, func(known string) bool {
		return len(name) == len(known) && strings.EqualFold(strings.ReplaceAll(name, "_", "-"), known)
	})
}

package shadow

import (
	"net/http"
	"strings"
)

// overrides are headers by which some frameworks take another method for that of a
// request.
var overrides = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// safe reports whether a request is meant to change nothing (RFC 9110, section
// 9.2.1), and is answered with what could be compared. A header that makes a DELETE
// of a GET is looked through.
func safe(method string, header http.Header) bool {
	return safeMethod(method) && !overridden(header)
}

func safeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// overridden reports whether a header asks for a method that is not safe.
func overridden(header http.Header) bool {
	for _, name := range overrides {
		for _, method := range header[name] {
			if !safeMethod(strings.ToUpper(strings.TrimSpace(method))) {
				return true
			}
		}
	}
	return false
}

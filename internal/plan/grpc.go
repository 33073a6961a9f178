package plan

import (
	"slices"
	"strings"
)

// grpcCodes are the names of gRPC's status codes, in the order of their
// numbers.
var grpcCodes = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
}

// DefaultGRPC is the code of errors of gRPC for which a plan names none.
const DefaultGRPC = "UNAVAILABLE"

// GRPCCode gives the number of a status code of gRPC by its name, such as
// UNAVAILABLE; it is false when there is none of that name.
func GRPCCode(name string) (code int, known bool) {
	code = slices.Index(grpcCodes, name)
	return code, code >= 0
}

// ValidMethod tells whether a text names methods of gRPC: a service with its
// package, and a method or * for all.
func ValidMethod(text string) bool {
	service, method, found := strings.Cut(text, "/")
	return found && identifiers(service, ".") && (method == "*" || identifiers(method, ""))
}

// identifiers tells whether a text is one or more identifiers of Protocol
// Buffers with a separator between them.
func identifiers(text, separator string) bool {
	parts := []string{text}
	if separator != "" {
		parts = strings.Split(text, separator)
	}
	return !slices.ContainsFunc(parts, func(part string) bool {
		return part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != ""
	})
}

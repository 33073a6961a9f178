package disrupt

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
)

// isGRPC tells whether a request is a call of gRPC.
func isGRPC(h http.Header) bool {
	rest, is := strings.CutPrefix(h.Get("Content-Type"), "application/grpc")
	return is && (rest == "" || rest[0] == '+' || rest[0] == ';') // gRPC-Web has its status elsewhere
}

// grpcBase is added to the codes of gRPC, to tell them from statuses of HTTP.
const grpcBase = 1000

// grpcServerCodes are the codes that say that a server failed; the others are
// about what it was asked.
var grpcServerCodes = []codes.Code{
	codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss,
}

// grpcStatus is the code that a complete answer ends with, from its trailers
// or, where it is nothing but a status, its headers. An answer without one is
// of code UNKNOWN, as clients have it.
func grpcStatus(h http.Header) codes.Code {
	for _, name := range []string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		if values := h[name]; len(values) > 0 {
			n, err := strconv.ParseUint(values[0], 10, 32)
			if err != nil || n > uint64(codes.Unauthenticated) {
				return codes.Unknown
			}
			return codes.Code(n)
		}
	}
	return codes.Unknown
}

// hasFailed tells whether a status, of HTTP or gRPC, says that the dependency
// failed.
func hasFailed(status int) bool {
	if status >= grpcBase {
		return slices.Contains(grpcServerCodes, codes.Code(status-grpcBase)) //nolint:gosec // made of one
	}
	return status >= 500
}

// statusName is a status as series have it.
func statusName(status int) string {
	if status >= grpcBase {
		return "grpc " + codes.Code(status-grpcBase).String() //nolint:gosec // made of one
	}
	return strconv.Itoa(status)
}

// grpcEncode makes a text fit for Grpc-Message (gRPC's PROTOCOL-HTTP2, "Status
// message").
func grpcEncode(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

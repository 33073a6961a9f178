package disrupt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"resilience/internal/plan"
)

// falseAnswer answers in the dependency's place; the request never gets there.
type falseAnswer struct {
	status int
	header http.Header
	body   string
}

func readError(d plan.Disruption) (effect, error) {
	switch {
	case d.Error == nil:
		return nil, nil
	case d.Error.GRPC != "":
		return grpcFailure(*d.Error)
	}
	f := falseAnswer{status: cmp.Or(d.Error.Status, http.StatusServiceUnavailable), body: d.Error.Body, header: http.Header{}}
	if f.status < 400 || f.status > 599 {
		return nil, fmt.Errorf("status %d is not an error: give one from 400 to 599", f.status)
	}
	f.header.Set("Content-Length", strconv.Itoa(len(f.body)))
	switch {
	case json.Valid([]byte(f.body)):
		f.header.Set("Content-Type", "application/json")
	case f.body != "":
		f.header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	return f, nil
}

// grpcFailure is an answer of gRPC that has no message, but only a status
// ("Trailers-Only" in gRPC's PROTOCOL-HTTP2).
func grpcFailure(e plan.Error) (effect, error) {
	code, known := plan.GRPCCode(e.GRPC)
	if !known || code == 0 {
		return nil, fmt.Errorf("%q is not an error of gRPC: give one such as %s", e.GRPC, plan.DefaultGRPC)
	}
	h := http.Header{"Content-Type": {"application/grpc"}, "Grpc-Status": {strconv.Itoa(code)}}
	if e.Message != "" {
		h.Set("Grpc-Message", grpcEncode(e.Message))
	}
	return falseAnswer{status: http.StatusOK, header: h}, nil
}

func (f falseAnswer) touch(w http.ResponseWriter, r *http.Request, _ *chance, _ http.HandlerFunc) {
	readAhead(r) // so that the connection can be used again
	h := w.Header()
	for name, values := range f.header {
		h[name] = values
	}
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, f.body) // a client that is gone needs no answer
}

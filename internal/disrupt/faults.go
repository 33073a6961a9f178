package disrupt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// faults is every fault there is on HTTP and gRPC.
var faults = map[string]fault{
	"bandwidth":  {stage: paces, read: readBandwidth},
	"clock":      {stage: alters, read: readClock},
	"corrupt":    {stage: alters, read: readCorrupt},
	"error":      {stage: answers, read: readError},
	"latency":    {stage: delays, read: readLatency},
	"refuse":     {stage: answers, read: readRefuse},
	"reset":      {stage: answers, read: readReset},
	"slice":      {stage: paces, read: readSlice},
	"slow_close": {stage: paces, read: readSlowClose},
	"timeout":    {stage: answers, read: readTimeout},
	"truncate":   {stage: alters, read: readTruncate},
}

// fault is one kind of harm.
type fault struct {
	stage stage
	// read takes from a disruption what it asks of this fault. The effect is
	// nil when the disruption asks for another fault.
	read func(plan.Disruption) (effect, error)
}

// stage says where in an exchange a fault acts; a request passes the stages in
// this order, so that the answer meets the last one first.
type stage int

const (
	delays  stage = iota // before it is answered
	answers              // in the dependency's place
	paces                // on when the answer gets out
	alters               // on what the answer is
)

// effect is a fault that is ready to act.
type effect interface {
	// touch harms one request. In the stages paces and alters it does so only
	// where its chance bites, and asks that once there is something to harm; in
	// the others that is decided. Unless it answers the request itself, it
	// passes it on to next, just once. It returns early from all waiting when
	// the turn is lifted or the request's context ends, and leaves nothing
	// running. It panics with [http.ErrAbortHandler] to leave a request without
	// an answer.
	touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc)
}

// blockade is an effect that, where it is not bounded, acts on the proxy as a
// whole and not on requests.
type blockade interface {
	// raise puts it into effect. What it gives takes it out of effect, is
	// called once, and says what was touched.
	raise(ctx context.Context, p *Proxy) (release func() (measure.Touch, error), err error)
}

// harm is the one fault that a disruption asks for.
type harm struct {
	effect effect
	stage  stage
}

func readHarm(d plan.Disruption) (harm, error) {
	var found []string
	var h harm
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		effect, err := faults[name].read(d)
		if err != nil {
			return harm{}, fmt.Errorf("%s: %w", name, err)
		}
		if effect == nil {
			continue
		}
		found = append(found, name)
		h = harm{effect: effect, stage: faults[name].stage}
	}
	switch len(found) {
	case 1:
		return h, nil
	case 0:
		return harm{}, fmt.Errorf("no fault given that acts on HTTP: add one of %s", strings.Join(slices.Sorted(maps.Keys(faults)), ", "))
	default:
		return harm{}, fmt.Errorf("more than one fault given (%s): make a disruption of each", strings.Join(found, ", "))
	}
}

// readAhead takes a small body in before a fault waits or answers. Under HTTP/1
// the server only notices that a client gave up, and only keeps a connection
// for the next request, once it has read the whole of this one. Where there is
// more to read, it is looked whether the client is still there.
func readAhead(r *http.Request) {
	const small = 64 << 10
	if r.ContentLength <= 0 || r.ContentLength > small || r.Header.Get("Expect") != "" {
		watchHangUp(r)
		return
	}
	body, err := io.ReadAll(r.Body)
	var rest io.Reader = bytes.NewReader(body)
	if err != nil {
		rest = io.MultiReader(rest, broken{err})
	}
	r.Body = io.NopCloser(rest) // the server closes the body it made
}

// broken is the end of a body that could not be read to its end.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

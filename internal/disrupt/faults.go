package disrupt

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"resilience/internal/plan"
)

// faults is every fault there is.
var faults = map[string]fault{
	"error":   {stage: answers, read: readError},
	"latency": {stage: delays, read: readLatency},
}

// fault is one kind of harm.
type fault struct {
	stage stage
	// read takes from a disruption what it asks of this fault. The effect is
	// nil when the disruption asks for another fault.
	read func(plan.Disruption) (effect, error)
}

// stage says where in an exchange a fault acts; a request passes the stages in
// this order.
type stage int

const (
	delays  stage = iota // before it is answered
	answers              // in the dependency's place
)

// effect is a fault that is ready to act.
type effect interface {
	// touch harms one request that was chosen for it. Unless it answers the
	// request itself, it passes it on to next, just once. It returns early
	// from all waiting when the turn is lifted or the request's context ends,
	// and leaves nothing running.
	touch(w http.ResponseWriter, r *http.Request, t turn, next http.HandlerFunc)
}

// turn is what an effect is told about one request.
type turn struct {
	draw   float64         // uniform in [0, 1), follows from the seed
	lifted <-chan struct{} // closed when the fault is lifted
}

// harm is the one fault that a disruption asks for.
type harm struct {
	effect effect
	stage  stage
	share  float64 // 0 to 1, above 0
}

func readHarm(d plan.Disruption) (harm, error) {
	var found []string
	var h harm
	share := cmp.Or(float64(d.Share), 1)
	if !(share > 0 && share <= 1) { // NaN too
		return harm{}, fmt.Errorf("share %v is not above 0 %% and up to 100 %%", share)
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		effect, err := faults[name].read(d)
		if err != nil {
			return harm{}, fmt.Errorf("%s: %w", name, err)
		}
		if effect == nil {
			continue
		}
		found = append(found, name)
		h = harm{effect: effect, stage: faults[name].stage, share: share}
	}
	switch len(found) {
	case 1:
		return h, nil
	case 0:
		return harm{}, fmt.Errorf("no fault given: add one of %s", strings.Join(slices.Sorted(maps.Keys(faults)), ", "))
	default:
		return harm{}, fmt.Errorf("more than one fault given (%s): make a disruption of each", strings.Join(found, ", "))
	}
}

// readAhead takes a small body in before a fault waits or answers. Under HTTP/1
// the server only notices that a client gave up, and only keeps a connection
// for the next request, once it has read the whole of this one.
func readAhead(r *http.Request) {
	const small = 64 << 10
	if r.ContentLength <= 0 || r.ContentLength > small || r.Header.Get("Expect") != "" {
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

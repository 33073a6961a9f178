package disrupt

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"

	"resilience/internal/plan"
)

// corruption changes bytes of the bodies of answers as they are on the wire,
// compressed ones too; their length stays. One byte is changed for certain:
// among the first that are as many as hold one changed byte on average, or the
// very first where no length is announced.
type corruption struct{ share float64 }

func readCorrupt(d plan.Disruption) (effect, error) {
	if d.Corrupt == nil {
		return nil, nil
	}
	f := corruption{share: cmp.Or(float64(d.Corrupt.Bytes), defaultCorrupt)}
	if !(f.share > 0 && f.share <= 1) { // NaN too
		return nil, fmt.Errorf("bytes %v is not above 0 %% and up to 100 %%", f.share)
	}
	return f, nil
}

func (f corruption) touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc) {
	next(&wrongBody{ResponseWriter: w, chance: c, share: f.share}, r)
}

// wrongBody is a response with wrong bytes.
type wrongBody struct {
	http.ResponseWriter
	chance *chance
	share  float64
	random *rand.Rand // nil before the first byte
	skip   int64      // bytes before the next that is changed
}

// begin picks the first byte that is changed.
func (w *wrongBody) begin() {
	w.random = rand.New(rand.NewPCG(math.Float64bits(w.chance.draw), golden)) //nolint:gosec // repeatable on purpose
	if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && n > 0 {
		w.skip = w.random.Int64N(min(n, int64(math.Ceil(1/w.share))))
	}
}

// Write passes on a part of the body, some of its bytes changed.
func (w *wrongBody) Write(b []byte) (int, error) {
	if !w.chance.bites() || w.chance.isLifted() {
		return w.ResponseWriter.Write(b)
	}
	if w.random == nil {
		w.begin()
	}
	wrong := append([]byte(nil), b...) // what is given must not be changed
	for w.skip < int64(len(wrong)) {
		wrong[w.skip] ^= byte(1 + w.random.IntN(255)) //nolint:gosec // at most 255
		w.skip += 1 + w.gap()
	}
	w.skip -= int64(len(wrong))
	return w.ResponseWriter.Write(wrong)
}

// gap is how many bytes stay right until the next wrong one: a geometric
// distribution, by inversion.
func (w *wrongBody) gap() int64 {
	if w.share == 1 {
		return 0
	}
	return int64(min(1<<60, math.Log1p(-w.random.Float64())/math.Log1p(-w.share)))
}

// Unwrap lets http.ResponseController find what we do not do ourselves.
func (w *wrongBody) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package xk6resilience

import (
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
)

// grown is the root of all tag sets of a while. k6 keeps each set of tags that it
// ever saw, at some 20 kB with all between it and the root: each URL with an
// identifier in it makes one. That is no matter for a test of minutes; a process
// that goes on for months would use it all up. So the VUs of a canary are given
// another root from time to time: what hangs on the one before is garbage then.
type grown struct{ root *metrics.TagSet }

// maxGrown is how many sets of tags and series may hang on one root.
const maxGrown = 500

func newGrown() *grown { return &grown{root: metrics.NewRegistry().RootTagSet()} }

// replant gives the VU the tags that it has on the present root.
func (v *vu) replant() {
	now := v.session.grown.Load()
	if now == nil || v.tags == now {
		return
	}
	state := v.State()
	before := state.Tags.GetCurrentValues()
	tags := lib.NewVUStateTags(now.root.WithTagsFromMap(before.Tags.Map()))
	tags.Modify(func(t *metrics.TagsAndMeta) {
		for name, value := range before.Metadata {
			t.SetMetadata(name, value)
		}
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	state.Tags, v.tags = tags, now
}

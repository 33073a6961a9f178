package xk6resilience

import "resilience/internal/measure"

// maxKinds bounds how many kinds of failure have examples.
const maxKinds = 50

// examples keeps the first few failures of each kind.
type examples struct {
	seen    map[string]int
	pending []measure.Example
}

func newExamples() examples { return examples{seen: map[string]int{}} }

// wants reports whether another example of the kind is of use; asking first
// saves the cost of making one.
func (e *examples) wants(kind string) bool {
	n, known := e.seen[kind]
	return n < measure.MaxExamples && (known || len(e.seen) < maxKinds)
}

func (e *examples) take() []measure.Example {
	out := e.pending
	e.pending = nil
	return out
}

// example keeps a failure if its kind wants one. The caller holds the lock.
func (s *session) example(x measure.Example) {
	if !s.examples.wants(x.Kind) {
		return
	}
	s.examples.seen[x.Kind]++
	around := s.around.Load()
	x.Phase, x.Test, x.Arm = around.names.Phase, around.names.Test, around.names.Arm
	x.Message = around.said(x.Message)
	s.examples.pending = append(s.examples.pending, x)
}

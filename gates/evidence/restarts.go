package evidence

// FirstPart is the part of the error rate of [Restarts] that the test has that
// begins with the phase. It is most of it: a regression is there from the
// beginning of a phase in most cases.
const FirstPart = 0.95

const (
	restartEvery = 60 // seconds
	mostRestarts = 15 // the eldest ends when there are more; the first never does
)

// Test is one that may be asked as often as one likes, such as [Finding].
type Test interface{ Certain(alpha float64) bool }

// Restarts is a test together with those that began after it.
//
// A test that began with the phase has bet on a healthy candidate for as long
// as it was one: if a leak or a full disk makes it worse in the second hour, the
// losses of the first stand against the evidence, and the change itself reads as
// if requests depended on one another. So a new test begins every minute. The
// first one may err with [FirstPart] of the whole rate, the k-th of the others
// with 1/(k(k+1)) of the rest, so that all of them together err with no more
// than the whole, however many there are.
type Restarts[T Test] struct {
	begin   func() T
	tests   []restarted[T] // the first one, then the others by age
	seconds int
	begun   int // after the first
}

type restarted[T Test] struct {
	test T
	part float64 // of the rate of false alarms
}

// NewRestarts begins with a first test.
func NewRestarts[T Test](begin func() T) *Restarts[T] {
	return &Restarts[T]{begin: begin, tests: []restarted[T]{{begin(), FirstPart}}}
}

// Second begins another test where it is time, and gives what was counted in a
// second to each.
func (r *Restarts[T]) Second(add func(T)) {
	if r.seconds++; r.seconds%restartEvery == 0 {
		r.begun++
		if len(r.tests) > mostRestarts {
			r.tests = append(r.tests[:1], r.tests[2:]...)
		}
		k := float64(r.begun)
		r.tests = append(r.tests, restarted[T]{r.begin(), (1 - FirstPart) / (k * (k + 1))})
	}
	for _, t := range r.tests {
		add(t.test)
	}
}

// Certain gives the first test that is certain at its part of alpha; the first of
// all, and false, when none is.
func (r *Restarts[T]) Certain(alpha float64) (T, bool) {
	for _, t := range r.tests {
		if t.test.Certain(alpha * t.part) {
			return t.test, true
		}
	}
	return r.tests[0].test, false
}

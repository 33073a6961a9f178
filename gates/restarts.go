package gates

// A test that began with the phase has bet on a healthy candidate for as long
// as it was one: if a leak or a full disk makes it worse in the second hour, the
// losses of the first stand against the evidence, and the change itself reads as
// if requests depended on one another. So a new test begins every minute. The
// first one may err with firstPart of the whole rate, the k-th of the others
// with 1/(k(k+1)) of the rest, so that all of them together err with no more
// than the whole, however many there are.
const (
	restartEvery = 60 // seconds
	firstPart    = 0.75
	mostRestarts = 15 // the eldest ends when there are more; the first never does
)

// restarts is a test together with those that began after it.
type restarts struct {
	begin   func() sequential
	tests   []restarted // the first one, then the others by age
	seconds int
	begun   int // after the first
}

type restarted struct {
	sequential
	part float64 // of the rate of false alarms
}

func newRestarts(begin func() sequential) *restarts {
	return &restarts{begin: begin, tests: []restarted{{begin(), firstPart}}}
}

func (r *restarts) add(candidate, baseline reading) {
	if r.seconds++; r.seconds%restartEvery == 0 {
		r.begun++
		if len(r.tests) > mostRestarts {
			r.tests = append(r.tests[:1], r.tests[2:]...)
		}
		k := float64(r.begun)
		r.tests = append(r.tests, restarted{r.begin(), (1 - firstPart) / (k * (k + 1))})
	}
	for _, t := range r.tests {
		t.add(candidate, baseline)
	}
}

func (r *restarts) certain(alpha float64) bool {
	_, certain := r.speaks(alpha)
	return certain
}

// found tells what the test found that is certain; of several the first.
func (r *restarts) found(alpha float64) string {
	t, _ := r.speaks(alpha)
	return t.String()
}

func (r *restarts) speaks(alpha float64) (sequential, bool) {
	for _, t := range r.tests {
		if t.certain(alpha * t.part) {
			return t, true
		}
	}
	return r.tests[0], false
}

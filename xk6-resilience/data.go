package xk6resilience

import (
	"sync"

	"resilience/internal/plan"
)

// feed is the test's data file, opened when the first row is asked for.
type feed struct {
	once sync.Once
	rows *plan.Feeder
	err  error
}

// data gives the rows of the test's data file, nil where the test has none.
func (s *session) data() (*plan.Feeder, error) {
	s.feed.once.Do(func() {
		around := s.around.Load()
		if around.profile.Data != "" {
			s.feed.rows, s.feed.err = plan.OpenFeeder(plan.Locate(around.stream.Dir, around.profile.Data))
		}
	})
	return s.feed.rows, s.feed.err
}

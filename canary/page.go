package canary

import (
	"time"

	"resilience/internal/measure"
)

// pageWindows is how many windows of each series are read from a state at a time:
// with hundreds of series that is some megabytes, a year at once would be some
// gigabytes.
const pageWindows = 12

// pageAttempts is how long a stretch of attempts is read at a time.
const pageAttempts = 10 * time.Minute

// eachAttempts reads the attempts that began in [from, to), page by page, the
// oldest first.
func eachAttempts(s State, from, to int64, do func([]measure.Attempt)) error {
	for ; from < to; from += int64(pageAttempts) {
		attempts, err := s.Attempts(from, min(from+int64(pageAttempts), to))
		if err != nil {
			return err
		}
		do(attempts)
	}
	return nil
}

// eachPage reads windows of such a width that start in [from, to), page by page,
// the oldest first. What is done with a page may not keep it.
func eachPage(s State, from, to int64, width time.Duration, do func([]measure.Window)) error {
	for ; from < to; from += pageWindows * int64(width) {
		windows, err := s.History(from, min(from+pageWindows*int64(width), to), width)
		if err != nil {
			return err
		}
		do(windows)
	}
	return nil
}

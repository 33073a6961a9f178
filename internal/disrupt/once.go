package disrupt

import (
	"context"
	"sync"

	"resilience/internal/measure"
)

// once makes a lift that does its work until that worked, and gives the same
// answer from then on. After an error the next call tries again. Calls at the
// same time wait for each other.
func once(lift func(context.Context) (measure.Touch, error)) func(context.Context) (measure.Touch, error) {
	return untilDone(lift)
}

// untilDone remembers what something gave when it first worked.
func untilDone[T any](do func(context.Context) (T, error)) func(context.Context) (T, error) {
	var mu sync.Mutex
	var answer T
	done := false
	return func(ctx context.Context) (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if done {
			return answer, nil
		}
		var err error
		answer, err = do(ctx)
		done = err == nil
		return answer, err
	}
}

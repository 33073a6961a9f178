package traffic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// runner is one of the processes that share the traffic of a script.
type runner struct{ n, of int }

// share runs as many runners as the plan says side by side. Each does the part
// of k6's work that falls to its execution segment, so that together they send
// what one would; each begins and ends the test, and tells what it measured
// under a source of its own. What is wrong with one of them stops all; one that
// dies leaves the others at work, and the test is incomplete.
func (k *K6) share(ctx context.Context, run func(context.Context, runner) error) error {
	_, profile := k.stream.Test.Kind()
	of := max(1, profile.Parallel)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, of)
	var all sync.WaitGroup
	for i := range of {
		all.Go(func() {
			if errs[i] = run(ctx, runner{i + 1, of}); errs[i] != nil {
				stop()
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		var wrong *PlanError
		if errors.As(err, &wrong) { // as each of them would say
			return err
		}
	}
	return errors.Join(errs...)
}

// arguments give k6 its execution segment; none when it is the only runner.
// https://grafana.com/docs/k6/latest/using-k6/k6-options/reference/#execution-segment
func (r runner) arguments() []string {
	if r.of == 1 {
		return nil
	}
	ends := make([]string, r.of+1)
	for i := range ends {
		ends[i] = fmt.Sprintf("%d/%d", i, r.of)
	}
	ends[0], ends[r.of] = "0", "1"
	return []string{
		"--execution-segment=" + ends[r.n-1] + ":" + ends[r.n],
		"--execution-segment-sequence=" + strings.Join(ends, ","),
	}
}

// suffix keeps the source of one runner apart from those of the others.
func (r runner) suffix() string {
	if r.of == 1 {
		return ""
	}
	return fmt.Sprintf("/%d", r.n)
}

// named says of which runner something is said, where there are several.
func (r runner) named(reason string) string {
	if r.of == 1 || reason == "" {
		return reason
	}
	return fmt.Sprintf("runner %d of %d: %s", r.n, r.of, reason)
}

package telemetry

import (
	"context"
	"errors"
	"fmt"

	"resilience/internal/plan"
)

// stretch is the time of a question: from a moment up to, not including,
// another, in Unix nanoseconds; whole steps, at multiples of the step.
type stretch struct{ from, to, step int64 }

// point is a value at a moment.
type point struct {
	at    int64 // Unix nanoseconds
	value float64
}

// series is a stream of points with its labels, in order of time.
type series struct {
	labels map[string]string
	points []point // none that is not a finite number
	odd    int     // how many were not: NaN or infinite
}

// asker puts a question to a source. A point lies in the stretch, and is about
// its moment, or about the step around it; see after.
type asker interface {
	ask(ctx context.Context, text string, s stretch, stale int64) ([]series, error)

	// after reports whether a step begins at its point's moment, rather than
	// ends there.
	after() bool
}

// Limits of what is taken from outside.
const (
	maxAnswer = 8 << 20 // bytes
	maxSteps  = 1000    // asked for at a time
	maxSeries = 1000    // in an answer
)

// newAsker makes what asks a source.
func newAsker(s plan.Source, dir string) (asker, error) {
	base := s.Prometheus
	if base == "" {
		base = s.InfluxDB
	}
	c, err := newClient(base, s, dir)
	if err != nil {
		return nil, err
	}
	if s.Prometheus != "" {
		c.stamps = true
		return &prometheus{client: c}, nil
	}
	return &influxDB{client: c, database: s.Database}, nil
}

// checked refuses answers about another time than was asked for, or too large.
func checked(all []series, s stretch) ([]series, error) {
	if len(all) > maxSeries {
		return nil, fmt.Errorf("gives more than %d series: aggregate them in the query", maxSeries)
	}
	for _, one := range all {
		last := s.from - 1
		for _, p := range one.points {
			if p.at <= last || p.at >= s.to {
				return nil, errors.New("answers for another time than was asked for, or out of order")
			}
			last = p.at
		}
	}
	return all, nil
}

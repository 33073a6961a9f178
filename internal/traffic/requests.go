package traffic

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Requests is the engine for a list of requests: an open model, through vegeta.
type Requests struct {
	stream  plan.Stream
	kind    string
	profile plan.Profile
	curve   curve
	mix     *mix
	feeder  *plan.Feeder // nil without data
	workers int          // how many requests may be under way
	timeout time.Duration
}

// NewRequests prepares the stream's test, in which the plan's defaults are
// filled in. It reads and checks all that can be checked without traffic:
// data, expectations, certificates.
func NewRequests(s plan.Stream) (*Requests, error) {
	r := &Requests{stream: s}
	r.kind, r.profile = s.Test.Kind()
	if err := r.prepare(); err != nil {
		return nil, fmt.Errorf("test %s: %w", s.Test.Name, err)
	}
	return r, nil
}

func (r *Requests) prepare() (err error) {
	if r.curve, err = curveOf(r.profile); err != nil {
		return err
	}
	if _, err := newSchedule(r.curve, r.profile.Arrival, r.stream.Seed); err != nil {
		return err
	}
	if r.mix, err = newMix(r.profile.Requests, r.stream.Target.URL, r.stream.Seed); err != nil {
		return err
	}
	if err := r.openData(); err != nil {
		return err
	}
	r.workers, r.timeout = r.profile.MaxVUs, time.Duration(r.profile.Timeout)
	client, auth, err := r.client()
	if err != nil {
		return err
	}
	client.CloseIdleConnections()
	auth.Close()
	return nil
}

// openData reads the data file and checks that it has what the requests use.
func (r *Requests) openData() (err error) {
	columns := r.mix.columns()
	if r.profile.Data == "" {
		if len(columns) > 0 {
			return fmt.Errorf("${data.%s} is used, but the test has no data: file", columns[0])
		}
		return nil
	}
	if r.feeder, err = plan.OpenFeeder(plan.Locate(r.stream.Dir, r.profile.Data)); err != nil {
		return err
	}
	return r.feeder.Require(columns)
}

func (r *Requests) client() (*http.Client, *Authorizer, error) {
	s := r.stream
	auth, err := NewAuthorizer(s.Target, s.Hosts, s.Dir)
	if err != nil {
		return nil, nil, err
	}
	client, err := newClient(s.Target, s.Hosts, s.Dir, r.workers, auth)
	return client, auth, err
}

// Run sends until the test is over or the context ends, and hands what it
// measured to emit about once a second and at the end. An error means that the
// test could not begin (no token, say) or that emit failed. What went wrong
// with the generator later is in events.
func (r *Requests) Run(ctx context.Context, emit func(measure.Batch) error) error {
	if err := r.send(ctx, emit); err != nil {
		return fmt.Errorf("test %s: %w", r.stream.Test.Name, err)
	}
	return nil
}

func (r *Requests) send(ctx context.Context, emit func(measure.Batch) error) error {
	client, auth, err := r.client()
	if err != nil {
		return err
	}
	defer auth.Close()
	defer client.CloseIdleConnections()
	if _, err := auth.Headers(ctx); err != nil {
		return err
	}
	return newAttack(r, client).run(ctx, emit)
}

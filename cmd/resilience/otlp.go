package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/plan"
	"resilience/internal/store"
)

// otlpFlag is the URL of an OTLP endpoint on the command line.
func otlpFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "otlp", "", "tell what is measured to the OpenTelemetry endpoint (OTLP over HTTP) of this `URL`")
}

// otlpFrom finds out whom to tell: what the flag says goes before the plan.
// Without a URL there is nobody.
func otlpFrom(p plan.Plan, flag string) (to store.OTLPTarget, err error) {
	var in plan.OTLP
	if p.OTLP != nil {
		in = *p.OTLP
	}
	if to.URL = cmp.Or(flag, in.URL); to.URL == "" {
		if p.OTLP != nil {
			return to, &usageError{"otlp: has no url: write one, or give --otlp"}
		}
		return to, nil
	}
	to.Headers = map[string]string{}
	for name, value := range in.Headers {
		if to.Headers[name], err = withSecrets(p, value); err != nil {
			return to, fmt.Errorf("otlp: %w", err)
		}
	}
	if to.TLS, err = in.TLS.Config(p.Dir); err != nil {
		return to, fmt.Errorf("otlp: %w", err)
	}
	if err := to.Validate(); err != nil {
		return to, &usageError{err.Error()}
	}
	return to, nil
}

// telling tells a run to an OTLP endpoint while it goes on. Nil: nobody asked
// for it.
type telling struct {
	*store.OTLP
	url string
}

func newTelling(ctx context.Context, p plan.Plan, info gates.Run, flag string) (*telling, error) {
	to, err := otlpFrom(p, flag)
	if err != nil || to.URL == "" {
		return nil, err
	}
	otlp, err := store.NewOTLP(ctx, to, info)
	if err != nil {
		return nil, err
	}
	return &telling{otlp, to.URL}, nil
}

// finish sends the last totals and the verdicts. An error is why whoever listens
// does not have them.
func (t *telling) finish(s *streams, verdicts []gates.Verdict, end ending) error {
	if t == nil {
		return nil
	}
	grace := influxEnd
	if slices.Contains(end.Codes, gates.ExitInterrupted) {
		grace = influxInterrupted
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := t.Close(ctx, verdicts)
	fmt.Fprintf(s.err, "OTLP %s: %s\n", t.url, t)
	if err != nil {
		return fmt.Errorf("OTLP %s: %w", t.url, err)
	}
	return nil
}

// abandon ends what never began.
func (t *telling) abandon() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = t.Close(ctx, nil)
}

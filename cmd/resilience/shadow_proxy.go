package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"resilience/internal/plan"
	"resilience/internal/shadow"
)

// shadowProxyOptions are the flags that recording and mirroring share.
type shadowProxyOptions struct {
	listen, status  string
	maxBody, buffer string
	sample          string
	session, tenant string
	redact          []string
	redactHeaders   []string
	keyEnv          string
	routes          []string
	lasts           time.Duration
}

func (o *shadowProxyOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "where to listen: `HOST:PORT`")
	f.StringVar(&o.status, "status", "", "where /healthz and /metrics are: `HOST:PORT`; default nowhere")
	f.StringVar(&o.maxBody, "max-body", "1MiB", "how much is kept of each body; of the rest, size and digest")
	f.StringVar(&o.buffer, "buffer", "256MiB", "memory for what waits; what does not fit is dropped and counted")
	f.StringVar(&o.sample, "sample", "100%", "share of the sessions; always the same ones")
	f.StringVar(&o.session, "session", "", "what tells users apart: `header:NAME` or cookie:NAME; default a session's cookie or Authorization")
	f.StringVar(&o.tenant, "tenant", "", "what names the customer: `header:NAME` or cookie:NAME")
	f.StringArrayVar(&o.redact, "redact", nil, "a `PATH` in JSON bodies whose value is replaced by a pseudonym: user.email, cards[*].number")
	f.StringArrayVar(&o.redactHeaders, "redact-header", nil, "a `NAME` of a header whose value is replaced, beside those that are known")
	f.StringVar(&o.keyEnv, "key-env", "", "the environment `VARIABLE` with the key of pseudonyms; default a key of this run")
	f.StringArrayVar(&o.routes, "route", nil, "a `TEMPLATE` of a route: /orders/{id}, or GET /files/{path...}")
	f.DurationVar(&o.lasts, "for", 0, "end after this time; default when interrupted")
}

// shadowing is what the flags say.
type shadowing struct {
	maxBody, buffer int64
	sample          shadow.SessionSample
	redact          func(shadow.Exchange) shadow.Exchange
	route           func(method, target string) string
}

func (o *shadowProxyOptions) read() (s shadowing, err error) {
	if s.maxBody, err = shadowSize("--max-body", o.maxBody); err != nil {
		return s, err
	}
	if s.buffer, err = shadowSize("--buffer", o.buffer); err != nil {
		return s, err
	}
	var share plan.Percent
	if err := share.UnmarshalText([]byte(o.sample)); err != nil || share == 0 {
		return s, &usageError{fmt.Sprintf("--sample %s: wants a share over 0%%, such as 10%%", o.sample)}
	}
	s.sample.Share = float64(share)
	if o.session != "" {
		if s.sample.Key, err = shadow.SessionKeyOf(o.session); err != nil {
			return s, &usageError{fmt.Sprintf("--session %v", err)}
		}
	}
	rules := shadow.RedactionRules{Paths: o.redact, Headers: o.redactHeaders, Session: o.session, Tenant: o.tenant}
	if o.keyEnv != "" {
		if rules.Key = []byte(os.Getenv(o.keyEnv)); len(rules.Key) == 0 {
			return s, &usageError{fmt.Sprintf("--key-env %s: there is nothing in that variable", o.keyEnv)}
		}
	}
	redactor, err := shadow.NewRedactor(rules)
	if err != nil {
		return s, &usageError{err.Error()}
	}
	routes, err := shadow.NewRoutes(o.routes)
	if err != nil {
		return s, &usageError{fmt.Sprintf("--route: %v", err)}
	}
	s.redact, s.route = redactor.Redact, routes.RouteOf
	return s, nil
}

// shadowSize reads a size over 0.
func shadowSize(flag, text string) (int64, error) {
	var size plan.Size
	if err := size.UnmarshalText([]byte(text)); err != nil || size == 0 {
		return 0, &usageError{fmt.Sprintf("%s %s: wants a size over 0, such as 64KiB or 10MB", flag, text)}
	}
	return int64(size), nil
}

// shadowContext ends when the time is over, or at an interrupt, which it tells apart.
func shadowContext(cmd *cobra.Command, lasts time.Duration) (ctx context.Context, interrupted func() bool, stop func()) {
	signalled, _, stopSignals := interruptible(cmd.Context())
	ctx, cancel := signalled, context.CancelFunc(func() {})
	if lasts > 0 {
		ctx, cancel = context.WithTimeout(signalled, lasts)
	}
	// net/http tells the standard logger of answers that nobody asked for: what a
	// candidate does wrong must not fill the screen.
	log.SetOutput(io.Discard)
	return ctx, func() bool { return signalled.Err() != nil }, func() { cancel(); stopSignals() }
}

// serveStatus serves /healthz and /metrics, if that was asked for.
func serveStatus(ctx context.Context, told io.Writer, address string, of prometheus.Collector) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--status: can not listen on %s: %w", address, err)
	}
	web := &http.Server{Handler: shadow.StatusHandler(of), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(told, "--status:", err)
		}
	}()
	fmt.Fprintf(told, "status at http://%s/metrics\n", l.Addr())
	return func() {
		_ = web.Close()
		<-done
	}, nil
}

// shadowEnding gives what is under way time to come to its end.
func shadowEnding(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
}

// shadowDiscarded closes a recording that was begun in vain, for another reason.
func shadowDiscarded(files *shadow.Files, why error) error {
	if files == nil {
		return why
	}
	if err := files.Close(); err != nil {
		return errors.Join(why, err)
	}
	for _, path := range files.Paths() {
		_ = os.Remove(path) // an empty one helps nobody
	}
	return why
}

// shadowCount is a number of things.
func shadowCount(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// shadowOthers lists what there was of the rest, sorted by name.
func shadowOthers(all map[string]uint64) string {
	var text strings.Builder
	for _, what := range slices.Sorted(maps.Keys(all)) {
		if n := all[what]; n > 0 {
			fmt.Fprintf(&text, ", %d %s", n, what)
		}
	}
	return text.String()
}

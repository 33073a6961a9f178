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

	"resilience/internal/plan"
	"resilience/internal/shadow"
)

// shadowProxyOptions are the flags that recording and mirroring share.
type shadowProxyOptions struct {
	redactFlags
	encryption     encryptionFlags
	listen, status string
	buffer, sample string
	lasts          time.Duration
}

func (o *shadowProxyOptions) add(cmd *cobra.Command) {
	o.redactFlags.add(cmd)
	o.encryption.add(cmd)
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "where to listen: `HOST:PORT`")
	f.StringVar(&o.status, "status", "", "where /healthz and /metrics are: `HOST:PORT`; default nowhere")
	f.StringVar(&o.buffer, "buffer", "256MiB", "memory for what waits; what does not fit is dropped and counted")
	f.StringVar(&o.sample, "sample", "100%", "share of the sessions; always the same ones")
	f.DurationVar(&o.lasts, "for", 0, "end after this time; default when interrupted")
}

// shadowing is what the flags say.
type shadowing struct {
	maxBody, buffer int64
	sample          shadow.SessionSample
	redactor        *shadow.Redactor
	route           func(method, target string) string
}

func (o *shadowProxyOptions) read() (s shadowing, err error) {
	redactor, routes, maxBody, err := o.made()
	if err != nil {
		return s, err
	}
	s.redactor, s.route, s.maxBody = redactor, routes.RouteOf, maxBody
	if s.buffer, err = shadowSize("--buffer", o.buffer); err != nil {
		return s, err
	}
	var share plan.Percent
	if err := share.UnmarshalText([]byte(o.sample)); err != nil || share == 0 {
		return s, &usageError{fmt.Sprintf("--sample %s: wants a share over 0%%, such as 10%%", o.sample)}
	}
	s.sample.Share = float64(share)
	if o.rules.Session != "" {
		if s.sample.Key, err = shadow.SessionKeyOf(o.rules.Session); err != nil {
			return s, &usageError{fmt.Sprintf("--session %v", err)}
		}
	}
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

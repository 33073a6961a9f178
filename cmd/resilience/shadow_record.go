package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/shadow"
)

// recordOptions are the flags of the record command.
type recordOptions struct {
	shadowProxyOptions
	upstream, out, maxSize string
	rotate                 time.Duration
}

func recordCommand(s *streams) *cobra.Command {
	var o recordOptions
	cmd := &cobra.Command{
		Use:   "record --upstream URL --out FILE",
		Short: "Record what users ask and are answered, as a proxy in front of a service",
		Long: `record is a reverse proxy that writes what passes by into a recording. Users get
the upstream's answers as it sends them. Secrets are replaced by pseudonyms
before anything is written. What can not be kept is dropped and counted: a full
disk or a slow one never stops the proxy. It ends when it is interrupted, or
after --for, with the file whole.

Exit codes: 0 all was written, 1 something could not be, 2 the command line is
wrong.`,
		Example: `  resilience shadow record --listen :8080 --upstream http://127.0.0.1:8301 --out traffic.shadow
  resilience shadow record --upstream https://shop.internal --out day.shadow --sample 10% --max-size 1GiB --rotate 1h`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return runRecord(cmd, s, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.upstream, "upstream", "", "the `URL` of the service: http://, https:// or h2c://")
	f.StringVar(&o.out, "out", "", "the `FILE` to write; it must not be there")
	f.StringVar(&o.maxSize, "max-size", "", "go on in a new file when one has this size: FILE, then FILE with .2 before its ending")
	f.DurationVar(&o.rotate, "rotate", 0, "go on in a new file after this time")
	o.add(cmd)
	return cmd
}

// files begins the recording.
func (o *recordOptions) files(maxBody int64) (*shadow.Files, error) {
	if o.upstream == "" || o.out == "" {
		return nil, &usageError{"resilience shadow record wants --upstream URL and --out FILE"}
	}
	if err := shadow.CheckURL(o.upstream); err != nil {
		return nil, &usageError{"--upstream " + err.Error()}
	}
	how := shadow.FileOptions{Options: shadow.Options{MaxBody: maxBody, Declared: o.rules.Declared()}, Every: o.rotate}
	if o.maxSize != "" {
		var err error
		if how.MaxSize, err = shadowSize("--max-size", o.maxSize); err != nil {
			return nil, err
		}
	}
	files, err := shadow.CreateFiles(o.out, how)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--out: %v", err)}
	}
	return files, nil
}

// runRecord records until it is interrupted, or the time is over.
func runRecord(cmd *cobra.Command, s *streams, o recordOptions) error {
	how, err := o.read()
	if err != nil {
		return err
	}
	secured, err := o.encryption.read(s.err, o.upstream)
	if err != nil {
		return err
	}
	files, err := o.files(how.maxBody)
	if err != nil {
		return err
	}
	ctx, _, stop := shadowContext(cmd, o.lasts)
	defer stop()
	recorder, err := shadow.NewRecorder(ctx, files, shadow.RecorderOptions{
		Listen: o.listen, Upstream: o.upstream, TLS: secured, MaxBody: how.maxBody, Buffer: how.buffer, Sample: how.sample, Redact: how.redactor.Redact, Route: how.route,
		Failed: func(err error) { fmt.Fprintf(s.err, "can not write any more, and go on serving: %v\n", err) },
	})
	if err != nil {
		return shadowDiscarded(files, err)
	}
	stopStatus, err := serveStatus(ctx, s.out, o.status, recorder)
	if err != nil {
		return shadowDiscarded(files, err)
	}
	defer stopStatus()
	fmt.Fprintf(s.out, "recording at %s in front of %s into %s\n", recorder.URL(), o.upstream, o.out)
	flushUntil(ctx, files)
	closing, cancel := shadowEnding(ctx)
	defer cancel()
	failed := recorder.Close(closing)
	if err := files.Close(); failed == nil {
		failed = err
	}
	fmt.Fprintln(s.out, recordedText(recorder.Counts(), files.Paths()))
	if text := how.redactor.Unsought().String(); text != "" {
		fmt.Fprintln(s.out, text)
	}
	if failed != nil {
		fmt.Fprintf(s.err, "the recording is not whole: %v\n", failed)
		return &exitError{gates.ExitError}
	}
	return nil
}

// flushEvery is how much of a recording is lost at most when the process is killed.
const flushEvery = 10 * time.Second

// flushUntil writes what waits now and then until the context ends.
func flushUntil(ctx context.Context, files *shadow.Files) {
	ticks := time.NewTicker(flushEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			_ = files.Flush() // writing says the same
		}
	}
}

// recordedText tells what became of the requests.
func recordedText(c shadow.Recorded, paths []string) string {
	return fmt.Sprintf("%s: %d recorded (%d with a body that is cut) into %s", shadowCount(c.Seen, "request"), c.Recorded, c.Cut, strings.Join(paths, ", ")) +
		shadowOthers(map[string]uint64{
			"not in the sample": c.NotSampled, "passed on only": c.Streams, "without a whole answer": c.Unanswered,
			"dropped": c.Dropped, "could not be written": c.Failed,
		})
}

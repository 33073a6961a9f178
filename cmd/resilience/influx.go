package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/report"
	"resilience/internal/store"
)

// Times that InfluxDB gets: to answer before a run, and to take what is left
// after one, or after one that somebody interrupted.
const (
	influxCheck       = 10 * time.Second
	influxEnd         = 10 * time.Second
	influxInterrupted = 2 * time.Second
)

// influxFlag is the URL of an InfluxDB on the command line.
func influxFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "influx", "", "write to the InfluxDB of this `URL`; INFLUX_TOKEN (or INFLUX_TOKEN_FILE), INFLUX_ORG and INFLUX_BUCKET say the rest")
}

// influxFrom finds out where to write: what the flag says goes before the
// plan, and that before the environment. Without a URL there is nowhere.
func influxFrom(p plan.Plan, flag string) (to store.Influx, err error) {
	var in plan.Influx
	if p.Influx != nil {
		in = *p.Influx
	}
	to = store.Influx{
		URL: cmp.Or(flag, in.URL, os.Getenv("INFLUX_URL")), Org: cmp.Or(in.Org, os.Getenv("INFLUX_ORG")),
		Bucket: cmp.Or(in.Bucket, os.Getenv("INFLUX_BUCKET")),
	}
	if to.URL == "" {
		if p.Influx != nil {
			return to, &usageError{"influx: has no url: write one, or give --influx or INFLUX_URL"}
		}
		return to, nil
	}
	if in.Token, err = withSecrets(p, in.Token); err != nil {
		return to, fmt.Errorf("influx: %w", err)
	}
	if to.Token = in.Token; to.Token == "" {
		if to.Token, err = influxToken(); err != nil {
			return to, err
		}
	}
	if to.TLS, err = in.TLS.Config(p.Dir); err != nil {
		return to, fmt.Errorf("influx: %w", err)
	}
	if err := to.Validate(); err != nil {
		return to, &usageError{err.Error()}
	}
	return to, nil
}

// influxToken is that of the environment; "" when there is none.
func influxToken() (string, error) {
	path := os.Getenv("INFLUX_TOKEN_FILE")
	if token := os.Getenv("INFLUX_TOKEN"); token != "" || path == "" {
		return token, nil
	}
	secrets := plan.Plan{Secrets: map[string]plan.Secret{"INFLUX_TOKEN_FILE": {File: path}}}
	return secrets.Secret("INFLUX_TOKEN_FILE", os.LookupEnv)
}

// withSecrets replaces ${secrets.NAME} in a text.
func withSecrets(p plan.Plan, text string) (string, error) {
	var missing error
	bound, err := plan.Bind(text, func(placeholder string) (string, bool) {
		value, err := p.Secret(strings.TrimPrefix(placeholder, "secrets."), os.LookupEnv)
		missing = errors.Join(missing, err)
		return value, err == nil
	})
	if missing != nil {
		return "", missing
	}
	return bound, err
}

// streaming writes a run to InfluxDB while it goes on. Nil: nobody asked for it.
type streaming struct {
	*store.Stream
	url      string
	required bool
}

// newStreaming begins to write to InfluxDB, if it is to be. That it refuses what is
// written is found out here, before any traffic; that it can not be reached only
// ends a run that requires it.
func newStreaming(ctx context.Context, s *streams, p plan.Plan, info gates.Run, flag string) (*streaming, error) {
	to, err := influxFrom(p, flag)
	if err != nil || to.URL == "" {
		return nil, err
	}
	stream, err := store.NewStream(to, spoolOf(info.ID), info)
	if err != nil {
		return nil, err
	}
	i := &streaming{stream, to.URL, p.Influx != nil && p.Influx.Required}
	ctx, cancel := context.WithTimeout(ctx, influxCheck)
	defer cancel()
	misfit, err := stream.Check(ctx)
	switch {
	case err == nil:
		return i, nil
	case misfit:
		err = &usageError{i.url + ": " + err.Error()}
	case i.required:
		err = fmt.Errorf("%s: %w", i.url, err)
	default:
		fmt.Fprintf(s.err, "! %s: %v; the run goes on, and what it measures waits on disk\n", i.url, err)
		return i, nil
	}
	i.abandon()
	return nil, err
}

func spoolOf(id string) string { return filepath.Join(runsDir, id+store.SpoolExtension) }

// abandon ends a stream of a run that never began: there is nothing to send.
func (i *streaming) abandon() {
	if i == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = i.Close(ctx)
}

// recorder keeps batches in the record and then hands them to whoever else wants
// them.
type recorder struct {
	*store.DB
	stream *streaming
	tell   *telling
}

// Append implements the conductor's Recorder. What InfluxDB can not take is
// counted there, and stops nothing.
func (r recorder) Append(batch measure.Batch) error {
	if err := r.DB.Append(batch); err != nil {
		return err
	}
	if r.stream != nil {
		_ = r.stream.Append(batch)
	}
	if r.tell != nil {
		r.tell.Append(batch)
	}
	return nil
}

// finish sends what there is beside what was measured, and tells what came of it.
// An error is why InfluxDB does not have all of the run.
func (i *streaming) finish(s *streams, db *store.DB, verdicts []gates.Verdict, end ending) error {
	switch {
	case i == nil:
		return nil
	case slices.Contains(end.Codes, gates.ExitInterrupted):
		return i.complete(s, db, verdicts, influxInterrupted)
	}
	return i.complete(s, db, verdicts, influxEnd)
}

func (i *streaming) complete(s *streams, db *store.DB, verdicts []gates.Verdict, grace time.Duration) error {
	err := i.send(db, verdicts)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	sent, closing := i.Close(ctx)
	fmt.Fprintf(s.err, "InfluxDB %s: %s\n", i.url, sent)
	if err = errors.Join(err, closing); err != nil {
		return fmt.Errorf("InfluxDB %s: %w", i.url, err)
	}
	if !sent.Complete() {
		return fmt.Errorf("InfluxDB %s does not have all of the run (%s)", i.url, sent)
	}
	return nil
}

func (i *streaming) send(db *store.DB, verdicts []gates.Verdict) error {
	for _, v := range verdicts {
		at, err := endOf(db, v.Phase)
		if err != nil {
			return err
		}
		if err := i.Verdict(v, at); err != nil {
			return err
		}
	}
	return i.Finish(db)
}

// missed says in the record that InfluxDB does not have all of the run, and why,
// and judges again: a warning, or an error where the plan requires all of it.
func (i *streaming) missed(db *store.DB, info gates.Run, end ending, doc report.Document, why error) (report.Document, error) {
	var err error
	if i.required {
		end.Codes = append(end.Codes, gates.ExitError)
		end.Reason = cmp.Or(end.Reason, why.Error())
		err = finish(db, info, end)
	}
	again, warning := warned(db, doc, "influx", why)
	return again, errors.Join(err, warning)
}

// warned puts into the record what somebody who was to hear of the run did not,
// as a warning of each phase, and judges again.
func warned(db *store.DB, doc report.Document, who string, why error) (report.Document, error) {
	var events []measure.Event
	for n, v := range doc.Phases {
		events = append(events, measure.Event{
			Source: who, Seq: uint64(n), At: time.Now().UnixNano(), Kind: measure.EventWarning, Phase: v.Phase, Name: who,
			Attrs: map[string]string{"detail": why.Error()},
		})
	}
	err := db.Append(measure.Batch{Events: events})
	again, judging := document(db, nil)
	if err = errors.Join(err, judging); err != nil {
		return doc, err
	}
	return again, saveVerdicts(db, again)
}

// endOf is when the last thing of a phase happened, in Unix nanoseconds: the
// same whenever it is asked.
func endOf(db *store.DB, phase string) (at int64, err error) {
	rec, err := db.Record(phase)
	for _, e := range rec.Events {
		if e.Phase == phase && e.Kind == measure.EventPhaseEnd {
			at = max(at, e.At)
		}
	}
	if at == 0 {
		at = rec.Run.Started.UnixNano()
	}
	return at, err
}

func pushCommand(s *streams) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "push RUN",
		Short: "Write the record of a run to InfluxDB",
		Long: `push writes all of a record to InfluxDB, as the run itself does with --influx, and
what its spool still holds. What is there already stays as it is, so that it may
be done again after an outage, a kill, or a bucket that was lost.`,
		Args: exactly(1, "a run: an id, a prefix of one, last, or a file"),
		RunE: func(_ *cobra.Command, args []string) error { return push(s, args[0], to) },
	}
	influxFlag(cmd, &to)
	return cmd
}

func push(s *streams, ref, flag string) (err error) {
	to, err := influxFrom(plan.Plan{}, flag)
	if err != nil {
		return err
	}
	if to.URL == "" {
		return &usageError{"push wants an InfluxDB: give --influx or INFLUX_URL"}
	}
	path, err := store.Find(runsDir, ref)
	if err != nil {
		return &usageError{err.Error()}
	}
	db, err := store.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	doc, err := document(db, nil)
	if err != nil {
		return err
	}
	stream, err := store.NewStream(to, strings.TrimSuffix(path, store.Extension)+store.SpoolExtension, doc.Run)
	if err != nil {
		return err
	}
	i := &streaming{Stream: stream, url: to.URL}
	ctx, cancel := context.WithTimeout(context.Background(), influxCheck)
	defer cancel()
	if misfit, err := stream.Check(ctx); err != nil {
		i.abandon()
		if misfit {
			return &usageError{to.URL + ": " + err.Error()}
		}
		return fmt.Errorf("%s: %w", to.URL, err)
	}
	return errors.Join(stream.Record(db), i.complete(s, db, doc.Phases, influxPush))
}

// influxPush is how long sending a whole record may take.
const influxPush = time.Hour

// openRun opens the record that ref means: an id, the beginning of one, last, a
// file, or a run in InfluxDB. Done lets go of it.
func openRun(ctx context.Context, ref string) (db *store.DB, done func() error, err error) {
	path, remove, is, err := fromInflux(ctx, ref)
	if !is {
		path, err = store.Find(runsDir, ref)
	}
	if err != nil {
		remove()
		return nil, nil, &usageError{err.Error()}
	}
	if db, err = store.Open(path); err != nil {
		remove()
		return nil, nil, err
	}
	return db, func() error { defer remove(); return db.Close() }, nil
}

// influxSchemes are how a run in InfluxDB is named, and how that one is asked.
var influxSchemes = map[string]string{"influx": "http", "influxs": "https"}

func isInflux(ref string) bool {
	scheme, _, _ := strings.Cut(ref, "://")
	return influxSchemes[scheme] != ""
}

// fromInflux collects a run that is named by a URL such as
// influx://HOST:8086/BUCKET?run=ID (or influxs:// for https) into a record
// in a folder of its own, which done removes. Is is false for any other name.
func fromInflux(ctx context.Context, ref string) (path string, done func(), is bool, err error) {
	done = func() {}
	if !isInflux(ref) {
		return "", done, false, nil
	}
	u, err := url.Parse(ref)
	if err != nil || u.Query().Get("run") == "" {
		return "", done, true, errors.New("a run in InfluxDB is named like influx://HOST:8086/BUCKET?run=ID (influxs:// for https)")
	}
	from := store.Influx{URL: (&url.URL{Scheme: influxSchemes[u.Scheme], Host: u.Host, User: u.User}).String(), Org: os.Getenv("INFLUX_ORG"), Bucket: strings.Trim(u.Path, "/")}
	if from.Token, err = influxToken(); err != nil {
		return "", done, true, err
	}
	dir, err := os.MkdirTemp("", "resilience-influx-")
	if err != nil {
		return "", done, true, err
	}
	done = func() { _ = os.RemoveAll(dir) }
	path, err = store.Collect(ctx, from, u.Query().Get("run"), dir)
	return path, done, true, err
}

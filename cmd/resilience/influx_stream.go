package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

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

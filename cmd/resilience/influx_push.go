package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"resilience/internal/plan"
	"resilience/internal/store"
)

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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
	conduct "resilience/internal/run"
	"resilience/internal/store"
)

// watchdogCommand is the other process of a run, which undoes what is left when
// the first one dies. Nobody starts it by hand.
func watchdogCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:    "watchdog JOURNAL",
		Short:  "Undo what a run leaves when its process dies",
		Hidden: true,
		Args:   exactly(1, "a journal"),
		RunE: func(cmd *cobra.Command, args []string) error {
			// It ends by itself soon after its run; no signal makes it end earlier.
			signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGTSTP)
			if err := watch(cmd.Context(), args[0], cmd.InOrStdin(), s.out); err != nil {
				fmt.Fprintln(s.err, time.Now().UTC().Format(time.RFC3339), err)
				return &exitError{gates.ExitFault}
			}
			return nil
		},
	}
}

// watch waits for the end of a run, and leaves nothing of it behind.
func watch(ctx context.Context, journal string, alive io.Reader, say io.Writer) error {
	err := lifter("watchdog", journal).Watch(ctx, journal, alive, say)
	record := strings.TrimSuffix(journal, conduct.JournalExtension) + store.Extension
	return errors.Join(err, sweepSocket(socketOf(record)))
}

// lifter undoes what a journal says, and says so in the record beside it.
func lifter(by, journal string) conduct.Lifter {
	record := strings.TrimSuffix(journal, conduct.JournalExtension) + store.Extension
	return conduct.Lifter{
		Adapters: func(p plan.Plan) conduct.Adapters { return adapters(p) },
		Getenv:   os.LookupEnv, By: by,
		Done: func(done []conduct.Undone) error { return amend(record, by, done) },
	}
}

// amend adds to the record of a run that its faults were lifted later. A record
// that is gone needs none.
func amend(path, by string, done []conduct.Undone) error {
	var events []measure.Event
	now := time.Now().UnixNano()
	add := func(u conduct.Undone, kind string, attrs map[string]string) {
		events = append(events, measure.Event{
			Source: by, Seq: uint64(now) + uint64(len(events)), At: now, Kind: kind, Phase: u.Phase, Name: u.Name, Attrs: attrs,
		})
	}
	for _, u := range done {
		if u.Fault == "" {
			continue
		}
		attrs := map[string]string{"by": by}
		if u.Err != nil {
			attrs["error"] = u.Err.Error()
		}
		add(u, measure.EventLifted, attrs)
		for _, text := range u.Warnings {
			add(u, measure.EventWarning, map[string]string{"detail": u.Name + ": " + text})
		}
	}
	if _, err := os.Stat(path); err != nil || len(events) == 0 {
		return nil //nolint:nilerr // nobody reads a record that is not there
	}
	return store.Amend(path, events)
}

// journals are the paths of the journals of a run, or of all runs without a
// name. A run without a journal has left nothing.
func journals(ref string) ([]string, error) {
	if ref == "" {
		return filepath.Glob(filepath.Join(runsDir, "*"+conduct.JournalExtension))
	}
	if strings.HasSuffix(ref, conduct.JournalExtension) {
		if _, err := os.Stat(ref); err != nil {
			return nil, &usageError{err.Error()}
		}
		return []string{ref}, nil
	}
	record, err := store.Find(runsDir, ref)
	if err != nil {
		return nil, &usageError{err.Error()}
	}
	if beside := strings.TrimSuffix(record, store.Extension) + conduct.JournalExtension; exists(beside) {
		return []string{beside}, nil
	}
	id, err := idOf(record) // it may be a copy
	if err != nil {
		return nil, &usageError{err.Error()}
	}
	if path := filepath.Join(runsDir, id+conduct.JournalExtension); exists(path) {
		return []string{path}, nil
	}
	return nil, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// idOf is the id of the run that a record is of.
func idOf(record string) (id string, err error) {
	db, err := store.Open(record)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	run, err := db.Run()
	return run.ID, err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"resilience/gates"
	conduct "resilience/internal/run"
	"resilience/internal/store"
)

func liftCommand(s *streams) *cobra.Command {
	var force bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "lift [RUN]",
		Short: "Undo faults and processes that killed runs left behind",
		Long: `lift undoes what is left of runs that could not do it themselves, of all runs
here or of one, and verifies that it is gone. Secrets are read from where the
plan says. It may be called again and again.

Exit codes: 0 nothing is left, 6 a fault may still be active, also one of a run
that still goes on.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{"lift wants one run, or none for all of them"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return lift(cmd.Context(), s, strings.Join(args, ""), force, timeout)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also of a run that seems to go on")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long undoing one fault may take")
	return cmd
}

func lift(ctx context.Context, s *streams, ref string, force bool, timeout time.Duration) error {
	paths, err := journals(ref)
	if err != nil {
		return err
	}
	var all []conduct.Undone
	var problems []error
	alive, active := false, false
	for _, path := range paths {
		lifter := lifter("lift", path)
		lifter.Force, lifter.Timeout = force, timeout
		done, err := liftWhenFree(ctx, lifter, path)
		switch {
		case errors.Is(err, conduct.ErrAlive):
			alive = true
			names := conduct.Active(path)
			active = active || len(names) > 0
			fmt.Fprintf(s.err, "the run %s is still going on%s: stop it, which lifts its faults, or say --force\n", runOf(path), with(names))
		case errors.Is(err, fs.ErrNotExist): // its watchdog was faster
		case err != nil:
			problems = append(problems, err)
		}
		all = append(all, done...)
	}
	problems = append(problems, sweepSockets())
	if err = concludeLift(s, all, alive, ref, errors.Join(problems...)); active {
		return &exitError{gates.ExitFault}
	}
	return err
}

// with says what is in effect.
func with(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", with " + strings.Join(names, ", ") + " in effect"
}

// watchdogTry is how long the watchdog of a run that has ended may be at it.
const watchdogTry = 10 * time.Second

// liftWhenFree waits while another undoes what a run that is over has left: its
// watchdog tries once more after it.
func liftWhenFree(ctx context.Context, lifter conduct.Lifter, path string) ([]conduct.Undone, error) {
	for end := time.Now().Add(watchdogTry); ; {
		done, err := lifter.Lift(ctx, path)
		if !errors.Is(err, conduct.ErrAlive) || time.Now().After(end) || !isOver(path) {
			return done, err
		}
		select {
		case <-ctx.Done():
			return done, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// isOver reports whether the run that a journal is of came to its own end.
func isOver(journal string) bool {
	db, err := store.Open(strings.TrimSuffix(journal, conduct.JournalExtension) + store.Extension)
	if err != nil {
		return false
	}
	defer db.Close()
	_, err = db.Document(documentEnding)
	return err == nil
}

// concludeLift says what was done, and what is left to do.
func concludeLift(s *streams, done []conduct.Undone, alive bool, ref string, problems error) error {
	if len(done) > 0 {
		if err := liftTable(s.out, done); err != nil {
			return err
		}
	}
	failed := conduct.Failed(done)
	for _, u := range done {
		for _, text := range u.Warnings {
			fmt.Fprintf(s.err, "%s: %s\n", u.Name, text)
		}
	}
	for _, u := range failed {
		fmt.Fprintf(s.err, "%s may still be there: %v\n  by hand: %s\n", u.Name, u.Err, u.ByHand)
	}
	if problems != nil {
		fmt.Fprintln(s.err, problems)
	}
	switch {
	case len(failed) > 0 || problems != nil:
		return &exitError{gates.ExitFault}
	case alive && ref != "":
		return &exitError{gates.ExitUsage}
	case len(done) == 0 && !alive:
		fmt.Fprintln(s.out, "nothing is left to lift")
	}
	return nil
}

func liftTable(out io.Writer, done []conduct.Undone) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tPHASE\tWHAT\tON\tNOW")
	for _, u := range done {
		now := "lifted"
		switch {
		case u.Err != nil:
			now = "may still be there"
		case u.Fault == "":
			now = "ended"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", u.Run, dash(u.Phase), strings.TrimSpace(u.Name+" "+parenthesised(u.Fault)), u.On, now)
	}
	return w.Flush()
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func parenthesised(text string) string {
	if text == "" {
		return ""
	}
	return "(" + text + ")"
}

func runOf(journal string) string {
	return strings.TrimSuffix(filepath.Base(journal), conduct.JournalExtension)
}

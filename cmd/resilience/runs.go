package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/report"
	"resilience/internal/store"
)

func runsCommand(s *streams) *cobra.Command {
	var byGate bool
	cmd := &cobra.Command{
		Use:   "runs [RUN]...",
		Short: "List the runs that have a record here, newest first",
		Long: `runs lists the runs that have a record here, or those that are named, newest
first. With --gates it tells how often each gate failed: over runs of one version
(an A/A test) each failure is a false alarm.`,
		RunE: func(_ *cobra.Command, args []string) error {
			list, err := someRuns(args)
			switch {
			case err != nil:
				return err
			case len(list) == 0:
				fmt.Fprintf(s.out, "no runs under %s\n", runsDir)
				return nil
			case byGate:
				return writeFlakes(s.out, list)
			}
			return writeRuns(s.out, list)
		},
	}
	cmd.AddCommand(pushCommand(s))
	cmd.Flags().BoolVar(&byGate, "gates", false, "tell how often each gate failed, by plan, phase and version")
	return cmd
}

// someRuns are the runs that are named, or all.
func someRuns(refs []string) ([]store.Summary, error) {
	if len(refs) == 0 {
		return store.List(runsDir)
	}
	var list []store.Summary
	for _, ref := range refs {
		path, err := store.Find(runsDir, ref)
		if err != nil {
			return nil, &usageError{err.Error()}
		}
		list = append(list, store.Summarize(path))
	}
	return list, nil
}

func writeRuns(out io.Writer, list []store.Summary) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tPLAN\tPHASES\tTOOK\tOUTCOME")
	for _, r := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ID, r.Run.Plan, strings.Join(r.Phases, ", "), took(r.Run), outcome(r))
	}
	return w.Flush()
}

func took(r gates.Run) string {
	if r.Ended.IsZero() {
		return "-"
	}
	return r.Ended.Sub(r.Started).Round(time.Second).String()
}

// outcome says in a few words how a run was judged, or what is wrong with its
// record.
func outcome(r store.Summary) string {
	if r.Err != nil {
		return "damaged: " + r.Err.Error()
	}
	var doc report.Document
	if r.Verdicts == nil || json.Unmarshal(r.Verdicts, &doc) != nil {
		end, err := unfinished(r.Path)
		if err != nil {
			return end.Reason + ": " + firstLine(err.Error())
		}
		return "not judged: " + end.Reason
	}
	return fmt.Sprintf("%s: %s", doc.Outcome, firstLine(doc.Reason))
}

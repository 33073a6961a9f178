package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/report"
	"resilience/internal/store"
)

func runsCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "runs",
		Short: "List the runs that have a record here, newest first",
		Args:  exactly(0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			list, err := store.List(runsDir)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				fmt.Fprintf(s.out, "no runs under %s\n", runsDir)
				return nil
			}
			w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "RUN\tPLAN\tPHASES\tTOOK\tOUTCOME")
			for _, r := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ID, r.Run.Plan, strings.Join(r.Phases, ", "), took(r.Run), outcome(r))
			}
			return w.Flush()
		},
	}
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

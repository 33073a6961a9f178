package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/store"
)

func runsCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "runs",
		Short: "List the runs that have a record here, newest first",
		Args:  cobra.NoArgs,
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
	var verdicts []gates.Verdict
	if json.Unmarshal(r.Verdicts, &verdicts) != nil || len(verdicts) == 0 {
		return "not judged: under way, or killed"
	}
	worst := verdicts[0]
	for _, v := range verdicts[1:] {
		if v.Outcome != gates.Pass {
			worst = v
		}
	}
	return fmt.Sprintf("%s: %s", worst.Outcome, worst.Reason)
}

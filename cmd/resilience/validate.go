package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"resilience/internal/plan"
)

func validateCommand(s *streams) *cobra.Command {
	var vars []string
	cmd := &cobra.Command{
		Use:   "validate PLAN",
		Short: "Check a plan without running it",
		Args:  exactly(1, "a plan"),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := loadPlan(args[0], vars)
			if err != nil {
				return err
			}
			if err := checkRecordings(p, p.Phases); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "%s: valid;%s\n", args[0], summary(p))
			untestable(s.out, p, p.Phases)
			expiredWaivers(s.out, p)
			return nil
		},
	}
	varFlag(cmd, &vars)
	return cmd
}

// expiredWaivers tells which waivers let nothing be broken any more.
func expiredWaivers(out io.Writer, p plan.Plan) {
	for _, w := range p.Waivers {
		if last := time.Time(w.Expires); !time.Now().Before(last.Add(24 * time.Hour)) {
			fmt.Fprintf(out, "! the waiver of %q by %s expired on %s\n", w.Gate, w.Owner, last.Format(time.DateOnly))
		}
	}
}

// summary counts what a plan has.
func summary(p plan.Plan) string {
	var b strings.Builder
	for i, phase := range p.Phases {
		if i == 0 {
			b.WriteString(" phases:")
		}
		fmt.Fprintf(&b, " %s (tests: %d, disruptions: %d, gates: %d)", phase.Name, len(phase.Tests), len(phase.Disruptions), len(phase.Gates))
	}
	if c := p.Canary; c != nil {
		if b.Len() > 0 {
			b.WriteString(";")
		}
		fmt.Fprintf(&b, " canary of %s (transactions: %d, heartbeats: %d, rules: %d, receivers: %d)", c.Target, len(c.Transactions), len(c.Heartbeats), len(c.Alerts), len(c.Receivers))
	}
	return b.String()
}

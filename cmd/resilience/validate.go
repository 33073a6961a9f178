package main

import (
	"fmt"
	"strings"

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
			return nil
		},
	}
	varFlag(cmd, &vars)
	return cmd
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

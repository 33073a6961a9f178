package main

import (
	"fmt"

	"github.com/spf13/cobra"
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
			fmt.Fprintf(s.out, "%s: valid; phases:", args[0])
			for _, phase := range p.Phases {
				fmt.Fprintf(s.out, " %s (tests: %d, disruptions: %d, gates: %d)", phase.Name, len(phase.Tests), len(phase.Disruptions), len(phase.Gates))
			}
			fmt.Fprintln(s.out)
			untestable(s.out, p, p.Phases)
			return nil
		},
	}
	varFlag(cmd, &vars)
	return cmd
}

package main

import (
	"github.com/spf13/cobra"

	"resilience/internal/disrupt"
)

// stressCommand is how this program burdens the machine in a process of its
// own. Nobody types it: its order comes from the run that started it.
func stressCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "stress",
		Short:  "Burden this machine, as a disruption of a run asks for",
		Hidden: true,
		Args:   exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return disrupt.Stress(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

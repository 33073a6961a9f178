package main

import (
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"resilience/internal/disrupt"
)

// agentCommand is what a disruption on Kubernetes starts in pods.
func agentCommand(s *streams) *cobra.Command {
	a := disrupt.Agent{}
	cmd := &cobra.Command{
		Use:    "agent --name NAME --address IP",
		Short:  "Inject faults into the pod that this runs in, as told on standard input",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return a.Run(ctx, cmd.InOrStdin(), s.out)
		},
	}
	cmd.Flags().StringVar(&a.Name, "name", "agent", "of this agent; begins the names of its tables of nftables")
	cmd.Flags().StringVar(&a.Address, "address", "127.0.0.1", "of the pod, where the system listens")
	cmd.Flags().DurationVar(&a.Idle, "idle", 3*time.Minute, "end when there was no order for so long")
	return cmd
}

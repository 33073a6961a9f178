package main

import (
	"os"

	"github.com/spf13/cobra"

	"go.k6.io/k6/v2/cmd"

	_ "resilience" // registers the extension with k6
)

// runK6 is k6 with the extension. It does not return: k6 ends its process.
func runK6(args []string) int {
	os.Args = append([]string{"k6"}, args...)
	cmd.Execute()
	return 0
}

// k6Command is there for the help; run hands `k6` over before cobra sees it.
func k6Command() *cobra.Command {
	return &cobra.Command{
		Use:                "k6 ARGS",
		Short:              "Run k6 with the extension k6/x/resilience",
		DisableFlagParsing: true,
		RunE:               func(_ *cobra.Command, args []string) error { return &exitError{runK6(args)} },
	}
}

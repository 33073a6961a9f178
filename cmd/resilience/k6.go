package main

import (
	"os"

	"github.com/spf13/cobra"

	"go.k6.io/k6/v2/cmd"
	"go.k6.io/k6/v2/cmd/state"

	_ "resilience" // registers the extension with k6
)

// runK6 is k6 with the extension. It does not return: k6 ends its process. A
// script that imports an extension which is not in this program is an error,
// unless K6_AUTO_EXTENSION_RESOLUTION says otherwise: k6 would fetch another
// program from the network and run that, without this extension.
func runK6(args []string) int {
	if _, told := os.LookupEnv(state.AutoExtensionResolution); !told {
		_ = os.Setenv(state.AutoExtensionResolution, "false") // which can not fail: the name is one
	}
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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/plan"
	"resilience/internal/traffic"
)

// runsDir is where records are kept, below the working directory.
const runsDir = ".resilience/runs"

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exitError ends a command with an exit code after everything there is to say
// has been said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// usageError is a mistake on the command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "k6" {
		return runK6(args[1:])
	}
	root := newRoot(&streams{in: stdin, out: stdout, err: stderr})
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return codeOf(root.ExecuteContext(ctx), stderr)
}

// codeOf turns the error of a command into an exit code, and says what it was.
func codeOf(err error, stderr io.Writer) int {
	var exit *exitError
	switch {
	case err == nil:
		return gates.ExitPass
	case errors.As(err, &exit):
		return exit.code
	}
	fmt.Fprintln(stderr, err)
	var usage *usageError
	if errors.As(err, &usage) || isPlanError(err) {
		return gates.ExitUsage
	}
	return gates.ExitError
}

// isPlanError reports whether running again would not help before the plan has
// been changed.
func isPlanError(err error) bool {
	var problems plan.Errors
	var misfit *traffic.PlanError
	return errors.As(err, &problems) || errors.As(err, &misfit)
}

func newRoot(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "resilience",
		Short: "May this deployment go on? Load, disruptions and a verdict for every phase.",
		Long: `resilience runs load against each phase of a deployment, disrupts its
dependencies meanwhile, and answers pass, fail or inconclusive, with evidence.

Exit codes: 0 pass, 99 the system failed a gate, 3 not enough evidence,
4 a disruption did not bite, 5 the load generator did not deliver,
6 a fault may still be active, 2 the plan or the command line is wrong,
130 interrupted, 1 anything else.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err.Error()} })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		validateCommand(s), runCommand(s), judgeCommand(s), reportCommand(s), runsCommand(s),
		demoCommand(s), schemaCommand(s), shopCommand(s), k6Command(),
	)
	return root
}

// exactly wants n arguments, and says which.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return &usageError{fmt.Sprintf("%s wants %s; got %d arguments\nusage: %s", cmd.CommandPath(), what, len(args), cmd.UseLine())}
	}
}

// version is that of the module, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return info.Main.Version
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"resilience/gates"
	"resilience/internal/plan"
	"resilience/internal/shadow"
	"resilience/internal/traffic"
)

// runsDir is where records are kept, below the working directory.
const runsDir = ".resilience/runs"

// streams are where a command writes.
type streams struct{ out, err io.Writer }

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
	root := newRoot(&streams{out: stdout, err: stderr})
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
	if isUsage(err) {
		return gates.ExitUsage
	}
	return gates.ExitError
}

// isUsage reports whether trying again would not help before the plan or the
// command line has been changed.
func isUsage(err error) bool {
	var usage *usageError
	var problems plan.Errors
	var misfit *traffic.PlanError
	var unfit *plan.Misfit
	var input *shadow.InputError
	return errors.As(err, &usage) || errors.As(err, &problems) || errors.As(err, &misfit) || errors.As(err, &unfit) || errors.As(err, &input)
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
		Args:          cobra.ArbitraryArgs,
		RunE:          noCommand,
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Sprintf("%v; see %s --help", err, cmd.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		validateCommand(s), runCommand(s), canaryCommand(s), distributeCommand(s), judgeCommand(s), reportCommand(s), runsCommand(s),
		ackCommand(s), demoCommand(s), schemaCommand(s), shadowCommand(s), shopCommand(s), k6Command(), stressCommand(), proxyCommand(s),
		liftCommand(s), watchdogCommand(s), agentCommand(s),
	)
	return root
}

// noCommand helps whoever named no command, or one that there is not. The
// latter is an error: a misspelt gate must not pass.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	message := fmt.Sprintf("there is no command %q; see %s --help", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message = fmt.Sprintf("there is no command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return &usageError{message}
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

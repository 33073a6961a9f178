package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"resilience/internal/plan"
	"resilience/scenarios"
)

func varFlag(cmd *cobra.Command, vars *[]string) {
	cmd.Flags().StringArrayVar(vars, "var", nil, "set a variable of the plan, `NAME=VALUE`; repeatable")
}

// loadPlan reads a plan with the variables of --var and the environment.
func loadPlan(path string, vars []string) (plan.Plan, error) {
	options := plan.Options{Vars: map[string]string{}, Getenv: os.LookupEnv, Scenarios: isScenario}
	for _, pair := range vars {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return plan.Plan{}, &usageError{fmt.Sprintf("--var wants NAME=VALUE; got %q", pair)}
		}
		options.Vars[name] = value
	}
	return plan.Load(path, options)
}

func isScenario(name string) bool {
	_, ok := scenarios.Open(name)
	return ok
}

// choosePhases decides which phases to run. Nobody should run production by
// leaving out a word, so one has to be said.
func choosePhases(p plan.Plan, name string, all bool) ([]string, error) {
	if all && name != "" {
		return nil, &usageError{"--phase and --all exclude each other"}
	}
	if len(p.Phases) == 0 {
		return nil, &usageError{"the plan has no phases to run; its canary is run by `resilience canary`"}
	}
	var names []string
	for _, phase := range p.Phases {
		if phase.Name == name {
			return []string{name}, nil
		}
		names = append(names, phase.Name)
	}
	switch {
	case all:
		return names, nil
	case name != "":
		return nil, &usageError{fmt.Sprintf("the plan has no phase %q; it has: %s", name, strings.Join(names, ", "))}
	}
	return nil, &usageError{fmt.Sprintf("say which phase to run, --phase NAME, or --all; the plan has: %s", strings.Join(names, ", "))}
}

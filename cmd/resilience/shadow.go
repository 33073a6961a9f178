package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"resilience/internal/plan"
	"resilience/internal/shadow"
)

// shadowCommand is the parent of all that has to do with shadow traffic.
func shadowCommand(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shadow",
		Short: "What would the new version have answered? Import, record, replay and mirror traffic",
		Long: `shadow makes recordings of what users asked and were answered, without their
secrets, shows what is in them, replays them against two versions, and compares
mirrored traffic as it goes by.`,
		Args: cobra.ArbitraryArgs,
		RunE: noCommand,
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(
		shadowImportCommand(s), shadowShowCommand(s), recordCommand(s), mirrorCommand(s), shadowReplayCommand(s),
	)
	return cmd
}

// bodySize reads the flag --max-body: bytes of a body that are kept.
func bodySize(text string) (int64, error) {
	if text == "0" {
		return -1, nil
	}
	var size plan.Size
	if err := size.UnmarshalText([]byte(text)); err != nil {
		return 0, &usageError{fmt.Sprintf("--max-body %v", err)}
	}
	if size > shadow.MaxBody {
		return 0, &usageError{fmt.Sprintf("--max-body is at most %s; got %s", plan.Size(shadow.MaxBody), text)}
	}
	return int64(size), nil
}

// pairs reads flags of the form NAME=VALUE.
func pairs(flag string, given []string) (map[string]string, error) {
	all := map[string]string{}
	for _, text := range given {
		name, value, found := strings.Cut(text, "=")
		if !found || name == "" {
			return nil, &usageError{fmt.Sprintf("--%s wants NAME=VALUE; got %q", flag, text)}
		}
		all[name] = value
	}
	return all, nil
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"resilience/internal/plan"
)

func schemaCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of plans, for editors",
		Args:  exactly(0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			schema, err := plan.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "%s\n", schema)
			return err
		},
	}
}

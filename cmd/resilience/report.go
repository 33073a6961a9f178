package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"resilience/internal/report"
)

func reportCommand(s *streams) *cobra.Command {
	var format, out string
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Show the report of a run in a format, or write all of them",
		Args:  exactly(1, "a run: an id, a prefix of one, last, a file, or influx://HOST:8086/BUCKET?run=ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			doc, err := openDocument(cmd.Context(), args[0], "", nil)
			if err != nil {
				return err
			}
			if out != "" {
				return report.WriteAll(out, doc)
			}
			return report.Write(s.out, format, doc, report.OptionsFor(s.out, os.Getenv))
		},
	}
	formatFlag(cmd, &format)
	cmd.Flags().StringVar(&out, "out", "", "write every format into this `DIR` instead")
	return cmd
}

func formatFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", "text", "a `FORMAT`: "+strings.Join(report.Names(), ", "))
}

// checkFormat finds a misspelt format before anything is done for it.
func checkFormat(format string) error {
	if slices.Contains(report.Names(), format) {
		return nil
	}
	return &usageError{fmt.Sprintf("there is no report format %q; use one of %s", format, strings.Join(report.Names(), ", "))}
}

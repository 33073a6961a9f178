package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"resilience/internal/report"
)

func reportCommand(s *streams) *cobra.Command {
	var format, out string
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Show the report of a run in a format, or write all of them",
		Args:  exactly(1, "a run: an id, a prefix of one, last, or a file"),
		RunE: func(_ *cobra.Command, args []string) error {
			doc, err := openDocument(args[0], "", nil)
			if err != nil {
				return err
			}
			if out != "" {
				return report.WriteAll(out, doc)
			}
			return report.Write(s.out, format, doc, report.OptionsFor(s.out, os.Getenv))
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", strings.Join(report.Names(), ", "))
	cmd.Flags().StringVar(&out, "out", "", "write every format into this `DIR` instead")
	return cmd
}

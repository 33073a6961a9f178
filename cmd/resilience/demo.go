package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"resilience/fixtures"
	"resilience/fixtures/shop"
)

// demoPlan is where the demo's plan is written, for its reader to change.
const demoPlan = ".resilience/demo.yaml"

func demoCommand(s *streams) *cobra.Command {
	var defect string
	var o runOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a shop, disturb its payments, and judge it",
		Long: `demo starts a small shop of five services on this machine, sends it customers,
makes its payments slow and then failing, and judges what the customers saw.
With --defect it takes one of the shop's resilience patterns away: ` + strings.Join(shop.DefectNames(), ", ") + `.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(demoPlan), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(demoPlan, fixtures.Demo, 0o644); err != nil {
				return err
			}
			o.vars = []string{"SHOP=" + shellQuote(self) + " shop", "DEFECT=" + defect}
			p, err := loadPlan(demoPlan, o.vars)
			if err != nil {
				return err
			}
			o.phase = p.Phases[0].Name
			fmt.Fprintf(s.err, "$ resilience run %s --phase %s --var SHOP=\"resilience shop\"%s\n", demoPlan, o.phase, defectVar(defect))
			return runPlan(cmd.Context(), s, p, o)
		},
	}
	cmd.Flags().StringVar(&defect, "defect", "", "a pattern to take away")
	cmd.Flags().StringVar(&o.out, "out", "", "write every report and the record into this `DIR`")
	cmd.Flags().BoolVar(&o.quiet, "quiet", false, "print nothing but the verdict")
	return cmd
}

func defectVar(defect string) string {
	if defect == "" {
		return ""
	}
	return " --var DEFECT=" + defect
}

func shellQuote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// shopCommand runs one service of the demo's shop.
func shopCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:                "shop SERVICE",
		Short:              "Run one service of the demo's shop",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, _, stop := interruptible(cmd.Context())
			defer stop()
			return &exitError{shop.Main(ctx, args, s.out, s.err)}
		},
	}
}

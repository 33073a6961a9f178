package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
		Args: exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), s, defect, o) },
	}
	cmd.Flags().StringVar(&defect, "defect", "", "a pattern to take away")
	cmd.Flags().StringVar(&o.out, "out", "", "write every report and the record into this `DIR`")
	cmd.Flags().BoolVar(&o.quiet, "quiet", false, "print nothing but the verdict")
	return cmd
}

// runDemo runs the demo's plan as the run command would, which it shows.
func runDemo(ctx context.Context, s *streams, defect string, o runOptions) error {
	if err := checkDefects(defect); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := writeDemo(); err != nil {
		return err
	}
	o.phase, o.vars = "beta", []string{"SHOP=" + shellQuote(self) + " shop", "DEFECT=" + defect}
	fmt.Fprint(s.err, "$ ", shellQuote(os.Args[0]), " run ", demoPlan, " --phase ", o.phase)
	for _, pair := range o.vars {
		fmt.Fprint(s.err, " --var ", shellQuote(pair))
	}
	fmt.Fprintln(s.err)
	return runFile(ctx, s, demoPlan, o)
}

func checkDefects(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		if name != "" && !slices.Contains(shop.DefectNames(), name) {
			return &usageError{fmt.Sprintf("there is no defect %q; there are %s", name, strings.Join(shop.DefectNames(), ", "))}
		}
	}
	return nil
}

// writeDemo writes the plan at once, so that no other demo reads half of it.
func writeDemo() error {
	if err := os.MkdirAll(filepath.Dir(demoPlan), 0o755); err != nil {
		return err
	}
	temp := fmt.Sprintf("%s.%d", demoPlan, os.Getpid())
	if err := os.WriteFile(temp, fixtures.Demo, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, demoPlan)
}

// shellQuote makes one word of the shell of a text.
func shellQuote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-=:,@", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

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

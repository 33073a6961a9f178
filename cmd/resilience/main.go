// Command resilience proves that a system keeps serving its users when load
// rises, dependencies fail and versions change. It runs the phases of a plan,
// judges what was measured, and answers pass, fail or inconclusive with an exit
// code that a pipeline can act on.
//
// Every command is one file here; this package only wires the others together.
package main

import (
	"context"
	"os"
	"path/filepath"
)

func main() {
	os.Exit(run(context.Background(), arguments(os.Args), os.Stdin, os.Stdout, os.Stderr))
}

// arguments are those of the command line. Under the name k6, such as that of a
// link to it, this program is k6: so it serves whoever looks for one, as
// k6-operator does in its runners.
func arguments(args []string) []string {
	if filepath.Base(args[0]) == "k6" {
		return append([]string{"k6"}, args[1:]...)
	}
	return args[1:]
}

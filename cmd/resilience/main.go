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
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

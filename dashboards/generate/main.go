// Command generate writes the Grafana dashboards into the folder it is started
// in: `go generate ./dashboards`. A board is a file here, made of rows of panels;
// what a panel looks like is in panel.go, colours are in look.go, and all queries
// are built in query.go.
package main

import (
	"fmt"
	"os"
)

// all dashboards by the name of their file.
var all = map[string]func() board{
	"run.json":     runBoard,
	"history.json": historyBoard,
	"harness.json": harnessBoard,
	"canary.json":  canaryBoard,
	"shadow.json":  shadowBoard,
}

func main() {
	for name, made := range all {
		data, err := made().json()
		if err == nil {
			err = os.WriteFile(name, data, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"resilience/fixtures/servers"
	"resilience/gates"
)

// TestMain makes commands of the test binary, for scripts and for itself:
// it starts k6 and the shop by its own path.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"resilience": func() {
			crashLater()
			main()
		},
		"k6":               main, // as a link to it would be
		"testserver":       func() { os.Exit(testServer(os.Args[1:])) },
		"toxiproxy-server": func() { os.Exit(toxiproxyServer(os.Args[1:])) },
	})
}

// TestScripts runs the behaviours of the command line in testdata/script, one
// in each file. What each needs stands at its top.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("these send real traffic for some minutes")
	}
	influx := sync.OnceValue(func() servers.Influx { return servers.InfluxDB(t) }) // one for all scripts
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // or each process takes a second to end
			cluster, err := filepath.Abs("../../xk6-resilience/testdata/cluster")
			env.Setenv("CLUSTER_SCRIPTS", cluster)
			env.Setenv("PATH", env.Getenv("PATH")+string(os.PathListSeparator)+servers.Folder())
			env.Setenv("OUTAGE", cmp.Or(os.Getenv("OUTAGE"), "3s"))
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "nowhere": nowhere, "serve": serve, "proxy": proxy, "upstream": upstream, "toxiproxy": toxiproxy, "fetch": fetch, "asks-boards": asksBoards, "shadowing": startShadowing, "ended": endShadowing, "asking": askTimes, "certificates": makeCertificates, "serve-tls": serveSecurely,
			"influxdb": func(ts *testscript.TestScript, _ bool, args []string) { influxdb(t, ts, args, influx) },
		},
		Condition: func(what string) (bool, error) {
			switch what {
			case "influx":
				return servers.HasInfluxDB(), nil
			case "influxd":
				return servers.HasInfluxd(), nil
			}
			return false, fmt.Errorf("there is no condition %q", what)
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// influxdb [own] puts what names an InfluxDB into the environment of the script:
// the one of all scripts, or one of its own, whose process is INFLUX_PID. Its URL is
// REAL_INFLUX and not INFLUX_URL, so that only some commands write to it.
func influxdb(t *testing.T, ts *testscript.TestScript, args []string, common func() servers.Influx) {
	var i servers.Influx
	switch {
	case len(args) == 0:
		i = common()
	case slices.Equal(args, []string{"own"}):
		own := servers.StartInfluxDB(t)
		i = own.Influx
		ts.Setenv("INFLUX_PID", strconv.Itoa(own.PID()))
	default:
		ts.Fatalf("usage: influxdb [own]")
	}
	for name, value := range map[string]string{"REAL_INFLUX": i.URL, "INFLUX_TOKEN": i.Token, "INFLUX_ORG": i.Org, "INFLUX_BUCKET": i.Bucket} {
		ts.Setenv(name, value)
	}
}

// A command that this machine was too busy for is tried again for as long as one that
// others use may be so, and a few times when it ended as it should all the same.
const (
	patience = 4 * time.Minute
	busyRuns = 4
)

// exits CODE COMMAND ARGS... runs a command that must end with the code. When
// this machine was too busy to send the traffic, the command says so itself, and
// is tried again as if it had never been.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	began, before := time.Now(), leftByRuns(ts)
	got := exitCode(ts, args[1], args[2:]...)
	for try := 1; want != gates.ExitGenerator && tooBusy(ts, got); try++ {
		if time.Since(began) > patience || got == want && try >= busyRuns {
			break
		}
		for _, path := range leftByRuns(ts) {
			if !slices.Contains(before, path) { // or commands that tell of runs would tell of it
				ts.Check(os.RemoveAll(path))
			}
		}
		got = exitCode(ts, args[1], args[2:]...)
	}
	if got != want {
		ts.Fatalf("exit code %d instead of %d", got, want)
	}
}

// leftByRuns is all that runs of a script have left for later commands to find.
func leftByRuns(ts *testscript.TestScript) (all []string) {
	for _, folder := range []string{"", "*"} {
		found, err := filepath.Glob(filepath.Join(ts.Getenv("WORK"), folder, runsDir, "*"))
		ts.Check(err)
		all = append(all, found...)
	}
	return all
}

var busyMachine = regexp.MustCompile(`! the load generator: (lag|cpu|vus)`)

func tooBusy(ts *testscript.TestScript, code int) bool {
	return code == gates.ExitGenerator || busyMachine.MatchString(ts.ReadFile("stderr"))
}

func exitCode(ts *testscript.TestScript, command string, args ...string) int {
	err := ts.Exec(command, args...)
	if err == nil {
		return 0
	}
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		ts.Fatalf("%s: %v", command, err)
	}
	return ended.ExitCode()
}

// nowhere TEXT... looks for texts in every byte of every file that is there
// now, and in what the last command said; none may be anywhere but in files
// that end in .keep.
func nowhere(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: nowhere TEXT...")
	}
	look := func(place, content string) {
		for _, text := range args {
			if strings.Contains(content, text) {
				ts.Fatalf("%q is in %s", text, place)
			}
		}
	}
	look("stdout", ts.ReadFile("stdout"))
	look("stderr", ts.ReadFile("stderr"))
	files := 0
	ts.Check(filepath.WalkDir(ts.MkAbs("."), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".keep") {
			return err
		}
		content, err := os.ReadFile(path)
		look(path, string(content))
		files++
		return err
	}))
	ts.Logf("looked into %d files", files)
}

// serve ARGS... starts a testserver that lives as long as the script; its
// address is in URL.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	s, err := newServer(args)
	ts.Check(err)
	web := httptest.NewServer(s.routes())
	ts.Defer(func() {
		web.CloseClientConnections()
		web.Close()
	})
	ts.Setenv("URL", web.URL)
}

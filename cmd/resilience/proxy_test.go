package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

var (
	proxyLine   = regexp.MustCompile(`^proxy (\S+) at (\S+) in front of `)
	controlLine = regexp.MustCompile(`^control at (\S+) `)
)

// proxy ARGS... starts `resilience proxy` until the script ends, and then asks
// it to stop. Its control is in CONTROL, and each of its proxies in
// PROXY_NAME.
func proxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: proxy ARGS...")
	}
	cmd := exec.Command("resilience", append([]string{"proxy"}, args...)...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), os.Stderr
	cmd.Env = append(os.Environ(), proxyToken+"="+ts.Getenv("TOKEN"))
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	lines := bufio.NewReader(out)
	ts.Defer(func() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
		rest, err := io.ReadAll(lines)
		ts.Check(err)
		if err := cmd.Wait(); err != nil || !strings.Contains(string(rest), "no fault is left") {
			ts.Fatalf("the proxy ended with %v and said: %s", err, rest)
		}
	})
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			ts.Fatalf("the proxy ended: %v", err)
		}
		if found := proxyLine.FindStringSubmatch(line); found != nil {
			ts.Setenv("PROXY_"+found[1], found[2])
		}
		if found := controlLine.FindStringSubmatch(line); found != nil {
			ts.Setenv("CONTROL", found[1])
			return
		}
	}
}

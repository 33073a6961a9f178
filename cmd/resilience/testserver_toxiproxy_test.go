package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	shopify "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rs/zerolog"

	"resilience/fixtures/servers"
)

// toxiproxyServer is the command toxiproxy-server PORT: the real one. Its Listen
// ends the process when it fails, so it needs one of its own.
func toxiproxyServer(args []string) int {
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }() // whoever started it is gone
	shopify.NewServer(shopify.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()).Listen("127.0.0.1", args[0])
	return 1
}

// toxiproxy runs a Toxiproxy server until the script ends; its API is at
// TOXIPROXY.
func toxiproxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: toxiproxy")
	}
	url, end, err := startToxiproxy()
	ts.Check(err)
	ts.Defer(func() { ts.Check(end()) })
	ts.Setenv("TOXIPROXY", url)
}

// startToxiproxy starts a server that answers, and gives how to end it.
func startToxiproxy() (url string, end func() error, err error) {
	address, err := servers.FreeAddress()
	if err != nil {
		return "", nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command("toxiproxy-server", port)
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", nil, err
	}
	end = func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	url = "http://" + address
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for tick := time.Tick(10 * time.Millisecond); !answering(ctx, url+"/version"); <-tick {
		if ctx.Err() != nil {
			return "", nil, errors.Join(errors.New("the Toxiproxy server does not answer"), end())
		}
	}
	return url, end, nil
}

func answering(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// fetch URL puts what is there into the file fetched.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fetch URL")
	}
	resp, err := http.Get(args[0]) //nolint:noctx // a script has none
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("fetched"), text, 0o600))
}

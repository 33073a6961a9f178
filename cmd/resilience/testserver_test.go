package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// server is what scripts test: a service whose paths behave well or badly.
type server struct {
	fail      float64       // share of requests of / that fail
	asked     atomic.Uint64 // of /
	refusal   int           // of what was measured, by /api/v2/write
	hangAfter time.Duration // the first request; 0 is never
	key       string        // that /guarded wants in X-Key
	others    []string      // that /either asks, until one answers
	monitor   monitor
	metrics   metrics // of /through
	told      told    // by /v1/metrics
	notes     notes   // of /v2/notes

	first func() time.Time
}

// testServer is the command testserver. It listens on the port in PORT, as a
// service of a plan does.
func testServer(args []string) int {
	s, err := newServer(args)
	if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	web := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: s.routes(), ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		web.Close()
	}()
	fmt.Println("testserver:", web.ListenAndServe())
	return 0
}

func newServer(args []string) (*server, error) {
	s := &server{first: sync.OnceValue(time.Now)}
	flags := flag.NewFlagSet("testserver", flag.ContinueOnError)
	flags.DurationVar(&s.hangAfter, "hang-after", 0, "how long after its first request / stops to answer")
	flags.IntVar(&s.refusal, "write-status", http.StatusServiceUnavailable, "what /api/v2/write answers to what was measured")
	flags.Float64Var(&s.fail, "fail", 0, "the share of requests of / that fail, evenly")
	flags.StringVar(&s.key, "key", "", "what /guarded wants as X-Key or as a bearer token")
	flags.BoolVar(&s.monitor.on, "monitor", false, "send an alert when /through begins to fail")
	flags.StringVar(&s.monitor.command, "on-alert", "", "what to run then")
	flags.Func("either", "URLs, with commas, that /either asks until one answers", func(urls string) error {
		s.others = strings.Split(urls, ",")
		return nil
	})
	return s, flags.Parse(args)
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", s.maybe)
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of order", http.StatusInternalServerError)
	})
	mux.HandleFunc("/through", s.metrics.counting(s.through))
	mux.Handle("/metrics", &s.metrics)
	mux.HandleFunc("/api/v1/query_range", blabs)
	mux.HandleFunc("/api/v2/write", s.write)
	mux.HandleFunc("/v1/metrics", s.told.take)
	mux.HandleFunc("/told", s.told.say)
	mux.HandleFunc("/either", s.either)
	mux.HandleFunc("/guarded", s.guarded)
	mux.HandleFunc("/token", s.token)
	mux.HandleFunc("/ask/{protocol}/{name}", ask)
	s.notes.routes(mux)
	return mux
}

// write is an InfluxDB that takes what says which run it is, and none of what was
// measured.
func (s *server) write(w http.ResponseWriter, r *http.Request) {
	lines, err := gzip.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if text, err := io.ReadAll(lines); err != nil || bytes.Contains(text, []byte("resilience_windows")) {
		http.Error(w, "no more", s.refusal)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// maybe answers "hello" until it hangs.
func (s *server) maybe(w http.ResponseWriter, r *http.Request) {
	if s.hangAfter > 0 && time.Since(s.first()) > s.hangAfter {
		<-r.Context().Done()
		return
	}
	if n := float64(s.asked.Add(1)); math.Floor(n*s.fail) > math.Floor((n-1)*s.fail) {
		http.Error(w, "one of some", http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "hello")
}

// through asks the dependency named upstream, and waits for it as long as it
// takes: a system without a timeout.
func (s *server) through(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, os.Getenv("RESILIENCE_DEP_UPSTREAM_URL")+"/", nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	s.monitor.saw(resp.StatusCode)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// either asks one instance after the other: a system that survives the loss of
// one.
func (s *server) either(w http.ResponseWriter, r *http.Request) {
	for _, other := range s.others {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, other+"/", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
		return
	}
	http.Error(w, "none answers", http.StatusBadGateway)
}

// guarded answers who has the key, with an error when asked for one: failures
// become examples in the record.
func (s *server) guarded(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("X-Key") != s.key && r.Header.Get("Authorization") != "Bearer "+s.key:
		http.Error(w, "who are you?", http.StatusUnauthorized)
	case r.URL.Query().Get("fail") != "":
		http.Error(w, "out of order", http.StatusInternalServerError)
	default:
		fmt.Fprintln(w, "hello")
	}
}

// token issues the key to whoever asks (RFC 6749, section 4.4.3).
func (s *server) token(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "expires_in": 3600}`, s.key)
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"resilience/internal/store"
)

// socketOfCanary is where a canary hears `resilience ack`, by the path of its
// state. Whoever may use the file may acknowledge.
func socketOfCanary(state string) string {
	return strings.TrimSuffix(state, store.Extension) + socketExtension
}

// hearAcks listens for acknowledgements until stop is called.
func (w *watching) hearAcks(path string) (stop func() error, err error) {
	if err := sweepSocket(path); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for acknowledgements: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ack", w.hearAck)
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends when it is closed
	return server.Close, nil
}

// maxAck bounds what an acknowledgement may say, in bytes.
const maxAck = 4096

func (w *watching) hearAck(rw http.ResponseWriter, r *http.Request) {
	var said struct{ Name, By string }
	if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, maxAck)).Decode(&said); err != nil {
		http.Error(rw, "not an acknowledgement", http.StatusBadRequest)
		return
	}
	status, err := w.daemon.Status()
	if err != nil && len(status.Open) == 0 {
		http.Error(rw, err.Error(), http.StatusServiceUnavailable)
		return
	}
	meant := 0
	for _, i := range status.Open {
		if said.Name != "" && said.Name != i.ID && said.Name != i.Rule || said.Name == "" && i.Acked > 0 {
			continue
		}
		meant++
		if err := w.daemon.Ack(i.ID, said.By); err != nil {
			http.Error(rw, err.Error(), http.StatusConflict)
			return
		}
	}
	if meant == 0 {
		http.Error(rw, strings.TrimSpace("no incident "+said.Name)+" is open", http.StatusNotFound)
		return
	}
	rw.WriteHeader(http.StatusNoContent)
}

// ackIncident tells the canaries of this folder that somebody knows of an incident,
// by its id or its rule; "" for all that are open. Is reports whether one of them
// has such an incident.
func ackIncident(ctx context.Context, name, by string) (where string, is bool, err error) {
	going, err := filepath.Glob(filepath.Join(canaryDir, "*"+socketExtension))
	if err != nil {
		return "", false, err
	}
	for _, socket := range slices.DeleteFunc(going, func(path string) bool { return !answers(path) }) {
		err := acknowledge(ctx, socket, name, by)
		var unknown *usageError
		if errors.As(err, &unknown) {
			continue
		}
		return strings.TrimSuffix(filepath.Base(socket), socketExtension), true, err
	}
	return "", false, nil
}

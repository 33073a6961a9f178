package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"resilience/canary"
)

// serveGrace is how long requests under way may take when the canary ends.
const serveGrace = 2 * time.Second

// serve shows the canary at an address until stop is called; at no address it
// does nothing.
func (w *watching) serve(address string) (stop func() error, err error) {
	if address == "" {
		return func() error { return nil }, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--listen: %v", err)}
	}
	server := canary.NewServer(canary.Faces{
		Canary: w.canary, State: w.state, Status: w.daemon.Status, Ack: w.daemon.Ack, Beat: w.daemon.Beat,
		Receivers: w.mailer.Receivers, Figures: w.figures,
	}.Handler())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	w.log.say("status page at http://%s/", listener.Addr())
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), serveGrace)
		defer cancel()
		err := server.Shutdown(ctx)
		if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	}, nil
}

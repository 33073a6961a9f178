package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interruptible ends the context at the first interrupt (or SIGTERM, SIGHUP)
// and closes hurry at the second; later ones do nothing. So the program is
// never killed by a signal that it could act on, and lifting faults always
// comes to its end. Nor is it killed when nobody reads its output any more.
func interruptible(ctx context.Context) (_ context.Context, hurry <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE) // writes fail instead
	hurrying, done := make(chan struct{}), make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			switch n {
			case 0:
				cancel()
			case 1:
				close(hurrying)
			}
		}
	}()
	return ctx, hurrying, func() {
		signal.Stop(signals)
		signal.Stop(unread)
		close(done)
		cancel()
	}
}

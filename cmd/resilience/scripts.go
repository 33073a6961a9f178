package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"resilience/internal/disrupt"
	"resilience/internal/plan"
	conduct "resilience/internal/run"
)

// scriptsEnd is how long ending a control may take; lifting is the first that it
// does.
const scriptsEnd = 5 * time.Second

// controlForScripts lets k6's scripts put faults on the proxies of this process,
// on loopback and with a token that only they are told.
func controlForScripts(proxies map[string]conduct.Dependency) (where plan.Control, stop func() error, err error) {
	controlled := map[string]disrupt.Dependency{}
	for name, d := range proxies {
		if proxy, ok := d.(disrupt.Dependency); ok {
			controlled[name] = proxy
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return where, nil, err
	}
	where = plan.Control{URL: "http://" + l.Addr().String(), Token: rand.Text()}
	control := disrupt.NewControl(controlled, where.Token, 0)
	served := make(chan error, 1)
	go func() { served <- control.Serve(l) }()
	return where, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), scriptsEnd)
		defer cancel()
		if err := control.Close(ctx); err != nil {
			return fmt.Errorf("faults of scripts: %w", errors.Join(err, conduct.ErrFaultLeft))
		}
		return <-served
	}, nil
}

package disrupt

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"resilience/internal/plan"
)

// certificates is every kind of certificate that a fault can show. All are for
// the names of the good one unless they say otherwise.
var certificates = map[string]func(a *authority, names []string) (*tls.Certificate, error){
	"expired":       func(a *authority, names []string) (*tls.Certificate, error) { return a.issue(expired, names) },
	"not-yet-valid": func(a *authority, names []string) (*tls.Certificate, error) { return a.issue(notYet, names) },
	"rotate":        func(a *authority, names []string) (*tls.Certificate, error) { return a.issue(validNow, names) },
	"untrusted":     untrusted,
	"wrong-name": func(a *authority, _ []string) (*tls.Certificate, error) {
		return a.issue(validNow, []string{"wrong-name.invalid"})
	},
}

// untrusted is a certificate of an authority that nobody knows.
func untrusted(_ *authority, names []string) (*tls.Certificate, error) {
	other, err := newAuthority()
	if err != nil {
		return nil, err
	}
	return other.issue(validNow, names)
}

// defaultRotation is how often a rotating certificate is a new one.
const defaultRotation = plan.Duration(time.Second)

// badCertificate is a fault on certificates while it is in effect.
type badCertificate struct {
	tally *tally
	make  func() (*tls.Certificate, error)
	every time.Duration // 0 for one that stays the same

	mu    sync.Mutex
	shown *tls.Certificate
	turn  time.Duration // of the rotation that it was made in
}

// next is what the fault shows the next client; nil when it does not touch it.
func (b *badCertificate) next() (*tls.Certificate, error) {
	now := time.Now()
	if _, touched := b.tally.take(); !touched {
		return nil, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	turn := b.turn
	if b.every > 0 {
		turn = now.Sub(b.tally.start) / b.every
	}
	if b.shown != nil && turn == b.turn {
		return b.shown, nil
	}
	made, err := b.make()
	b.shown, b.turn = made, turn
	return made, err
}

// disruption reads a fault on the certificates that are shown.
func (s *secure) disruption(on string, d plan.Disruption, seed int64) (Disruption, error) {
	if s == nil {
		return nil, fmt.Errorf("disruption %q: dependency %q shows no certificate: add serve: {} to it", d.Name, on)
	}
	if _, err := onlyFault(d); err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	kind := d.Certificate.Kind
	issue, ok := certificates[kind]
	if !ok {
		return nil, fmt.Errorf("disruption %q: certificate: there is no kind %q: use one of %s",
			d.Name, kind, strings.Join(slices.Sorted(maps.Keys(certificates)), ", "))
	}
	names := slices.Clone(s.names)
	return newLocal(on, d, seed, "handshakes", func(t *tally) (func() error, error) {
		b := &badCertificate{tally: t, make: func() (*tls.Certificate, error) { return issue(s.authority, names) }}
		if kind == "rotate" {
			b.every = time.Duration(cmp.Or(d.Certificate.Every, defaultRotation))
		} else if made, err := b.make(); err == nil {
			b.shown = made // before anybody waits for it
		} else {
			return nil, err
		}
		s.inject(b)
		flapping, stop := context.WithCancel(context.Background())
		var flaps sync.WaitGroup
		if t.on > 0 {
			flaps.Go(func() { s.flap(flapping, t) })
		}
		return func() error {
			stop()
			flaps.Wait()
			s.lift(b)
			return nil
		}, nil
	})
}

// inject puts a fault into effect and closes what is connected, so that clients
// come back and see it.
func (s *secure) inject(b *badCertificate) {
	s.mu.Lock()
	s.injected = append(s.injected, b)
	s.mu.Unlock()
	s.disconnect()
}

// flap closes what is connected whenever the fault is on again, until ctx ends.
func (s *secure) flap(ctx context.Context, t *tally) {
	for last := int64(0); t.waitTurn(ctx.Done()); {
		now := time.Now()
		turn := int64(now.Sub(t.start) / (t.on + t.off))
		if on, _ := t.acts(now); on && turn != last {
			last = turn
			s.disconnect()
		}
	}
}

// disconnect closes what is connected.
func (s *secure) disconnect() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, t := range open {
		_ = t.Close() // it is gone either way
	}
}

func (s *secure) lift(b *badCertificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.injected = slices.DeleteFunc(s.injected, func(other *badCertificate) bool { return other == b })
}

package disrupt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// shutPort closes the port of the proxy, so that connections are refused, and
// resets those that are open. It can not be seen then who would have come:
// what is counted is the port, once it was seen to refuse. Where the fault is
// bounded, the requests that it touches are reset.
type shutPort struct{}

func readRefuse(d plan.Disruption) (effect, error) {
	if d.Refuse == nil {
		return nil, nil
	}
	return shutPort{}, nil
}

func (shutPort) touch(_ http.ResponseWriter, r *http.Request, _ *chance, _ http.HandlerFunc) {
	breakOff(r)
}

func (shutPort) raise(ctx context.Context, p *Proxy) (func() (measure.Touch, error), error) {
	if err := p.port.refuse(); err != nil {
		return nil, err
	}
	p.visitors.reset()
	if err := refuses(ctx, p.port.address); err != nil {
		return nil, errors.Join(err, p.port.admit())
	}
	return func() (measure.Touch, error) {
		return measure.Touch{Matched: 1, Touched: 1, Unit: "ports"}, p.port.admit()
	}, nil
}

// refuses is nil when connections to an address are refused.
func refuses(ctx context.Context, address *net.TCPAddr) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", reachable(address.IP, address.Port))
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("port %s still takes connections: does another process listen there, too?", address)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("port %s was closed, but connections are not refused: %w", address, err)
	}
	return nil
}

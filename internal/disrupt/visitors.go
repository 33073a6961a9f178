package disrupt

import (
	"net"
	"net/http"
	"sync"
)

// visitors are the open connections of a server, also those that speak another
// protocol by now.
type visitors struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// track is the ConnState of the server.
func (v *visitors) track(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		v.enter(c)
	case http.StateClosed, http.StateHijacked:
		v.leave(c)
	}
}

func (v *visitors) enter(c net.Conn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open == nil {
		v.open = map[net.Conn]struct{}{}
	}
	v.open[c] = struct{}{}
}

func (v *visitors) leave(c net.Conn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.open, c)
}

// reset resets all of them.
func (v *visitors) reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c := range v.open {
		resetOnClose(c)
		_ = c.Close()
	}
}

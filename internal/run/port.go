package run

import (
	"io"
	"math/rand/v2"
	"net"
	"strconv"
)

// The kernel gives ports from 32768 up (Linux) or 49152 up (macOS) to whoever
// asks for any, and to connections on their way out. One of those could be gone
// between the moment when we let go of it and that in which the service takes
// it; ports from here on are left alone.
const (
	firstPort = 20000
	lastPort  = 32767
	portTries = 50
)

// listenAnywhere takes a free port that nobody else gets by chance, if there is
// one, or else any. It is no other run's until the claim is closed, which may be
// nil.
func listenAnywhere() (l net.Listener, claimed io.Closer, err error) {
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if l, err = listenOn(port); err != nil {
			continue
		}
		if claimed, err = claim(port); err == nil {
			return l, claimed, nil
		}
		l.Close()
	}
	l, err = listenOn(0)
	return l, nil, err
}

func listenOn(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

package disrupt

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// port is a TCP port that can refuse connections and stays ours meanwhile: a
// socket that is bound to it and does not listen keeps everybody else off.
type port struct {
	address *net.TCPAddr

	mu       sync.Mutex
	listener net.Listener  // nil while refusing
	held     int           // the socket that holds the port while refusing; notHeld when it was lost
	refusals int           // how many faults want it to refuse
	open     chan struct{} // closed when there is a listener, or never will be
	closed   bool
}

// newPort takes over a listener on TCP.
func newPort(l net.Listener) *port {
	p := &port{address: l.Addr().(*net.TCPAddr), listener: l, open: make(chan struct{})}
	close(p.open)
	return p
}

// Accept waits for a connection, also over times of refusal.
func (p *port) Accept() (net.Conn, error) {
	for {
		p.mu.Lock()
		listener, open, closed := p.listener, p.open, p.closed
		p.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if listener == nil {
			<-open
			continue
		}
		conn, err := listener.Accept()
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, net.ErrClosed) {
			return nil, err
		}
	}
}

// Addr is where the port is.
func (p *port) Addr() net.Addr { return p.address }

// Close gives the port up.
func (p *port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if p.listener != nil {
		return p.listener.Close()
	}
	close(p.open)
	if p.held == notHeld {
		return nil
	}
	return syscall.Close(p.held)
}

// notHeld is in place of a socket where nobody keeps others off the port.
const notHeld = -1

// refuse lets connections be refused until admit was called as often.
func (p *port) refuse() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("the proxy that listened on %s is closed", p.address)
	}
	if p.refusals++; p.refusals > 1 {
		return nil
	}
	_ = p.listener.Close() // it has no error that matters: what follows would show it
	held, err := hold(p.address)
	if err == nil {
		p.listener, p.held, p.open = nil, held, make(chan struct{})
		return nil
	}
	p.refusals--
	again, listenErr := net.ListenTCP("tcp", p.address)
	if listenErr != nil {
		p.closed = true
		return errors.Join(err, listenErr)
	}
	p.listener = again
	return err
}

// admit undoes one refuse. After an error the port still refuses, and it may be
// called again.
func (p *port) admit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusals > 1 || p.closed {
		p.refusals--
		return nil
	}
	listener, err := p.listenAgain()
	if err != nil {
		return fmt.Errorf("can not listen on %s again: %w", p.address, err)
	}
	p.refusals--
	p.listener = listener
	close(p.open)
	return nil
}

// listenAgain listens with the socket that holds the port, or with another when
// that one failed.
func (p *port) listenAgain() (net.Listener, error) {
	if p.held == notHeld {
		return net.ListenTCP("tcp", p.address)
	}
	held := p.held
	p.held = notHeld
	return listenOn(held)
}

// hold binds a socket to an address without listening.
func hold(address *net.TCPAddr) (fd int, err error) {
	family, to := syscall.AF_INET, syscall.Sockaddr(nil)
	if ip := address.IP.To4(); ip != nil {
		to = &syscall.SockaddrInet4{Port: address.Port, Addr: [4]byte(ip)}
	} else {
		six := &syscall.SockaddrInet6{Port: address.Port}
		copy(six.Addr[:], address.IP.To16())
		family, to = syscall.AF_INET6, six
	}
	syscall.ForkLock.RLock() // a command that starts now must not inherit the port
	fd, err = syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, fmt.Errorf("hold %s: %w", address, err)
	}
	if err = shareable(fd, 1); err == nil { // with the connections that were accepted
		err = syscall.Bind(fd, to)
	}
	if err == nil {
		err = shareable(fd, 0) // with nobody who comes now
	}
	if err != nil {
		_ = syscall.Close(fd)
		return 0, fmt.Errorf("hold %s: %w", address, err)
	}
	return fd, nil
}

// shareable says whether others may bind the address of a socket, too.
func shareable(fd, on int) error {
	return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, on)
}

// listenOn makes a listener of a socket that is bound; the socket is closed.
func listenOn(fd int) (net.Listener, error) {
	file := os.NewFile(uintptr(fd), "port")
	defer file.Close()
	if err := errors.Join(shareable(fd, 1), syscall.Listen(fd, syscall.SOMAXCONN)); err != nil {
		return nil, err
	}
	return net.FileListener(file)
}

package run

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// claim keeps a port from the runs of others while no process listens there: before
// its service does, and while that is killed. It is a name that ends with this
// process, and that no file stands for. An error says that another run has it.
func claim(port int) (io.Closer, error) {
	name, err := net.Listen("unix", fmt.Sprintf("@resilience/port/%d", port))
	if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
		return nil, nil //nolint:nilerr // this machine does without: the port was free just now
	}
	if err != nil {
		return nil, err
	}
	return name, nil
}

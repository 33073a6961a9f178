//go:build !linux

package disrupt

import "net"

// hungUp can not be told here while there is something left to read.
func hungUp(net.Conn) bool { return false }

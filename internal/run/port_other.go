//go:build !linux

package run

import "io"

// claim does nothing where there are no names that end with their process: the port
// was free just now.
func claim(int) (io.Closer, error) { return nil, nil }

//go:build !linux

package traffic

import "syscall"

// guardedAttributes puts a child into a group of its own. It ends by itself when
// its socket is closed.
func guardedAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

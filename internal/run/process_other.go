//go:build !linux

package run

import "syscall"

// processAttributes puts a process into a group of its own, so that it can be
// stopped with all it starts.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

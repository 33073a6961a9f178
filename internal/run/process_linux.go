package run

import "syscall"

// processAttributes puts a process into a group of its own, so that it can be
// stopped with all it starts, and has the kernel kill it should we be killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

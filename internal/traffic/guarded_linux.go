package traffic

import "syscall"

// guardedAttributes puts a child into a group of its own and has the kernel kill
// it when the thread that started it ends: with this process, however that ends.
func guardedAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

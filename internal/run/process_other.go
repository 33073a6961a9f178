//go:build !linux

package run

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// processAttributes puts a process into a group of its own, so that it can be
// stopped with all it starts.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// startOf says when a process started, as ps tells it; "" when there is no such
// process.
func startOf(pid int) string {
	text, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// allZombies reports whether the processes of a group have all ended and only
// wait for their parent to notice.
func allZombies(pgid int) bool {
	text, err := exec.Command("ps", "-o", "stat=", "-g", strconv.Itoa(pgid)).Output() //nolint:gosec // a number
	if err != nil {
		return false
	}
	states := strings.Fields(string(text))
	for _, state := range states {
		if !strings.HasPrefix(state, "Z") {
			return false
		}
	}
	return len(states) > 0
}

package run

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// processAttributes puts a process into a group of its own, so that it can be
// stopped with all it starts, and has the kernel kill it should we be killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// startOf says when a process started, in clock ticks since the machine did
// (proc(5), field 22 of stat); "" when there is no such process.
func startOf(pid int) string {
	if fields := statOf(strconv.Itoa(pid)); len(fields) > 19 {
		return string(fields[19])
	}
	return ""
}

// statOf gives the fields of stat after the name of the program: state, parent,
// process group and so on.
func statOf(pid string) [][]byte {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return nil
	}
	return bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
}

// allZombies reports whether the processes of a group have all ended and only
// wait for their parent to notice.
func allZombies(pgid int) bool {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return false
	}
	found := false
	for _, path := range paths {
		fields := statOf(filepath.Base(path))
		if len(fields) < 3 || string(fields[2]) != strconv.Itoa(pgid) {
			continue
		}
		if string(fields[0]) != "Z" {
			return false
		}
		found = true
	}
	return found
}

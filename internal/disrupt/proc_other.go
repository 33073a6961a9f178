//go:build !linux

package disrupt

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// process looks a process up; found is false when there is none.
func process(pid int) (p proc, found bool, err error) {
	all, err := processes()
	i := slices.IndexFunc(all, func(p proc) bool { return p.pid == pid })
	if i < 0 {
		return proc{}, false, err
	}
	return all[i], true, err
}

// processes are all that there are, as ps tells: the start of a process is
// known to the second only.
func processes() ([]proc, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,pgid=,state=,lstart=").Output()
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	var all []proc
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		pid, err1 := strconv.Atoi(f[0])
		parent, err2 := strconv.Atoi(f[1])
		group, err3 := strconv.Atoi(f[2])
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("ps tells of a process in a way that is not known: %w", err)
		}
		all = append(all, proc{pid, parent, group, f[3][0], strings.Join(f[4:], " ")})
	}
	return all, nil
}

// booted is empty: starts are dates here, which none is that was before.
func booted() string { return "" }

// childAttributes puts a child into a group of its own.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

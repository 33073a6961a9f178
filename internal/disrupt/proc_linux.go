package disrupt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// process looks a process up; found is false when there is none.
func process(pid int) (p proc, found bool, err error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return proc{}, false, nil
	}
	if err != nil {
		return proc{}, false, fmt.Errorf("look at process %d: %w", pid, err)
	}
	p, err = readStat(string(text))
	return p, err == nil, err
}

// readStat reads /proc/PID/stat (proc_pid_stat(5)): the name in parentheses
// may hold spaces and parentheses itself.
func readStat(text string) (proc, error) {
	wrong := fmt.Errorf("the system tells of a process in a way that is not known: %.60q", text)
	end := strings.LastIndex(text, ") ")
	number, _, found := strings.Cut(text, " (")
	if end < 0 || !found {
		return proc{}, wrong
	}
	fields := strings.Fields(text[end+2:]) // from field 3 on
	if len(fields) < 20 {
		return proc{}, wrong
	}
	p := proc{state: fields[0][0], start: fields[19]}
	for _, into := range []struct {
		to   *int
		text string
	}{{&p.pid, number}, {&p.parent, fields[1]}, {&p.group, fields[2]}} {
		n, err := strconv.Atoi(into.text)
		if err != nil {
			return proc{}, wrong
		}
		*into.to = n
	}
	return p, nil
}

// processes are all that there are.
func processes() ([]proc, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	var all []proc
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, found, err := process(pid)
		if err != nil {
			return nil, err
		}
		if found {
			all = append(all, p)
		}
	}
	return all, nil
}

// booted names the time since the machine was started last (random(4)).
func booted() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// childAttributes puts a child into a group of its own and has the kernel kill
// it should this process be killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

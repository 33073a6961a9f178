package run

import (
	"context"
	"syscall"
	"time"
)

// groupOf describes the process group of a process that was just started.
func groupOf(pid int, name string) group { return group{Pid: pid, Started: startOf(pid), Name: name} }

// alive reports whether anything of the group runs. A leader that started at
// another time is somebody else's: its number was used again, which no system
// does while a group of that number is there.
func (g group) alive() bool {
	if started := startOf(g.Pid); started != "" && g.Started != "" && started != g.Started {
		return false
	}
	return syscall.Kill(-g.Pid, 0) == nil && !allZombies(g.Pid)
}

// kill ends the whole group, and reports whether nothing of it runs any more.
func (g group) kill(ctx context.Context) bool {
	for g.alive() {
		_ = syscall.Kill(-g.Pid, syscall.SIGKILL) // it may be gone by now
		if wait(ctx, groupPoll) != nil {
			return !g.alive()
		}
	}
	return true
}

// groupPoll is how often is looked whether a killed group is gone.
const groupPoll = 20 * time.Millisecond

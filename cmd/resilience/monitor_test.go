package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
)

// monitor is the monitoring of the system that scripts test: it tells the
// harness when answers begin to be errors and when they end, as Alertmanager
// does, and then runs a command, as somebody would who was woken up.
type monitor struct {
	on      bool
	command string // for the shell, when the alert fires

	mu     sync.Mutex
	firing bool
}

// saw takes in the status of one answer.
func (m *monitor) saw(status int) {
	if !m.on {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if bad := status >= 500; bad != m.firing {
		m.firing = bad
		m.tell(map[bool]string{true: "firing", false: "resolved"}[bad])
	}
}

func (m *monitor) tell(state string) {
	body := fmt.Sprintf(`{"version":"4","receiver":"harness","alerts":[{"status":%q,"labels":{"alertname":"HighErrors"},"fingerprint":"1"}]}`, state)
	resp, err := http.Post(os.Getenv("RESILIENCE_ALERTS_URL"), "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		fmt.Println("monitor:", err)
		return
	}
	resp.Body.Close()
	if state == "firing" && m.command != "" {
		out, err := exec.Command("/bin/sh", "-c", m.command).CombinedOutput()
		fmt.Println("monitor:", string(out), err)
	}
}

package disrupt

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// agentPid finds the process of the agent of a pod if the node is this machine.
func agentPid(t *testing.T, address string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte("agent\x00")) && bytes.Contains(line, []byte("--address\x00"+address+"\x00")) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			require.NoError(t, err)
			return pid
		}
	}
	t.Skip("the node is another machine")
	return 0
}

// podRules are the rules of the network namespace of a pod as iptables-save
// tells them, and the tables of nftables.
func podRules(t *testing.T, namespace string) string {
	t.Helper()
	out, err := exec.Command("nsenter", "--net="+namespace, "iptables-save").CombinedOutput()
	if err != nil {
		t.Skipf("iptables-save: %v: %s", err, out)
	}
	var tables []string
	inNamespaceFile(t, namespace, func() { tables, err = ownTables("") })
	require.NoError(t, err)
	times := regexp.MustCompile(`(?m)^#.*\n`) // of day
	return times.ReplaceAllString(string(out), "") + strings.Join(tables, "\n")
}

// rules are those of all pods of a system, if the node is this machine.
func (c *testCluster) rules(name string) (out []string) {
	c.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	require.NoError(c.t, err)
	for _, p := range c.settled(name, 3) {
		for _, file := range files {
			env, err := os.ReadFile(file)
			if err == nil && bytes.Contains(env, []byte("HOSTNAME="+p.Name+"\x00")) {
				out = append(out, podRules(c.t, filepath.Join(filepath.Dir(file), "ns", "net")))
				break
			}
		}
	}
	return out
}

// TestClusterRules compares the rules of a pod before, during and after, when
// the fault is lifted and when its agent is killed.
func TestClusterRules(t *testing.T) {
	c := newTestCluster(t)
	w := c.callers("shop", 3)
	d := c.disruption(plan.Disruption{Kubernetes: onShop(), AtMost: two(), Error: &plan.Error{}})
	reach, err := d.Prepare(t.Context())
	require.NoError(t, err)
	victim, err := newCluster(c.client, nil, c.namespace).pod(t.Context(), reach.Selected[0])
	require.NoError(t, err)
	// The namespace is held open under a name of our own: the agent's process
	// goes away.
	namespace := filepath.Join(t.TempDir(), "net")
	file, err := os.Open("/proc/" + strconv.Itoa(agentPid(t, victim.address)) + "/ns/net")
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, os.Symlink("/proc/"+strconv.Itoa(os.Getpid())+"/fd/"+strconv.Itoa(int(file.Fd())), namespace))

	before := podRules(t, namespace)
	_, lift := c.inject(d)
	require.NotEqual(t, before, podRules(t, namespace))
	_, err = lift()
	require.NoError(t, err)
	require.Equal(t, before, podRules(t, namespace), "after lifting")

	_, lift = c.inject(d)
	_ = w.during(t, 20)
	require.NotEqual(t, before, podRules(t, namespace))
	require.NoError(t, syscall.Kill(agentPid(t, victim.address), syscall.SIGKILL))
	require.Eventually(t, func() bool { return podRules(t, namespace) == before }, 5*time.Second, 20*time.Millisecond, "after the agent was killed")
	require.Eventually(t, func() bool { return strings.Contains(c.noted(), "ended early in pod "+victim.name) }, 20*time.Second, 50*time.Millisecond)
	touch, err := lift()
	require.NoError(t, err)
	require.Positive(t, touch.Touched)
	_ = w.during(t, 1)
	for pod, calls := range w.during(t, 300) {
		require.Zero(t, calls.failed, "%s after: %s", pod, calls.last)
		require.Less(t, calls.slowest, time.Second, pod)
	}
}

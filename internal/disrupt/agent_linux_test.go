package disrupt

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"resilience/internal/plan"
)

func outage() plan.Disruption { return plan.Disruption{Error: &plan.Error{Status: 503}} }

func TestAgent(t *testing.T) {
	w := newPodWorld(t)
	kept := w.client()
	steady := func() {
		t.Helper()
		got, err := w.call(kept, "/steady")
		require.NoError(t, err)
		require.Equal(t, "200 system /steady", got)
	}
	steady()

	require.Empty(t, w.tell(agentRequest{Op: agentCheck}).Error)
	require.Empty(t, w.tables(), "an idle agent leaves no table")

	// The connection that exists meets the fault too.
	a := w.inject("one", outage(), 0)
	require.Empty(t, a.Error)
	require.Equal(t, StateActive, a.Lease.State)
	require.Len(t, w.tables(), 1)
	for _, c := range []*http.Client{kept, w.client()} {
		got, err := w.call(c, "/")
		require.NoError(t, err)
		require.Equal(t, "503 ", got)
	}

	probe, err := http.NewRequest(http.MethodGet, "http://"+podAddress+":"+strconv.Itoa(podPort)+"/probe", nil)
	require.NoError(t, err)
	probe.Header.Set("User-Agent", "kube-probe/1.34")
	response, err := kept.Do(probe)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 200, response.StatusCode, "probes are let be")

	// Two faults on one port share its proxy.
	a = w.inject("two", plan.Disruption{Latency: &plan.Latency{Delay: plan.Duration(50 * time.Millisecond)}}, 0)
	require.Empty(t, a.Error)
	a = w.tell(agentRequest{Op: agentLift, ID: "one"})
	require.Empty(t, a.Error)
	require.EqualValues(t, 2, a.Lease.Touched)
	began := time.Now()
	steady()
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	require.False(t, w.tell(agentRequest{Op: agentEnd}).Ended, "a fault is in effect")

	// After the last one the system has its port back at once, and nobody
	// waits for a second until a packet is sent again. This machine may make
	// anybody wait as long, but not each time.
	for id, n := "two", 0; ; n++ {
		require.Empty(t, w.tell(agentRequest{Op: agentLift, ID: id}).Error)
		began = time.Now()
		steady()
		if time.Since(began) < time.Second {
			break
		}
		require.Less(t, n, 10, "whoever calls after a fault waits")
		w.noTables()
		id = "again" + strconv.Itoa(n)
		require.Empty(t, w.inject(id, outage(), 0).Error)
	}
	a = w.tell(agentRequest{Op: agentEnd})
	require.Empty(t, a.Error)
	require.True(t, a.Ended)
	require.Empty(t, w.tables())
	require.NoError(t, w.agent.Wait())
	steady()
}

func TestAgentOrdersThatAreWrong(t *testing.T) {
	w := newPodWorld(t)
	for name, r := range map[string]agentRequest{
		"there is no operation":     {Op: "explode"},
		"wants an order":            {Op: agentInject},
		"not the number of a port":  {Op: agentInject, Order: &Order{ID: "x", Proxy: podProxy, Disruption: plan.Disruption{Name: "x", For: 1, Error: &plan.Error{}, Kubernetes: &plan.Kubernetes{Select: map[string]string{"a": "b"}, Port: "http"}}}},
		"there is no proxy \"pot\"": {Op: agentInject, Order: &Order{ID: "x", Proxy: "pot", Disruption: plan.Disruption{Name: "x", For: 1, Error: &plan.Error{}, Kubernetes: &plan.Kubernetes{Select: map[string]string{"a": "b"}, Port: "1"}}}},
		"the fault is gone":         {Op: agentRenew, ID: "never"},
	} {
		require.Contains(t, w.tell(r).Error, name)
	}
	_, err := w.in.Write([]byte("no JSON\n"))
	require.NoError(t, err)
	line, err := w.out.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "not the JSON that is wanted")
}

// TestAgentKilled is the main guarantee: the kernel removes the rules.
func TestAgentKilled(t *testing.T) {
	w := newPodWorld(t)
	require.Empty(t, w.inject("one", outage(), 0).Error)
	require.Empty(t, w.inject("two", plan.Disruption{Drop: &plan.Drop{Ports: []int{9}}}, 0).Error)
	require.Len(t, w.tables(), 2)
	require.NoError(t, w.agent.Process.Kill())
	w.noTables()
	got, err := w.call(w.client(), "/after")
	require.NoError(t, err)
	require.Equal(t, "200 system /after", got)
}

func TestAgentForgotten(t *testing.T) {
	w := newPodWorld(t)
	require.Empty(t, w.inject("one", outage(), 300*time.Millisecond).Error)
	w.noTables()
	a := w.tell(agentRequest{Op: agentRenew, ID: "one"})
	require.True(t, a.Gone)
	require.Equal(t, StateExpired, a.Lease.State)
	got, err := w.call(w.client(), "/after")
	require.NoError(t, err)
	require.Equal(t, "200 system /after", got)
}

func TestAgentTerminated(t *testing.T) {
	w := newPodWorld(t)
	require.Empty(t, w.inject("one", outage(), 0).Error)
	require.NoError(t, w.agent.Process.Signal(syscall.SIGTERM))
	require.NoError(t, w.agent.Wait())
	require.Empty(t, w.tables())
}

func TestAgentLosesPackets(t *testing.T) {
	w := newPodWorld(t)
	require.Empty(t, w.inject("half", plan.Disruption{Share: 0.5, Drop: &plan.Drop{Protocol: "udp", Ports: []int{5353}}}, 0).Error)
	var conn net.Conn
	var err error
	inside(t, w.caller, func() { conn, err = net.Dial("udp", podAddress+":5353") })
	require.NoError(t, err)
	defer conn.Close()
	const sent = 2000
	for range sent {
		_, _ = conn.Write([]byte("x")) // nobody listens, and some writes are told so
	}
	got, err := w.call(w.client(), "/tcp") // is not meant
	require.NoError(t, err)
	require.Equal(t, "200 system /tcp", got)
	a := w.tell(agentRequest{Op: agentLift, ID: "half"})
	require.Empty(t, a.Error)
	require.Equal(t, "packets", a.Lease.Unit)
	require.InDelta(t, sent/2, float64(a.Lease.Matched), sent/2) // writes that fail do not send
	require.InDelta(t, float64(a.Lease.Matched)/2, float64(a.Lease.Touched), 0.1*float64(a.Lease.Matched))
	require.True(t, w.tell(agentRequest{Op: agentEnd}).Ended)
	require.Empty(t, w.tables())

	w.start("agent")
	require.Empty(t, w.inject("all", plan.Disruption{Drop: &plan.Drop{Ports: []int{podPort}}}, 0).Error)
	hasty := w.client()
	hasty.Timeout = 2 * time.Second
	_, err = w.call(hasty, "/")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	a = w.tell(agentRequest{Op: agentLift, ID: "all"})
	require.Positive(t, a.Lease.Touched)
	require.Equal(t, a.Lease.Matched, a.Lease.Touched)
	got, err = w.call(w.client(), "/")
	require.NoError(t, err)
	require.Equal(t, "200 system /", got)
}

func TestAgentWithoutRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root to have rights to give up")
	}
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err = unix.Capset(&header, &none[0]); err == nil {
			_, err = newRuleset(tablePrefix + "nobody")
		}
	}()
	<-done
	require.ErrorContains(t, err, "NET_ADMIN")
}

func TestAgentArguments(t *testing.T) {
	for _, a := range []Agent{{Name: "no good", Idle: time.Second}, {Name: "x"}, {Name: strings.Repeat("x", 64), Idle: time.Second}} {
		require.Error(t, a.Run(t.Context(), strings.NewReader(""), io.Discard))
	}
	var out bytes.Buffer
	require.NoError(t, Agent{Name: "idle", Idle: 10 * time.Millisecond}.Run(t.Context(), strings.NewReader(""), &out))
	require.Empty(t, out.String())
}

package disrupt

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"resilience/internal/plan"
)

// Addresses of the two network namespaces of a test: of a pod and of those who
// call it.
const (
	podAddress    = "10.99.77.2"
	callerAddress = "10.99.77.1"
	podPort       = 8080
	calmPort      = 8081 // the same system, which no fault is about
)

// patientAgent is one that waits for as long as a busy machine may need.
const patientAgent = "patient agent"

// TestInPod is no test: it is what TestAgent runs in the network namespace of
// its pod, a system on a port and an agent on standard input and output.
func TestInPod(t *testing.T) {
	role := os.Getenv("RESILIENCE_TEST_POD")
	if role == "" {
		t.Skip("run by TestAgent")
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	if role == "agent" || role == patientAgent {
		a := Agent{Name: "test", Address: podAddress, Idle: time.Minute}
		if role == patientAgent {
			a.limits = podLimits{reset: patience / 2, linger: usualLimits.linger, rest: patience / 2}
		}
		err := a.Run(ctx, os.Stdin, os.Stdout)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
			<-time.After(wait)
		}
		fmt.Fprint(w, "system ", r.URL.Path)
	})}
	var serving sync.WaitGroup
	for _, port := range []int{podPort, calmPort} {
		listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		require.NoError(t, err)
		serving.Go(func() { _ = server.Serve(listener) })
	}
	fmt.Println("up")
	<-ctx.Done()
	_ = server.Close()
	serving.Wait()
	os.Exit(0)
}

// twoNamespaces makes network namespaces of a pod and its callers that are
// joined by a wire.
func twoNamespaces(t *testing.T) (pod, caller string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces are made with the program ip")
	}
	id := strconv.Itoa(os.Getpid())
	pod, caller = "rpod"+id, "rcall"+id
	steps := []string{
		"netns add " + pod, "netns add " + caller,
		"-n " + pod + " link add eth0 type veth peer name eth0 netns " + caller,
		"-n " + pod + " addr add " + podAddress + "/24 dev eth0", "-n " + caller + " addr add " + callerAddress + "/24 dev eth0",
		"-n " + pod + " link set lo up", "-n " + pod + " link set eth0 up", "-n " + caller + " link set eth0 up",
	}
	t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "del", pod).Run()
		_ = exec.Command("ip", "netns", "del", caller).Run()
	})
	for _, step := range steps {
		if out, err := exec.Command("ip", strings.Fields(step)...).CombinedOutput(); err != nil {
			t.Skipf("no network namespaces here: ip %s: %s", step, out)
		}
	}
	return pod, caller
}

// inside runs something in a network namespace.
func inside(t *testing.T, namespace string, do func()) {
	t.Helper()
	inNamespaceFile(t, "/run/netns/"+namespace, do)
}

func inNamespaceFile(t *testing.T, path string, do func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		file, err := os.Open(path)
		if err == nil {
			defer file.Close()
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			do()
		}
		done <- err
	}()
	require.NoError(t, <-done)
}

// inPod starts this test program in the network namespace of a pod.
func inPod(t *testing.T, namespace, role string) (*exec.Cmd, io.Writer, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", namespace, os.Args[0], "-test.run=^TestInPod$")
	cmd.Env = append(os.Environ(), "RESILIENCE_TEST_POD="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, in, bufio.NewReader(out)
}

// podWorld is a system in a pod, an agent beside it, and somebody who calls.
type podWorld struct {
	t           *testing.T
	pod, caller string
	agent       *exec.Cmd
	in          io.Writer
	out         *bufio.Reader
	seq         int
}

func newPodWorld(t *testing.T) *podWorld { return podWorldOf(t, "agent") }

func podWorldOf(t *testing.T, agent string) *podWorld {
	w := &podWorld{t: t}
	w.pod, w.caller = twoNamespaces(t)
	_, _, up := inPod(t, w.pod, "system")
	_, err := up.ReadString('\n')
	require.NoError(t, err)
	w.start(agent)
	return w
}

func (w *podWorld) start(agent string) { w.agent, w.in, w.out = inPod(w.t, w.pod, agent) }

// client calls from the callers' side and keeps its connections.
func (w *podWorld) client() *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 100, DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		inside(w.t, w.caller, func() { conn, err = (&net.Dialer{Timeout: patience}).DialContext(ctx, network, address) })
		return conn, err
	}}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// call gives the status and the body.
func (w *podWorld) call(c *http.Client, path string) (string, error) {
	return answerOf(c.Get(podURL + path))
}

var (
	podURL  = "http://" + podAddress + ":" + strconv.Itoa(podPort)
	calmURL = "http://" + podAddress + ":" + strconv.Itoa(calmPort)
)

func answerOf(response *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return fmt.Sprint(response.StatusCode, " ", string(body)), err
}

func (w *podWorld) tell(r agentRequest) agentAnswer {
	w.t.Helper()
	w.seq++
	r.Seq = strconv.Itoa(w.seq)
	line, err := json.Marshal(r)
	require.NoError(w.t, err)
	_, err = w.in.Write(append(line, '\n'))
	require.NoError(w.t, err)
	answer, err := w.out.ReadBytes('\n')
	require.NoError(w.t, err)
	var a agentAnswer
	require.NoError(w.t, json.Unmarshal(answer, &a), string(answer))
	require.Equal(w.t, r.Seq, a.Seq)
	return a
}

func (w *podWorld) inject(id string, d plan.Disruption, ttl time.Duration) agentAnswer {
	w.t.Helper()
	d.Name, d.For = id, plan.Duration(time.Minute)
	if d.Drop == nil {
		d.Kubernetes = &plan.Kubernetes{Port: strconv.Itoa(podPort), Select: map[string]string{"pod": "test"}}
	} else {
		d.Kubernetes = &plan.Kubernetes{Select: map[string]string{"pod": "test"}}
	}
	return w.tell(agentRequest{Op: agentInject, Order: &Order{ID: id, Proxy: podProxy, Disruption: d, TTL: ttl}})
}

// tables are all tables of nftables in the pod.
func (w *podWorld) tables() []string {
	w.t.Helper()
	var out []string
	var err error
	inside(w.t, w.pod, func() { out, err = ownTables("") })
	require.NoError(w.t, err)
	return out
}

func (w *podWorld) noTables() {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return len(w.tables()) == 0 }, patience, 10*time.Millisecond)
}

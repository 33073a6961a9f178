package disrupt

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// actAsPod lets this test program be the system and the agent in the pods of a
// cluster, so that one image is enough. Clients of a cluster are cached for
// the life of a process: with one, leaks are not looked for.
func actAsPod(m *testing.M) bool {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "agent":
		os.Exit(agentMain(os.Args[2:]))
	case len(os.Args) > 1 && os.Args[1] == "system":
		os.Exit(systemMain())
	case os.Getenv("RESILIENCE_CLUSTER_TEST") != "":
		os.Exit(m.Run())
	}
	return false
}

// agentMain is the command agent of this program.
func agentMain(args []string) int {
	var a Agent
	flags := flag.NewFlagSet("agent", flag.ExitOnError)
	flags.StringVar(&a.Name, "name", "", "")
	flags.StringVar(&a.Address, "address", "", "")
	flags.DurationVar(&a.Idle, "idle", time.Minute, "")
	_ = flags.Parse(args) // ends the process itself
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := a.Run(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// systemMain serves HTTP on 8080 and gRPC on 9090, and says which pod it is.
func systemMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	host, _ := os.Hostname()
	web := &http.Server{Addr: ":8080", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, host, " ", r.URL.Path)
	})}
	remote := grpc.NewServer()
	healthpb.RegisterHealthServer(remote, health.NewServer())
	reflection.Register(remote)
	listener, err := net.Listen("tcp", ":9090")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _ = remote.Serve(listener) }()
	go func() { _ = web.ListenAndServe() }()
	<-ctx.Done()
	return 0
}

// testCluster is a system with three pods in a namespace of its own on a real
// cluster.
type testCluster struct {
	t         *testing.T
	client    kubernetes.Interface
	namespace string
	image     string // of this program

	mu    sync.Mutex
	notes []string
}

// newTestCluster needs a cluster whose pods can be reached from here: see make
// cluster-test.
func newTestCluster(t *testing.T) *testCluster {
	t.Helper()
	c := newNamespace(t)
	c.system("shop", 3)
	return c
}

// newNamespace is that without a system.
func newNamespace(t *testing.T) *testCluster {
	t.Helper()
	image := os.Getenv("RESILIENCE_CLUSTER_TEST")
	if image == "" {
		t.Skip("needs a cluster: make cluster-test")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	config.QPS, config.Burst = 100, 150
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	c := &testCluster{t: t, client: client, image: image}
	made, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "resilience-test-"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.namespace = made.Name
	t.Cleanup(c.remove)
	return c
}

// remove removes the namespace with all that is in it, and waits until that is
// gone: the next test may look at all pods of a node.
func (c *testCluster) remove() {
	_ = c.client.CoreV1().Namespaces().Delete(context.Background(), c.namespace, metav1.DeleteOptions{})
	require.Eventually(c.t, func() bool {
		list, err := c.client.CoreV1().Pods(c.namespace).List(context.Background(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 0
	}, time.Minute, 100*time.Millisecond, "the pods of %s are gone", c.namespace)
}

// system starts pods that the cluster looks after with probes, and a service in
// front of them.
func (c *testCluster) system(name string, replicas int32) {
	c.t.Helper()
	c.start(name, replicas, &corev1.Probe{
		PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromString("web")}},
	})
}

// start starts pods with a service in front of them.
func (c *testCluster) start(name string, replicas int32, probe *corev1.Probe) {
	c.t.Helper()
	labels, now := map[string]string{"app": name}, int64(1)
	_, err := c.client.AppsV1().Deployments(c.namespace).Create(c.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &now, Containers: []corev1.Container{{
					Name: "system", Image: c.image, ImagePullPolicy: corev1.PullNever, Args: []string{"system"}, ReadinessProbe: probe, LivenessProbe: probe,
					Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}, {Name: "calls", ContainerPort: 9090}},
				}}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	c.service(name, name, corev1.ServicePort{Name: "http", Port: 80, TargetPort: intstr.FromString("web")},
		corev1.ServicePort{Name: "grpc", Port: 81, TargetPort: intstr.FromString("calls")})
	c.settled(name, int(replicas))
}

// service puts one in front of a system, and gives its address.
func (c *testCluster) service(name, of string, ports ...corev1.ServicePort) string {
	c.t.Helper()
	made, err := c.client.CoreV1().Services(c.namespace).Create(c.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": of}, Ports: ports},
	}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	return made.Spec.ClusterIP
}

// address is that of a service.
func (c *testCluster) address(service string) string {
	c.t.Helper()
	found, err := c.client.CoreV1().Services(c.namespace).Get(c.t.Context(), service, metav1.GetOptions{})
	require.NoError(c.t, err)
	return found.Spec.ClusterIP
}

// settled waits until as many pods of a system are ready, no others are left,
// and the cluster itself says so; it gives them.
func (c *testCluster) settled(name string, replicas int) (pods []corev1.Pod) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		list, err := c.client.CoreV1().Pods(c.namespace).List(c.t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil || len(list.Items) != replicas {
			return false
		}
		pods = list.Items
		for _, p := range pods {
			if !stateOf(p).ready {
				return false
			}
		}
		d, err := c.client.AppsV1().Deployments(c.namespace).Get(c.t.Context(), name, metav1.GetOptions{})
		return err == nil && d.Status.ObservedGeneration == d.Generation && int(d.Status.AvailableReplicas) == replicas && int(d.Status.Replicas) == replicas
	}, time.Minute, 100*time.Millisecond, "%d pods of %s", replicas, name)
	return pods
}

// disruption makes one on the cluster.
func (c *testCluster) disruption(d plan.Disruption) Disruption {
	c.t.Helper()
	if d.Name == "" {
		d.Name = "test"
	}
	d.For = plan.Duration(time.Minute)
	d.Kubernetes.Namespace = c.namespace
	if kind, _ := d.Fault(); kubernetesFaults[kind] == nil && d.Kubernetes.Image == "" {
		d.Kubernetes.Image = c.image
	}
	out, err := New(d, c.site())
	require.NoError(c.t, err)
	return out
}

func (c *testCluster) site() Site {
	return Site{Run: c.t.Name() + c.namespace, Seed: 7, Note: func(kind, name string, attrs map[string]string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.notes = append(c.notes, fmt.Sprint(kind, " ", name, " ", attrs["kind"], " ", attrs["detail"]))
	}}
}

func (c *testCluster) noted() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.notes, "\n")
}

// inject puts a disruption into effect; lift gives it 5 s as a run does.
func (c *testCluster) inject(d Disruption) (undo *json.RawMessage, lift func() (measure.Touch, error)) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	undo = new(json.RawMessage)
	end, err := d.Inject(ctx, func(u json.RawMessage) error { *undo = u; return nil })
	require.NoError(c.t, err)
	return undo, func() (measure.Touch, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return end(ctx)
	}
}

// clean verifies that no agent is at work in any pod.
func (c *testCluster) clean(name string) {
	c.t.Helper()
	list, err := c.client.CoreV1().Pods(c.namespace).List(c.t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	require.NoError(c.t, err)
	for _, p := range list.Items {
		for agent, state := range stateOf(p).agents {
			require.True(c.t, state.ended, "agent %s in pod %s", agent, p.Name)
			require.Zero(c.t, state.code, "agent %s in pod %s: %s", agent, p.Name, state.message)
		}
	}
}

// podCallers call every pod by its address, over and over, and count.
type podCallers struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex
	seen map[string]*podCalls // by pod
}

type podCalls struct {
	count, failed int
	slowest       time.Duration
	last          string
}

func (c *testCluster) callers(name string, pods int) *podCallers {
	ctx, cancel := context.WithCancel(context.Background())
	w := &podCallers{stop: cancel, seen: map[string]*podCalls{}}
	for _, p := range c.settled(name, pods) {
		client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
		w.done.Go(func() {
			for ctx.Err() == nil {
				w.call(ctx, client, p.Name, "http://"+p.Status.PodIP+":8080/work")
			}
			client.CloseIdleConnections()
		})
	}
	c.t.Cleanup(func() { cancel(); w.done.Wait() })
	return w
}

func (w *podCallers) call(ctx context.Context, client *http.Client, pod, url string) {
	began := time.Now()
	code, body, err := fetch(ctx, client, url)
	took := time.Since(began)
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	of := w.seen[pod]
	if of == nil {
		of = &podCalls{}
		w.seen[pod] = of
	}
	of.count++
	of.slowest = max(of.slowest, took)
	if err != nil || code != 200 {
		of.failed++
		of.last = fmt.Sprint(code, body, err)
	}
}

func fetch(ctx context.Context, client *http.Client, url string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// during gives what was counted until each pod was called n more times.
func (w *podCallers) during(t *testing.T, n int) map[string]podCalls {
	t.Helper()
	w.mu.Lock()
	w.seen = map[string]*podCalls{}
	w.mu.Unlock()
	var out map[string]podCalls
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		out = map[string]podCalls{}
		for pod, c := range w.seen {
			if c.count >= n {
				out[pod] = *c
			}
		}
		return len(out) == 3
	}, time.Minute, 20*time.Millisecond, "all pods answer")
	return out
}

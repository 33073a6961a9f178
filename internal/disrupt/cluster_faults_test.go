package disrupt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

func onShop() *plan.Kubernetes {
	return &plan.Kubernetes{Select: map[string]string{"app": "shop"}, Port: "web"}
}

func two() *plan.Amount { return &plan.Amount{Number: 2} }

func TestClusterHTTP(t *testing.T) {
	c := newTestCluster(t)
	w := c.callers("shop", 3)
	d := c.disruption(plan.Disruption{Kubernetes: onShop(), AtMost: two(), Error: &plan.Error{Status: 418 + 30}})
	reach, err := d.Prepare(t.Context())
	require.NoError(t, err)
	require.Len(t, reach.Of, 3)
	require.Len(t, reach.Selected, 2)
	for pod, calls := range w.during(t, 200) {
		require.Zero(t, calls.failed, "%s before: %s", pod, calls.last)
	}
	for round := range 2 {
		undo, lift := c.inject(d)
		require.Contains(t, string(*undo), reach.Selected[0])
		_ = w.during(t, 1) // requests that were under way
		for pod, calls := range w.during(t, 200) {
			if pod == reach.Selected[0] || pod == reach.Selected[1] {
				require.Equal(t, calls.count, calls.failed, pod)
				require.Contains(t, calls.last, "448")
			} else {
				require.Zero(t, calls.failed, "%s is not meant", pod)
			}
		}
		began := time.Now()
		touch, err := lift()
		t.Logf("round %d: lifted in %s: %+v", round, time.Since(began), touch)
		require.NoError(t, err)
		require.GreaterOrEqual(t, touch.Touched, uint64(400))
		require.Equal(t, reach.Selected, touch.Names)
		again, err := lift()
		require.NoError(t, err)
		require.Equal(t, touch, again)
		c.clean("shop")
		for pod, calls := range w.during(t, 500) {
			require.Zero(t, calls.failed, "%s after: %s", pod, calls.last)
			require.Less(t, calls.slowest, time.Second, pod)
		}
		require.NoError(t, Undo(t.Context(), d.(*agents).plan, *undo, c.site()), "undoing what is gone")
	}
	for _, p := range c.settled("shop", 3) {
		require.Zero(t, stateOf(p).restarts, "probes are let be")
	}
}

func TestClusterGRPC(t *testing.T) {
	c := newTestCluster(t)
	service, err := c.client.CoreV1().Services(c.namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	require.NoError(t, err)
	conn, err := grpc.NewClient(net.JoinHostPort(service.Spec.ClusterIP, "81"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	check := func() (codes.Code, time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
		return status.Code(err), time.Since(began)
	}
	code, _ := check()
	require.Equal(t, codes.OK, code)
	d := c.disruption(plan.Disruption{
		Kubernetes: &plan.Kubernetes{Service: "shop", Port: "grpc", Protocol: "grpc"}, AtMost: &plan.Amount{Share: 1},
		Error: &plan.Error{GRPC: "RESOURCE_EXHAUSTED", Message: "no more"},
	})
	_, err = d.Prepare(t.Context())
	require.NoError(t, err)
	_, lift := c.inject(d)
	for range 50 {
		if code, _ = check(); code != codes.Unavailable { // the connection that was reset
			require.Equal(t, codes.ResourceExhausted, code)
		}
	}
	code, _ = check()
	require.Equal(t, codes.ResourceExhausted, code)
	touch, err := lift()
	require.NoError(t, err)
	require.GreaterOrEqual(t, touch.Touched, uint64(50))
	c.clean("shop")
	for range 100 {
		code, took := check()
		require.Equal(t, codes.OK, code)
		require.Less(t, took, time.Second)
	}
}

func TestClusterDrop(t *testing.T) {
	c := newTestCluster(t)
	w := c.callers("shop", 3)
	d := c.disruption(plan.Disruption{Kubernetes: onShop(), AtMost: two(), Share: 0.2, Drop: &plan.Drop{Protocol: "tcp", Ports: []int{8080}}})
	reach, err := d.Prepare(t.Context())
	require.NoError(t, err)
	_, lift := c.inject(d)
	for pod, calls := range w.during(t, 50) {
		hurt := pod == reach.Selected[0] || pod == reach.Selected[1]
		require.Equal(t, hurt, calls.slowest > 150*time.Millisecond, "%s: lost packets are sent again after 200 ms: %s", pod, calls.slowest)
	}
	touch, err := lift()
	require.NoError(t, err)
	t.Logf("%+v", touch)
	require.Equal(t, "packets", touch.Unit)
	require.InDelta(t, 0.2, float64(touch.Touched)/float64(touch.Matched), 0.1)
	c.clean("shop")
	_ = w.during(t, 3) // what was lost is sent again
	for pod, calls := range w.during(t, 500) {
		require.Zero(t, calls.failed, pod)
		require.Less(t, calls.slowest, time.Second, pod)
	}
}

func TestClusterKill(t *testing.T) {
	c := newTestCluster(t)
	d := c.disruption(plan.Disruption{Kubernetes: onShop(), AtMost: two(), Kill: &plan.Kill{}})
	reach, err := d.Prepare(t.Context())
	require.NoError(t, err)
	_, lift := c.inject(d)
	for _, p := range c.settled("shop", 3) { // which a busy cluster may need longer for than lifting has
		require.NotContains(t, reach.Selected, p.Name)
	}
	touch, err := lift()
	require.NoError(t, err)
	require.Equal(t, measure.Touch{Matched: 2, Touched: 2, Unit: "pods", Names: reach.Selected}, touch)
}

func TestClusterRestart(t *testing.T) {
	c := newTestCluster(t)
	before := c.settled("shop", 3)
	d := c.disruption(plan.Disruption{Kubernetes: &plan.Kubernetes{Workload: "deployment/shop"}, Restart: &plan.Restart{}})
	_, err := d.Prepare(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lift, err := d.Inject(ctx, nil)
	require.NoError(t, err)
	_, err = d.Prepare(ctx)
	require.ErrorContains(t, err, "in the middle of another rollout")
	touch, err := lift(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, touch.Touched)
	require.Contains(t, touch.Names, before[0].Name)
}

func TestClusterScale(t *testing.T) {
	c := newTestCluster(t)
	of := func(to int) Disruption {
		return c.disruption(plan.Disruption{Kubernetes: &plan.Kubernetes{Workload: "deployment/shop"}, Scale: &plan.Scale{To: to}})
	}
	_, err := of(0).Prepare(t.Context())
	require.ErrorContains(t, err, "at_most: all")
	_, err = of(3).Prepare(t.Context())
	require.ErrorContains(t, err, "3 replicas already")
	d := of(1)
	_, err = d.Prepare(t.Context())
	require.NoError(t, err)
	undo, lift := c.inject(d)
	c.settled("shop", 1)
	touch, err := lift()
	require.NoError(t, err)
	require.EqualValues(t, 2, touch.Touched)
	require.EqualValues(t, 2, touch.Matched, "the third was not meant")
	c.settled("shop", 3)
	require.NoError(t, Undo(t.Context(), d.(*scaling).plan, *undo, c.site()), "undoing what is gone")

	_, lift = c.inject(d) // and somebody else meanwhile
	_, _, err = newCluster(c.client, nil, c.namespace).scale(t.Context(), kindDeployment, "shop", 1, 2)
	require.NoError(t, err)
	_, err = lift()
	require.NoError(t, err)
	require.Contains(t, c.noted(), "because of somebody else")
	c.settled("shop", 2)
}

func TestClusterDrain(t *testing.T) {
	c := newTestCluster(t)
	node := c.settled("shop", 3)[0].Spec.NodeName
	one := intstr.FromInt32(1)
	_, err := c.client.PolicyV1().PodDisruptionBudgets(c.namespace).Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "shop"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		b, err := c.client.PolicyV1().PodDisruptionBudgets(c.namespace).Get(t.Context(), "shop", metav1.GetOptions{})
		return err == nil && b.Status.DisruptionsAllowed == 1
	}, 30*time.Second, 100*time.Millisecond)
	on := plan.Disruption{Kubernetes: &plan.Kubernetes{Node: node}, Drain: &plan.Drain{}}
	_, err = c.disruption(on).Prepare(t.Context())
	require.ErrorContains(t, err, "the only one")
	on.AtMost = &plan.Amount{Share: 1}
	d := c.disruption(on)
	_, err = d.Prepare(t.Context())
	require.NoError(t, err)
	undo, lift := c.inject(d)
	require.Contains(t, string(*undo), node)
	open := func() bool {
		all, err := newCluster(c.client, nil, "").nodes(t.Context())
		require.NoError(t, err)
		return all[node]
	}
	require.False(t, open())
	touch, err := lift()
	require.NoError(t, err)
	require.True(t, open())
	require.EqualValues(t, 1, touch.Touched, "the budget lets one go: %v", touch.Names)
	require.EqualValues(t, 1, touch.Matched, "which is all that it may")
	require.Contains(t, c.noted(), "had not left node "+node)
	c.settled("shop", 3)
}

// TestClusterPodGoes: the fault ends early, which is noted, and lifting is
// sure of it.
func TestClusterPodGoes(t *testing.T) {
	c := newTestCluster(t)
	w := c.callers("shop", 3)
	d := c.disruption(plan.Disruption{Kubernetes: onShop(), AtMost: two(), Error: &plan.Error{}})
	reach, err := d.Prepare(t.Context())
	require.NoError(t, err)
	_, lift := c.inject(d)
	_ = w.during(t, 50)
	none := int64(0)
	require.NoError(t, c.client.CoreV1().Pods(c.namespace).Delete(t.Context(), reach.Selected[0], metav1.DeleteOptions{GracePeriodSeconds: &none}))
	require.Eventually(t, func() bool { return strings.Contains(c.noted(), "ended early in pod "+reach.Selected[0]) }, 20*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(c.noted(), "change "+reach.Selected[0]) }, 20*time.Second, 50*time.Millisecond)
	touch, err := lift()
	require.NoError(t, err)
	require.Positive(t, touch.Touched)
	c.settled("shop", 3)
	c.clean("shop")
}

func TestClusterUndo(t *testing.T) {
	c := newTestCluster(t)
	w := c.callers("shop", 3)
	d := c.disruption(plan.Disruption{Kubernetes: onShop(), AtMost: two(), Error: &plan.Error{}})
	_, err := d.Prepare(t.Context())
	require.NoError(t, err)
	undo, lift := c.inject(d)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, Undo(ctx, d.(*agents).plan, *undo, c.site()))
	c.clean("shop")
	for pod, calls := range w.during(t, 100) {
		require.Zero(t, calls.failed, pod)
	}
	_, err = lift()
	require.NoError(t, err)
}

// TestClusterUnreachable: the API server is gone in the middle. Lifting says
// that it could not be confirmed, and the agents end the fault by themselves.
func TestClusterUnreachable(t *testing.T) {
	c := newTestCluster(t)
	w := c.callers("shop", 3)
	d := c.disruption(plan.Disruption{Kubernetes: onShop(), AtMost: two(), Error: &plan.Error{}})
	_, err := d.Prepare(t.Context())
	require.NoError(t, err)
	undo, lift := c.inject(d)
	server := os.Getenv("RESILIENCE_CLUSTER_API_PID")
	if server == "" {
		t.Skip("RESILIENCE_CLUSTER_API_PID is not given: the process of the API server")
	}
	var pid int
	_, err = fmt.Sscan(server, &pid)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	stopped := time.Now()
	awake := sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	defer awake()
	began := time.Now()
	_, err = lift()
	require.ErrorContains(t, err, "could not be confirmed")
	require.Less(t, time.Since(began), 7*time.Second)
	require.Eventually(t, func() bool {
		for _, calls := range w.during(t, 20) {
			if calls.failed > 0 {
				return false
			}
		}
		return true
	}, DefaultTTL+10*time.Second, 100*time.Millisecond)
	t.Logf("the fault ended %s after the API server was stopped", time.Since(stopped))
	awake()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return Undo(ctx, d.(*agents).plan, *undo, c.site()) == nil
	}, time.Minute, time.Second)
	require.Eventually(t, func() bool {
		list, err := c.client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 3
	}, time.Minute, 100*time.Millisecond)
	c.clean("shop")
}

func TestClusterMisuse(t *testing.T) {
	c := newTestCluster(t)
	prepare := func(d plan.Disruption) error {
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		d.Error = &plan.Error{}
		_, err := c.disruption(d).Prepare(ctx)
		return err
	}
	on := func(k plan.Kubernetes) plan.Disruption { return plan.Disruption{Kubernetes: &k} }
	nobody := map[string]string{"app": "nobody"}
	shop := map[string]string{"app": "shop"}
	require.ErrorContains(t, prepare(on(plan.Kubernetes{Select: nobody, Port: "web"})), "no pod in namespace "+c.namespace+" has the labels app=nobody")
	require.ErrorContains(t, prepare(on(plan.Kubernetes{Select: shop, Port: "8081"})), "has the port 8081")
	require.ErrorContains(t, prepare(on(plan.Kubernetes{Select: shop})), "has 2 ports")
	require.ErrorContains(t, prepare(on(plan.Kubernetes{Select: shop, Port: "admin"})), `no port named "admin"`)
	require.ErrorContains(t, prepare(on(plan.Kubernetes{Service: "shop", Port: "443"})), `no port "443": it has http 80, grpc 81`)
	require.ErrorContains(t, prepare(on(plan.Kubernetes{Service: "store"})), "does not exist")
	all := on(plan.Kubernetes{Select: shop, Port: "web"})
	all.AtMost = &plan.Amount{Number: 3}
	require.ErrorContains(t, prepare(all), "at_most: all")
	err := prepare(on(plan.Kubernetes{Select: shop, Port: "web", Image: "localhost:1/no-such-image:1"}))
	require.ErrorContains(t, err, "can not start (ErrImagePull)")
	require.ErrorContains(t, err, "no-such-image")
}

func TestClusterRights(t *testing.T) {
	c := newTestCluster(t)
	_, err := c.client.RbacV1().Roles(c.namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "look"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "get"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = c.client.RbacV1().RoleBindings(c.namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "look"}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "look"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "looker"}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	d := c.disruption(plan.Disruption{Kubernetes: onShop(), Error: &plan.Error{}})
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	config.Impersonate.UserName = "looker"
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	d.(*agents).api = newCluster(client, config, c.namespace)
	_, err = d.Prepare(t.Context())
	require.ErrorContains(t, err, "patch pods/ephemeralcontainers in namespace "+c.namespace)
	require.ErrorContains(t, err, "create pods/attach in namespace "+c.namespace)
	require.NotContains(t, err.Error(), "list pods")
	require.False(t, errors.Is(err, errNotThere))
}

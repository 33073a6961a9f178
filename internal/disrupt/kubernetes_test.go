package disrupt

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"resilience/internal/plan"
)

// fakePod is a pod as an API server would tell of it.
func fakePod(name string, ready bool, ports ...corev1.ContainerPort) *corev1.Pod {
	condition := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
	if ready {
		condition.Status = corev1.ConditionTrue
	}
	controller := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "beta", UID: "uid-" + "x", Labels: map[string]string{"app": "shop"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "shop-1", Controller: &controller}},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Ports: ports}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{condition}},
	}
}

func onFake(d plan.Disruption, objects ...runtime.Object) (onCluster, *fake.Clientset) {
	client := fake.NewSimpleClientset(objects...) //nolint:staticcheck // serves
	d.Name = "test"
	return onCluster{
		plan: d, on: *d.Kubernetes, api: newCluster(client, nil, "beta"),
		site: Site{Seed: 1, Note: func(string, string, map[string]string) {}},
	}, client
}

func TestPickPods(t *testing.T) {
	web := corev1.ContainerPort{Name: "web", ContainerPort: 8080}
	pods := []runtime.Object{fakePod("a", true, web), fakePod("b", true, web), fakePod("c", true, web), fakePod("sick", false, web)}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "beta"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop"}, Ports: []corev1.ServicePort{
			{Name: "http", Port: 80, TargetPort: intstr.FromString("web")}, {Name: "same", Port: 9000}, {Name: "grpc", Port: 81, TargetPort: intstr.FromInt32(8080)},
		}},
	}
	everywhere := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "external", Namespace: "beta"}}
	objects := append([]runtime.Object{service, everywhere}, pods...)

	o, _ := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{Service: "shop", Port: "80"}}, objects...)
	chosen, reach, s, err := o.pick(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, reach.Of, "only those that are ready")
	require.Len(t, chosen, 2, "never all")
	for port, want := range map[string]int{"80": 8080, "http": 8080, "81": 8080, "grpc": 8080} {
		o.on.Port = port
		got, err := o.portOf(chosen[0], s)
		require.NoError(t, err, port)
		require.Equal(t, want, got, port)
	}
	o.on.Port = "same"
	_, err = o.portOf(chosen[0], s)
	require.ErrorContains(t, err, "no container of pod "+chosen[0].name+" has the port 9000")

	for name, k := range map[string]plan.Kubernetes{
		"has no selector":                    {Service: "external"},
		"does not exist":                     {Service: "stop"},
		"has the labels app=nobody":          {Select: map[string]string{"app": "nobody"}},
		"says nothing about which pods":      {},
		"workload \"job/shop\" is not one":   {Workload: "job/shop"},
		"none of the 1 pods that are select": {Select: map[string]string{"app": "sick"}},
	} {
		sick := fakePod("other", false)
		sick.Labels = map[string]string{"app": "sick"}
		o, _ := onFake(plan.Disruption{Kubernetes: &k}, append(objects, sick)...)
		_, _, _, err := o.pick(t.Context())
		require.ErrorContains(t, err, name)
	}
}

func TestRightsThatAreMissing(t *testing.T) {
	o, client := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{Select: map[string]string{"app": "shop"}}, Kill: &plan.Kill{}}, fakePod("a", true), fakePod("b", true))
	client.PrependReactor("create", "selfsubjectaccessreviews", func(a k8stesting.Action) (bool, runtime.Object, error) {
		review := a.(k8stesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
		review.Status.Allowed = review.Spec.ResourceAttributes.Verb != "delete"
		return true, review, nil
	})
	kill, err := newPodKill(o)
	require.NoError(t, err)
	_, err = kill.Prepare(t.Context())
	require.EqualError(t, err, "this account lacks rights (RBAC): it must be allowed to delete pods in namespace beta")
}

func TestKillSparesWhatNothingStarts(t *testing.T) {
	alone := fakePod("a", true)
	alone.OwnerReferences = nil
	o, client := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{Select: map[string]string{"app": "shop"}}, Kill: &plan.Kill{}, AtMost: &plan.Amount{Share: 1}}, alone)
	kill, err := newPodKill(o)
	require.NoError(t, err)
	_, err = kill.Inject(t.Context(), nil)
	require.ErrorContains(t, err, "belongs to no workload")
	for _, a := range client.Actions() {
		require.NotEqual(t, "delete", a.GetVerb())
	}
}

func TestImageThatCannotBePulled(t *testing.T) {
	p := fakePod("a", true)
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "resilience-x-1"}}}
	p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{
		Name: "resilience-x-1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"}},
	}}
	o, _ := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{}}, p)
	require.EqualError(t, startedAgent(t.Context(), o.api, stateOf(*p), "resilience-x-1"), "it can not start (ImagePullBackOff): not found")
	p.Status.EphemeralContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "this kernel has no nftables\n"}}
	o, _ = onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{}}, p)
	require.EqualError(t, startedAgent(t.Context(), o.api, stateOf(*p), "resilience-x-1"), "it ended with code 1 (Error): this kernel has no nftables")
}

func TestChangesOfPods(t *testing.T) {
	pod := func(name, uid, owner string, restarts int) podState {
		return podState{name: name, uid: uid, owner: owner, restarts: restarts}
	}
	before := snapshotOf([]podState{pod("a", "1", "rs/x", 0), pod("b", "2", "rs/x", 1)})
	require.Empty(t, before.changes([]podState{pod("a", "1", "rs/x", 0), pod("b", "2", "rs/x", 1)}))
	require.Empty(t, snapshot(nil).changes([]podState{pod("a", "1", "rs/x", 0)}), "nothing is known at first")
	require.Equal(t, []change{{"b", "restart", "its containers restarted: 2 times"}},
		before.changes([]podState{pod("a", "1", "rs/x", 0), pod("b", "2", "rs/x", 3)}))
	require.Equal(t, []change{{"b", "restart", "the pod is gone"}},
		before.changes([]podState{pod("a", "1", "rs/x", 0), pod("c", "3", "rs/x", 0)}))
	require.Equal(t, []change{{"rs/x", "scale", "1 pods more than before"}},
		before.changes([]podState{pod("a", "1", "rs/x", 0), pod("b", "2", "rs/x", 1), pod("c", "3", "rs/x", 0)}))
	require.Equal(t, []change{{"c", "rollout", "a pod of rs/y appeared"}},
		before.changes([]podState{pod("a", "1", "rs/x", 0), pod("b", "2", "rs/x", 1), pod("c", "3", "rs/y", 0)}))
}

func TestRolloutSettles(t *testing.T) {
	done := workloadState{observed: true, replicas: 3, present: 3, updated: 3, available: 3}
	_, settled := done.settled()
	require.True(t, settled)
	for want, change := range map[string]func(*workloadState){
		"has not seen":      func(w *workloadState) { w.observed = false },
		"2 of 3 pods are":   func(w *workloadState) { w.updated = 2 },
		"1 old pods":        func(w *workloadState) { w.present = 4 },
		"1 of 3 new pods a": func(w *workloadState) { w.available = 1 },
	} {
		w := done
		change(&w)
		status, settled := w.settled()
		require.False(t, settled)
		require.Contains(t, status, want)
	}
}

// pipe is two ends of a connection.
type pipe struct {
	io.Reader
	io.WriteCloser
}

// TestLinkConnectsAgain: an order whose connection breaks is given again.
func TestLinkConnectsAgain(t *testing.T) {
	opened := 0
	l := &link{open: func(context.Context) (io.ReadWriteCloser, error) {
		opened++
		if opened == 1 {
			return nil, errors.New("no route")
		}
		in, orders := io.Pipe()
		answers, out := io.Pipe()
		breaks := opened == 2
		go func() {
			defer out.Close()
			for lines := bufio.NewScanner(in); lines.Scan(); {
				var r agentRequest
				if json.Unmarshal(lines.Bytes(), &r) != nil {
					continue
				}
				if breaks {
					return
				}
				_, _ = io.WriteString(out, "not an answer\n"+`{"seq":"of somebody else"}`+"\n")
				_ = json.NewEncoder(out).Encode(agentAnswer{Seq: r.Seq, Ended: true})
			}
		}()
		return pipe{answers, orders}, nil
	}}
	defer l.close()
	answer, err := l.ask(t.Context(), agentRequest{Op: agentEnd})
	require.NoError(t, err)
	require.True(t, answer.Ended)
	require.Equal(t, 3, opened)
}

func TestLinkGivesUp(t *testing.T) {
	l := &link{open: func(context.Context) (io.ReadWriteCloser, error) { return nil, errors.New("no route") }}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := l.ask(ctx, agentRequest{Op: agentLift})
	require.ErrorContains(t, err, "no route")
}

// What is never answered is not waited for any longer.
func TestConversationForgetsWhatIsNotAnswered(t *testing.T) {
	stream, err := answering(func(r agentRequest) agentAnswer { return agentAnswer{} })(t.Context())
	require.NoError(t, err)
	defer stream.Close()
	c := &conversation{stream: stream, ended: make(chan struct{}), waiting: map[string]chan agentAnswer{}} // nobody reads
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.ask(ctx, agentRequest{Op: agentCheck})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, c.waiting)
}

func TestSplitWorkload(t *testing.T) {
	for text, want := range map[string]string{"deploy/shop": "deployment shop", "sts/db": "statefulset db", "DaemonSet/log": "daemonset log"} {
		kind, name, err := splitWorkload(text)
		require.NoError(t, err)
		require.Equal(t, want, kind+" "+name)
	}
	for _, text := range []string{"", "shop", "deployment/", "job/x"} {
		_, _, err := splitWorkload(text)
		require.Error(t, err, text)
	}
}

func TestUndoOfWhatCannotBeRead(t *testing.T) {
	o, _ := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{Workload: "deploy/x"}})
	for _, undo := range []func(context.Context, onCluster, json.RawMessage) error{undoAgents, undoScaling, undoDraining} {
		require.ErrorContains(t, undo(t.Context(), o, json.RawMessage(strings.Repeat("x", 3))), "can not be read")
	}
}

// Which cluster a plan means may be left to a kubeconfig: one that serves users
// is not disrupted by accident, and what is in effect there is lifted all the
// same.
func TestAKubeconfigThatLeadsToProduction(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	for name, tt := range map[string]struct{ context, cluster, spared string }{
		"a test cluster":      {"beta", "shop-beta", ""},
		"the current context": {"eu-prod", "shop", "the context eu-prod says"},
		"its cluster":         {"mine", "shop-live1", "the context shop-live1 says"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: %[1]q,
contexts: [{name: %[1]q, context: {cluster: %[2]q, user: me}}], clusters: [{name: %[2]q, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: me, user: {}}]}`,
				tt.context, tt.cluster), 0o600))
			d := plan.Disruption{Name: "d", Kubernetes: &plan.Kubernetes{Kubeconfig: config, Workload: "deployment/shop"}, Scale: &plan.Scale{To: 1}}
			asked := 0
			s := Site{Spares: func(d plan.Disruption) error {
				asked++
				return plan.Phase{Name: "beta"}.SparesUsers(d, "")
			}}
			_, err := New(d, s)
			require.Positive(t, asked)
			if tt.spared == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.spared)
			require.ErrorAs(t, err, new(*plan.Misfit), "the plan has to say more")
			undone, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			require.NotContains(t, Undo(undone, d, []byte(`{"from":2,"to":1}`), s).Error(), "users")
		})
	}
}

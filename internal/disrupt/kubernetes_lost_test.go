package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

var errLost = errors.New("the answer was lost")

// shopOf is a workload with as many pods that are ready.
func shopOf(replicas int32) (out []runtime.Object) {
	labels := map[string]string{"app": "shop"}
	out = append(out, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "beta"},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}},
		Status:     appsv1.DeploymentStatus{Replicas: replicas, UpdatedReplicas: replicas, AvailableReplicas: replicas},
	})
	for n := range replicas {
		p := fakePod(fmt.Sprint("p", n), true)
		p.UID = types.UID(p.Name)
		out = append(out, p)
	}
	return out
}

// scalable is a cluster whose workload can be scaled.
type scalable struct {
	onCluster
	replicas int32
	updates  int
	notes    []string
	lost     func(update bool) bool // whether a call is done and its answer lost
	deaf     func() bool            // whether no call arrives
}

func newScalable(to int) *scalable {
	s := &scalable{replicas: 3, lost: func(bool) bool { return false }, deaf: func() bool { return false }}
	o, client := onFake(plan.Disruption{
		Kubernetes: &plan.Kubernetes{Workload: "deploy/shop"}, Scale: &plan.Scale{To: to}, AtMost: &plan.Amount{Share: 1},
	}, shopOf(3)...)
	o.site.Note = func(_, _ string, attrs map[string]string) { s.notes = append(s.notes, attrs["detail"]) }
	s.onCluster = o
	client.PrependReactor("*", "*", func(a k8stesting.Action) (bool, runtime.Object, error) {
		if s.deaf() {
			return true, nil, errLost
		}
		if a.GetSubresource() != "scale" {
			return false, nil, nil
		}
		update, is := a.(k8stesting.UpdateAction)
		if is {
			s.updates++
			s.replicas = update.GetObject().(*autoscalingv1.Scale).Spec.Replicas
		}
		if s.lost(is) {
			return true, nil, errLost
		}
		return true, &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: s.replicas}}, nil
	})
	return s
}

// An answer that is lost does not leave a workload scaled.
func TestScaleWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScalable(1)
		s.lost = func(update bool) bool { return update && s.updates == 1 }
		kept := 0
		_, err := (&scaling{s.onCluster}).Inject(t.Context(), func(json.RawMessage) error { kept++; return nil })
		require.ErrorIs(t, err, errLost)
		require.Equal(t, 1, kept)
		require.EqualValues(t, 3, s.replicas, "changed back")
		require.Equal(t, 2, s.updates)
	})
}

// What could not be changed back at once can be undone from what was kept.
func TestScaleThatIsUndoneLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScalable(1)
		s.lost, s.deaf = func(update bool) bool { return update }, func() bool { return s.updates > 0 }
		var kept json.RawMessage
		_, err := (&scaling{s.onCluster}).Inject(t.Context(), func(undo json.RawMessage) error { kept = undo; return nil })
		require.ErrorContains(t, err, "may still have 1 replicas instead of 3")
		require.EqualValues(t, 1, s.replicas)
		s.lost, s.deaf = func(bool) bool { return false }, func() bool { return false }
		for range 2 {
			require.NoError(t, undoScaling(t.Context(), s.onCluster, kept))
			require.EqualValues(t, 3, s.replicas)
		}
		require.Empty(t, s.notes)
	})
}

// A cluster that does not answer is no proof that all pods are gone.
func TestScaleToNothingWantsProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScalable(0)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		s.deaf = func() bool { return s.updates == 1 && time.Since(start) < 10*time.Second }
		_, err := (&scaling{s.onCluster}).Inject(ctx, func(json.RawMessage) error { return nil })
		require.ErrorContains(t, err, "was scaled, and nothing happened")
		require.EqualValues(t, 3, s.replicas)
	})
}

// The proof is that the cluster says that there are none.
func TestScaleToNothing(t *testing.T) {
	s := newScalable(0)
	for _, name := range []string{"p0", "p1", "p2"} {
		require.NoError(t, s.api.client.CoreV1().Pods("beta").Delete(t.Context(), name, metav1.DeleteOptions{}))
	}
	_, _, err := s.everyone(t.Context())
	require.ErrorIs(t, err, errNoPod)
}

// A pod that is not seen to go leaves nothing to lift: only the proof is
// missing.
func TestKillThatIsNotSeen(t *testing.T) {
	o, client := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{Select: map[string]string{"app": "shop"}}, Kill: &plan.Kill{}, AtMost: &plan.Amount{Share: 1}}, shopOf(2)...)
	var notes []string
	o.site.Note = func(_, _ string, attrs map[string]string) { notes = append(notes, attrs["detail"]) }
	client.PrependReactor("delete", "pods", func(a k8stesting.Action) (bool, runtime.Object, error) {
		return a.(k8stesting.DeleteAction).GetName() == "p0", nil, nil // takes its time
	})
	lift, err := (&podKill{o}).Inject(t.Context(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	touch, err := lift(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, touch.Matched)
	require.Equal(t, []string{"p1"}, touch.Names)
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "pod p0 was deleted, but it was not seen to go")
}

func TestRolloutThatIsNotSeen(t *testing.T) {
	o, client := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{Workload: "deploy/shop"}, Restart: &plan.Restart{}}, shopOf(2)...)
	var notes []string
	o.site.Note = func(_, _ string, attrs map[string]string) { notes = append(notes, attrs["detail"]) }
	lift, err := (&podRollout{o}).Inject(t.Context(), nil)
	require.NoError(t, err)
	d, err := client.AppsV1().Deployments("beta").Get(t.Context(), "shop", metav1.GetOptions{})
	require.NoError(t, err)
	d.Status.UpdatedReplicas = 1
	_, err = client.AppsV1().Deployments("beta").UpdateStatus(t.Context(), d, metav1.UpdateOptions{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	touch, err := lift(ctx)
	require.NoError(t, err)
	require.Zero(t, touch.Touched)
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "is not seen to be complete (1 of 2 pods are new)")
}

// A node is opened when nobody is told to leave any more, and soon in any case:
// it must not stay closed because a budget makes an eviction wait.
func TestEvictionIsWaitedForNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		e := &eviction{cancel: cancel, done: make(chan struct{})}
		go func() {
			<-ctx.Done()
			<-time.After(4 * time.Second)
			close(e.done)
		}()
		start := time.Now()
		short, stop := context.WithTimeout(t.Context(), time.Second/2)
		defer stop()
		e.end(short)
		require.Equal(t, time.Second/2, time.Since(start))
		e.end(t.Context())
		require.Equal(t, time.Second/2+lastEvictions, time.Since(start))
		<-e.done
		e.end(t.Context())
		require.Equal(t, 4*time.Second, time.Since(start))
	})
}

// A drain that could not begin, and could not be taken back, is undone from
// what was kept.
func TestDrainThatIsUndoneLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := fakePod("p0", true)
		pod.Spec.NodeName = "n1"
		o, client := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{Node: "n1"}, Drain: &plan.Drain{}}, pod,
			&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}})
		broken := true
		closed := func() bool {
			n, err := client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
			require.NoError(t, err)
			return n.Spec.Unschedulable
		}
		patched := false
		client.PrependReactor("patch", "nodes", func(a k8stesting.Action) (bool, runtime.Object, error) {
			if !broken {
				return false, nil, nil
			}
			if !patched { // done, and the answer lost
				patched = true
				_, _, _ = k8stesting.ObjectReaction(client.Tracker())(a)
			}
			return true, nil, errLost
		})
		var kept json.RawMessage
		_, err := (&draining{o}).Inject(t.Context(), func(undo json.RawMessage) error { kept = undo; return nil })
		require.ErrorContains(t, err, "may still be closed for pods")
		require.True(t, closed())
		broken = false
		for range 2 {
			require.NoError(t, undoDraining(t.Context(), o, kept))
			require.False(t, closed())
		}
	})
}

// Agents that refuse an order and can not be asked to take it back are lifted
// from what was kept, which was before the first order.
func TestAgentsThatAreUndoneLater(t *testing.T) {
	o, client := onFake(plan.Disruption{
		Kubernetes: &plan.Kubernetes{Select: map[string]string{"app": "shop"}, Port: "8080", Image: "x"}, Error: &plan.Error{}, AtMost: &plan.Amount{Share: 1},
	}, shopOf(2)...)
	made, err := newAgents(o)
	require.NoError(t, err)
	a := made.(*agents)
	var kept json.RawMessage
	for _, name := range []string{"p0", "p1"} {
		a.ready[name] = &attached{api: o.api, pod: podState{name: name, uid: name}, container: "agent", port: 8080, link: &link{open: answering(func(r agentRequest) agentAnswer {
			switch {
			case r.Op == agentInject && len(kept) == 0:
				return agentAnswer{Error: "nothing was kept before"}
			case r.Op == agentInject && name == "p1", r.Op == agentLift:
				return agentAnswer{Error: "no rules can be made"}
			}
			return agentAnswer{}
		})}}
	}
	_, err = a.Inject(t.Context(), func(undo json.RawMessage) error { kept = slices.Clone(undo); return nil })
	require.ErrorContains(t, err, "pod p1: no rules can be made")
	require.ErrorContains(t, err, "pod p0: no rules can be made", "it could not be lifted there")
	require.Contains(t, string(kept), `"pod":"p0"`)
	for _, name := range []string{"p0", "p1"} {
		require.NoError(t, client.CoreV1().Pods("beta").Delete(t.Context(), name, metav1.DeleteOptions{}))
	}
	require.NoError(t, undoAgents(t.Context(), o, kept), "with the pods the agents are gone")
}

// answering opens connections to an agent that answers as told.
func answering(answer func(agentRequest) agentAnswer) func(context.Context) (io.ReadWriteCloser, error) {
	return func(context.Context) (io.ReadWriteCloser, error) {
		in, orders := io.Pipe()
		answers, out := io.Pipe()
		go func() {
			defer out.Close()
			for from := json.NewDecoder(in); ; {
				var r agentRequest
				if from.Decode(&r) != nil {
					return
				}
				a := answer(r)
				a.Seq = r.Seq
				if json.NewEncoder(out).Encode(a) != nil {
					return
				}
			}
		}()
		return pipe{answers, orders}, nil
	}
}

// shopAgents is a fault in two pods whose agents answer as told.
func shopAgents(t *testing.T, answer func(pod string, r agentRequest) agentAnswer) (a *agents, client *fake.Clientset, notes func() []string) {
	t.Helper()
	o, client := onFake(plan.Disruption{
		Kubernetes: &plan.Kubernetes{Select: map[string]string{"app": "shop"}, Port: "8080", Image: "x"}, Error: &plan.Error{}, AtMost: &plan.Amount{Share: 1},
	}, shopOf(2)...)
	var mu sync.Mutex
	var said []string
	o.site.Note = func(kind, _ string, attrs map[string]string) {
		mu.Lock()
		defer mu.Unlock()
		if kind == measure.EventWarning {
			said = append(said, attrs["detail"])
		}
	}
	made, err := newAgents(o)
	require.NoError(t, err)
	a = made.(*agents)
	for _, pod := range []string{"p0", "p1"} {
		a.ready[pod] = &attached{api: o.api, pod: podState{name: pod, uid: pod}, container: "agent", port: 8080, link: &link{
			open: answering(func(r agentRequest) agentAnswer { return answer(pod, r) }),
		}}
	}
	return a, client, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(said)
	}
}

// A fault of agents that ends before its time is not taken for one that lasted:
// what comes after does not count as during it, and where it went on in other
// pods the time is in doubt.
func TestAgentsWhoseFaultEndsEarly(t *testing.T) {
	const lease, length = 2 * time.Second, 20 * time.Second
	for name, tt := range map[string]struct {
		ends  []string // the pods where it ends after a while
		how   func(l *Lease) (gone bool)
		over  time.Duration // since it was injected
		doubt string
		note  string
	}{
		"it lasts": {nil, nil, length, "", ""},
		"the pod is gone": {
			[]string{"p1"},
			nil,
			length, "it was over before it was lifted in pod p1, and went on in others", "the fault ended early in pod p1: the agent or its pod is gone",
		},
		"it was not renewed in time": {
			[]string{"p0"},
			func(l *Lease) bool { l.State = StateExpired; return true },
			length, "it was over before it was lifted in pod p0, and went on in others", "the fault ended early in pod p0: too late",
		},
		"that is only seen when it is lifted": {
			[]string{"p0"},
			func(l *Lease) bool { l.State = StateExpired; return false },
			length, "it was over before it was lifted in pod p0, and went on in others", "the fault ended early in pod p0: its agent was not reached in time to renew it",
		},
		"everywhere": {
			[]string{"p0", "p1"},
			func(l *Lease) bool { l.State = StateExpired; return true },
			DefaultTTL / 5, "", "the fault ended early in pod p0: too late",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				a, client, notes := shopAgents(t, func(pod string, r agentRequest) agentAnswer {
					answer := agentAnswer{Lease: Lease{ID: r.ID, Name: "test", State: StateActive, TTL: plan.Duration(lease), Matched: 9, Touched: 9}}
					ended := slices.Contains(tt.ends, pod) && time.Since(began) > DefaultTTL/4
					switch {
					case ended && tt.how == nil: // nobody answers any more
						<-t.Context().Done()
					case ended && tt.how(&answer.Lease) && r.Op == agentRenew:
						answer.Gone, answer.Error = true, "too late"
					case r.Op == agentLift && !ended:
						answer.Lease.State = StateLifted
					}
					answer.Ended = r.Op == agentEnd
					return answer
				})
				lift, err := a.Inject(t.Context(), func(json.RawMessage) error { return nil })
				require.NoError(t, err)
				time.Sleep(DefaultTTL / 4)
				if tt.ends != nil && tt.how == nil {
					require.NoError(t, client.CoreV1().Pods("beta").Delete(t.Context(), tt.ends[0], metav1.DeleteOptions{}))
				}
				time.Sleep(length - DefaultTTL/4)
				go func() { // ended agents are gone from their pods
					time.Sleep(time.Second)
					for _, pod := range []string{"p0", "p1"} {
						_ = client.CoreV1().Pods("beta").Delete(context.Background(), pod, metav1.DeleteOptions{})
					}
				}()
				touch, err := lift(t.Context())
				require.NoError(t, err)
				require.Equal(t, tt.doubt, touch.Doubt)
				require.Equal(t, tt.over, time.Unix(0, touch.Ended(time.Now().UnixNano())).Sub(began).Truncate(time.Second))
				require.EqualValues(t, 18, touch.Touched)
				if tt.note == "" {
					require.Empty(t, notes())
				} else {
					require.Contains(t, notes(), tt.note)
					require.Len(t, notes(), len(tt.ends), "each is told once")
				}
			})
		})
	}
}

package distribute

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// aCluster is one that only remembers, with pods of a TestRun called r.
func aCluster(pods ...*corev1.Pod) (*cluster, *dynamicfake.FakeDynamicClient) {
	kinds := map[schema.GroupVersionResource]string{}
	for kind, where := range resourcesOfKinds {
		kinds[where] = kind + "List"
	}
	objects := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	typed := fake.NewClientset()
	for _, p := range pods {
		p.Namespace = "load"
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		p.Labels["k6_cr"] = "r"
		_ = typed.Tracker().Add(p)
	}
	return newCluster(objects, typed, "load"), objects
}

func TestClusterObjects(t *testing.T) {
	c, objects := aCluster()
	all, _ := manifestsOf(t, aJob(t))
	for _, m := range all {
		_, err := c.create(t.Context(), m)
		require.NoError(t, err)
	}
	require.NoError(t, c.own(t.Context(), all[0], all[3], "the-uid"))
	secret, err := objects.Resource(resourcesOfKinds["Secret"]).Namespace("load").Get(t.Context(), all[0].Name(), metav1.GetOptions{})
	require.NoError(t, err)
	owner := secret.GetOwnerReferences()[0]
	require.Equal(t, metav1.OwnerReference{APIVersion: "k6.io/v1alpha1", Kind: "TestRun", Name: all[3].Name(), UID: "the-uid"}, owner)
	seen, err := c.look(t.Context(), all[3].Name())
	require.NoError(t, err)
	require.Equal(t, sight{}, seen)
	for _, m := range all {
		require.NoError(t, c.remove(t.Context(), m))
		require.NoError(t, c.remove(t.Context(), m), "what is not there is removed")
	}
	seen, err = c.look(t.Context(), all[3].Name())
	require.NoError(t, err)
	require.True(t, seen.gone)
}

func TestClusterStopsAtOnce(t *testing.T) {
	c, _ := aCluster(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}})
	run := Manifest{APIVersion: "k6.io/v1alpha1", Kind: "TestRun", Metadata: metadata{Name: "r", Namespace: "load"}}
	_, err := c.create(t.Context(), run)
	require.NoError(t, err)
	require.NoError(t, c.remove(t.Context(), run))
	seen, err := c.look(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, sight{gone: true}, seen)
}

func TestClusterStage(t *testing.T) {
	c, objects := aCluster()
	_, err := objects.Resource(resourcesOfKinds["TestRun"]).Namespace("load").Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k6.io/v1alpha1", "kind": "TestRun", "metadata": map[string]any{"name": "r"}, "status": map[string]any{"stage": "error"},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	seen, err := c.look(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, "error", seen.stage)
}

func TestClusterPods(t *testing.T) {
	job := func(name string) map[string]string { return map[string]string{"job-name": name} }
	ended := func(reason string, code int32) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}}}}
	}
	waiting := func(reason, message string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
	for _, one := range []struct {
		labels map[string]string
		status corev1.PodStatus
		want   pod
	}{
		{job("r-1"), corev1.PodStatus{Phase: corev1.PodRunning}, pod{runner: 1}},
		{job("r-12"), corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: ended("OOMKilled", 137)}, pod{runner: 12, ended: true, reason: "OOMKilled", code: 137, message: "fake logs"}},
		{job("r-2"), corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: ended("Completed", 0)}, pod{runner: 2, ended: true, succeeded: true, reason: "Completed"}},
		{job("r-3"), corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory"}, pod{runner: 3, ended: true, reason: "Evicted", message: "low on memory"}},
		{job("r-4"), corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: waiting("ErrImagePull", "no such image")}, pod{runner: 4, waits: "ErrImagePull: no such image"}},
		{job("r-4"), corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: waiting("ContainerCreating", "")}, pod{runner: 4}},
		{job("r-5"), corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes"}}}, pod{runner: 5, waits: "Unschedulable: 0/1 nodes"}},
		{job("r-initializer"), corev1.PodStatus{Phase: corev1.PodRunning}, pod{}},
	} {
		c, _ := aCluster(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: one.labels}, Status: one.status})
		seen, err := c.look(t.Context(), "r")
		require.NoError(t, err)
		one.want.name = "p"
		require.Equal(t, []pod{one.want}, seen.pods)
	}
}

func TestClusterRefusals(t *testing.T) {
	all, _ := manifestsOf(t, aJob(t))
	where := resourcesOfKinds["TestRun"].GroupResource()
	for want, cause := range map[string]error{
		"install k6-operator": &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: 404, Message: "the server could not find the requested resource"}},
		"docs/distribute.md":  apierrors.NewForbidden(where, "r", errors.New("no")),
		"unknown field":       apierrors.NewBadRequest(`strict decoding error: unknown field "spec.x"`),
	} {
		c, objects := aCluster()
		objects.PrependReactor("create", "testruns", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, cause })
		_, err := c.create(t.Context(), all[3])
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "make TestRun load/"+all[3].Name())
	}
}

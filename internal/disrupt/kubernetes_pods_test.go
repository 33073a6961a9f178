package disrupt

import (
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"

	"resilience/internal/plan"
)

// TestNarrowedPods wants a disruption of named pods to reach those alone.
func TestNarrowedPods(t *testing.T) {
	group := []string{"shop-a", "shop-b", "shop-c"}
	o := onCluster{api: &cluster{namespace: "shop"}}
	got, err := o.narrowed(group)
	require.NoError(t, err)
	require.Equal(t, group, got)

	o.on = plan.Kubernetes{Pods: []string{"shop-b", "gone"}}
	got, err = o.narrowed(group)
	require.NoError(t, err)
	require.Equal(t, []string{"shop-b"}, got)
	require.Len(t, group, 3, "the group itself is left alone")

	o.on = plan.Kubernetes{Pods: []string{"gone"}}
	_, err = o.narrowed(group)
	require.ErrorContains(t, err, "none of the pods [gone] is among those that are selected and ready in namespace shop: [shop-a shop-b shop-c]")
}

// TestPodsAreFoundByLooking wants no right but those that looking takes, and
// all of those.
func TestPodsAreFoundByLooking(t *testing.T) {
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "beta"},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}},
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "beta"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop"}}}
	for name, tt := range map[string]struct {
		on   plan.Kubernetes
		want string // what it may not do
	}{
		"labels":   {plan.Kubernetes{Select: map[string]string{"app": "shop"}}, "list pods in namespace beta"},
		"service":  {plan.Kubernetes{Service: "shop"}, "list pods in namespace beta, to get services in namespace beta"},
		"workload": {plan.Kubernetes{Workload: "deploy/shop"}, "list pods in namespace beta, to get deployments.apps in namespace beta"},
	} {
		t.Run(name, func(t *testing.T) {
			o, client := onFake(plan.Disruption{Kubernetes: &tt.on}, fakePod("a", true), fakePod("b", true), fakePod("sick", false), deployment, service)
			allowed := func(right) bool { return false }
			client.PrependReactor("create", "selfsubjectaccessreviews", func(a k8stesting.Action) (bool, runtime.Object, error) {
				review := a.(k8stesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
				on := review.Spec.ResourceAttributes
				review.Status.Allowed = allowed(right{verb: on.Verb, resource: on.Resource})
				return true, review, nil
			})
			_, err := o.names(t.Context())
			require.EqualError(t, err, "this account lacks rights (RBAC): it must be allowed to "+tt.want)
			agents, err := newAgents(onCluster{plan: o.plan, on: plan.Kubernetes{Image: "x", Select: o.on.Select, Service: o.on.Service, Workload: o.on.Workload}, api: o.api})
			require.NoError(t, err)
			_, err = agents.Prepare(t.Context())
			require.ErrorContains(t, err, tt.want+", to get pods", "asked beforehand")
			allowed = func(r right) bool {
				return r.verb == "list" && r.resource == "pods" || r.verb == "get" && r.resource != "pods"
			}
			names, err := o.names(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"a", "b"}, names)
		})
	}
}

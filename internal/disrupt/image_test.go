package disrupt

import (
	"testing"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"

	"resilience/fixtures/containers"
	"resilience/internal/plan"
)

func TestImageOfContainers(t *testing.T) {
	for _, name := range containers.Names {
		t.Run(name, func(t *testing.T) {
			e := containers.Open(t, name)
			label := map[string]string{"test": "image"}
			e.Run(t, containers.Container{Name: "image-a", Labels: label})
			e.Run(t, containers.Container{Name: "image-b", Labels: label})
			digest, err := Image(t.Context(), plan.Version{Container: &plan.Container{Label: "test=image", Engine: "unix://" + e.Socket}}, "")
			require.NoError(t, err)
			require.Regexp(t, "^(sha256:)?[^:]+$", digest)
			_, err = Image(t.Context(), plan.Version{Container: &plan.Container{Name: "image-none", Engine: "unix://" + e.Socket}}, "")
			require.ErrorContains(t, err, "no container that runs has the name or label image-none")
		})
	}
}

func TestImagesOfPods(t *testing.T) {
	pod := func(name, image string, ready bool) *corev1.Pod {
		p := fakePod(name, ready)
		p.Spec.Containers = []corev1.Container{{Name: "shop"}, {Name: "sidecar"}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "sidecar", ImageID: "proxy@sha256:9"}, {Name: "shop", ImageID: image}}
		return p
	}
	o, client := onFake(plan.Disruption{Kubernetes: &plan.Kubernetes{Select: map[string]string{"app": "shop"}}},
		pod("a", "shop@sha256:1", true), pod("b", "shop@sha256:1", true), pod("c", "shop@sha256:2", false))
	client.PrependReactor("create", "selfsubjectaccessreviews", func(a k8stesting.Action) (bool, runtime.Object, error) {
		review := a.(k8stesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
		review.Status.Allowed = true
		return true, review, nil
	})
	by, err := o.images(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"shop@sha256:1": {"a", "b"}}, by, "of the pods that serve, and of their first container")
}

func TestDifferentImages(t *testing.T) {
	digest, err := oneImage(map[string][]string{"x": {"a", "b"}})
	require.NoError(t, err)
	require.Equal(t, "x", digest)
	_, err = oneImage(map[string][]string{"x": {"a", "b"}, "y": {"c"}})
	require.EqualError(t, err, "they run 2 different images: a, b x; c y")
	_, err = oneImage(map[string][]string{"": {"a"}})
	require.EqualError(t, err, "a tells no image")
}

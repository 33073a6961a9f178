package distribute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"resilience/internal/plan"
)

// resourcesOfKinds are where the API keeps the kinds of our manifests.
var resourcesOfKinds = map[string]schema.GroupVersionResource{
	"TestRun":   {Group: "k6.io", Version: "v1alpha1", Resource: "testruns"},
	"Secret":    {Version: "v1", Resource: "secrets"},
	"ConfigMap": {Version: "v1", Resource: "configmaps"},
}

// cluster is the API of Kubernetes as far as runners need it. This file is a thin
// layer: whatever decides something is elsewhere.
type cluster struct {
	objects   dynamic.Interface
	pods      kubernetes.Interface
	namespace string

	mu   sync.Mutex
	logs map[string]string // the last line of pods that failed
}

// connect finds the cluster of a plan. It does not speak to it yet.
func connect(on plan.Distribute, dir string) (*cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if on.Kubeconfig != "" {
		rules.ExplicitPath = plan.Locate(dir, on.Kubeconfig)
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: on.Context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster (--kubeconfig, kubeconfig: under distribute:, KUBECONFIG, ~/.kube/config, or the account of the pod that this runs in): %w", err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	pods, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	return newCluster(objects, pods, on.Namespace), nil
}

func newCluster(objects dynamic.Interface, pods kubernetes.Interface, namespace string) *cluster {
	return &cluster{objects: objects, pods: pods, namespace: namespace, logs: map[string]string{}}
}

func (c *cluster) at(m Manifest) dynamic.ResourceInterface {
	return c.objects.Resource(resourcesOfKinds[m.Kind]).Namespace(c.namespace)
}

// create implements api. A field that the cluster does not know is an error.
func (c *cluster) create(ctx context.Context, m Manifest) (string, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		return "", err
	}
	made, err := c.at(m).Create(ctx, object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		return "", refused(err, "make "+m.what())
	}
	return string(made.GetUID()), nil
}

// own implements api.
func (c *cluster) own(ctx context.Context, m, by Manifest, uid string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": []metav1.OwnerReference{
		{APIVersion: by.APIVersion, Kind: by.Kind, Name: by.Name(), UID: types.UID(uid)},
	}}})
	if err != nil {
		return err
	}
	_, err = c.at(m).Patch(ctx, m.Name(), types.MergePatchType, patch, metav1.PatchOptions{})
	return refused(err, "have "+m.what()+" removed with its TestRun")
}

// remove implements api.
func (c *cluster) remove(ctx context.Context, m Manifest) error {
	policy := metav1.DeletePropagationBackground
	err := c.at(m).Delete(ctx, m.Name(), metav1.DeleteOptions{PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil && m.Kind == "TestRun" {
		c.hurry(ctx, m.Name())
	}
	return refused(err, "remove "+m.what())
}

// hurry stops the pods of a TestRun that is being removed. Whether or not that
// can be done, the cluster does it once it has come to it.
func (c *cluster) hurry(ctx context.Context, testRun string) {
	list, err := c.pods.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: "k6_cr=" + testRun})
	if err != nil {
		return
	}
	for _, p := range list.Items {
		_ = c.pods.CoreV1().Pods(c.namespace).Delete(ctx, p.Name, metav1.DeleteOptions{})
	}
}

// refused says what the cluster would not do, and what may help.
func refused(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err) && strings.Contains(err.Error(), "could not find the requested resource"):
		return fmt.Errorf("%s: the cluster knows no TestRun: install k6-operator there: %w", what, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: the account has not the right to: docs/distribute.md lists what it needs: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// look implements api.
func (c *cluster) look(ctx context.Context, testRun string) (sight, error) {
	var s sight
	object, err := c.objects.Resource(resourcesOfKinds["TestRun"]).Namespace(c.namespace).Get(ctx, testRun, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		s.gone = true
	case err != nil:
		return s, refused(err, "look at the TestRun "+testRun)
	default:
		s.stage, _, _ = unstructured.NestedString(object.Object, "status", "stage")
	}
	list, err := c.pods.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: "k6_cr=" + testRun})
	if err != nil {
		return s, refused(err, "look at the pods of "+testRun)
	}
	for _, p := range list.Items {
		one := podOf(p, testRun)
		if one.ended && !one.succeeded && one.message == "" {
			one.message = c.lastWords(ctx, one.name)
		}
		s.pods = append(s.pods, one)
	}
	return s, nil
}

// podOf is a pod as far as it matters.
func podOf(p corev1.Pod, testRun string) pod {
	out := pod{name: p.Name, reason: p.Status.Reason, message: p.Status.Message}
	out.runner, _ = strconv.Atoi(strings.TrimPrefix(p.Labels["job-name"], testRun+"-"))
	out.ended = p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	out.succeeded = p.Status.Phase == corev1.PodSucceeded
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			out.waits = condition.Reason + ": " + condition.Message
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		switch state := s.State; {
		case state.Terminated != nil:
			out.code = int(state.Terminated.ExitCode)
			if out.reason == "" {
				out.reason, out.message = state.Terminated.Reason, state.Terminated.Message
			}
		case state.Waiting != nil && state.Waiting.Reason != "ContainerCreating" && state.Waiting.Reason != "PodInitializing":
			out.waits = strings.TrimSuffix(state.Waiting.Reason+": "+state.Waiting.Message, ": ")
		}
	}
	return out
}

// lastWords are the end of the log of a pod that failed, as good as they can be
// had.
func (c *cluster) lastWords(ctx context.Context, name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if words, asked := c.logs[name]; asked {
		return words
	}
	const lines, most = 3, 2 << 10
	tail, limit := int64(lines), int64(most)
	stream, err := c.pods.CoreV1().Pods(c.namespace).GetLogs(name, &corev1.PodLogOptions{TailLines: &tail, LimitBytes: &limit}).Stream(ctx)
	if err != nil {
		return "its log can not be read: " + err.Error()
	}
	text, err := io.ReadAll(io.LimitReader(stream, most))
	if err = errors.Join(err, stream.Close()); err != nil {
		return "its log can not be read: " + err.Error()
	}
	c.logs[name] = strings.Join(strings.Fields(string(text)), " ")
	return c.logs[name]
}

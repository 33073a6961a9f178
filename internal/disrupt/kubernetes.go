package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/grafana/xk6-disruptor/pkg/kubernetes/helpers"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubectl/pkg/drain"

	"resilience/internal/plan"
)

// cluster is the API of Kubernetes as far as faults need it, in types of our
// own. This file is a thin layer: whatever decides something is elsewhere.
type cluster struct {
	client    kubernetes.Interface
	config    *rest.Config // nil for a fake client
	namespace string
	names     []string // of the context and of the cluster in the kubeconfig, where there is one
	pods      helpers.PodHelper
}

// connectCluster finds the cluster of a plan. It does not speak to it yet.
func connectCluster(k plan.Kubernetes, dir string) (*cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if k.Kubeconfig != "" {
		rules.ExplicitPath = plan.Locate(dir, k.Kubeconfig)
	}
	found := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: k.Context})
	config, err := found.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster (kubeconfig:, KUBECONFIG, ~/.kube/config, or the account of the pod that this runs in): %w", err)
	}
	config.QPS, config.Burst = 100, 150
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	c := newCluster(client, config, k.Namespace)
	if raw, err := found.RawConfig(); err == nil { // in a pod there may be none
		c.names = namesIn(raw, cmp.Or(k.Context, raw.CurrentContext))
	}
	return c, nil
}

// namesIn are those by which a kubeconfig calls a context and its cluster.
func namesIn(raw clientcmdapi.Config, name string) []string {
	context := raw.Contexts[name]
	if context == nil {
		return nil
	}
	return []string{name, context.Cluster}
}

func newCluster(client kubernetes.Interface, config *rest.Config, namespace string) *cluster {
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return &cluster{client: client, config: config, namespace: namespace, pods: helpers.NewPodHelper(client, nil, namespace)}
}

// errNotThere says that an object does not exist.
var errNotThere = errors.New("does not exist")

func told(err error, what string, args ...any) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: %w", fmt.Sprintf(what, args...), errNotThere)
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(what, args...), err)
}

// list gives the pods of the namespace with the labels select and without
// those of exclude.
func (c *cluster) list(ctx context.Context, want, without map[string]string) ([]podState, error) {
	found, err := c.pods.List(ctx, helpers.PodFilter{Select: want, Exclude: without})
	if err != nil {
		return nil, told(err, "list the pods in namespace %s", c.namespace)
	}
	out := make([]podState, 0, len(found))
	for _, p := range found {
		out = append(out, stateOf(p))
	}
	return out, nil
}

// pod looks one pod up; [errNotThere].
func (c *cluster) pod(ctx context.Context, name string) (podState, error) {
	p, err := c.client.CoreV1().Pods(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return podState{}, told(err, "pod %s", name)
	}
	return stateOf(*p), nil
}

func stateOf(p corev1.Pod) podState {
	s := podState{
		name: p.Name, uid: string(p.UID), address: p.Status.PodIP, node: p.Spec.NodeName,
		leaving: p.DeletionTimestamp != nil, ports: map[string]int{}, agents: map[string]containerState{},
	}
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodReady {
			s.ready = condition.Status == corev1.ConditionTrue && !s.leaving
		}
	}
	if owner := metav1.GetControllerOf(&p); owner != nil {
		s.owner = strings.ToLower(owner.Kind) + "/" + owner.Name
	}
	for _, container := range p.Spec.Containers {
		for _, port := range container.Ports {
			s.numbers = append(s.numbers, int(port.ContainerPort))
			if port.Name != "" {
				s.ports[port.Name] = int(port.ContainerPort)
			}
		}
	}
	for _, status := range p.Status.ContainerStatuses {
		s.restarts += int(status.RestartCount)
		if len(p.Spec.Containers) > 0 && status.Name == p.Spec.Containers[0].Name {
			s.image = status.ImageID
		}
	}
	for _, container := range p.Spec.EphemeralContainers {
		s.agents[container.Name] = containerState{}
	}
	for _, status := range p.Status.EphemeralContainerStatuses {
		s.agents[status.Name] = containerOf(status.State)
	}
	return s
}

func containerOf(state corev1.ContainerState) containerState {
	switch {
	case state.Running != nil:
		return containerState{running: true}
	case state.Terminated != nil:
		t := state.Terminated
		return containerState{ended: true, code: int(t.ExitCode), reason: t.Reason, message: t.Message}
	case state.Waiting != nil:
		return containerState{reason: state.Waiting.Reason, message: state.Waiting.Message}
	}
	return containerState{}
}

// service looks up where a service sends its traffic; [errNotThere].
func (c *cluster) service(ctx context.Context, name string) (serviceState, error) {
	s, err := c.client.CoreV1().Services(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return serviceState{}, told(err, "service %s in namespace %s", name, c.namespace)
	}
	out := serviceState{selector: s.Spec.Selector}
	for _, p := range s.Spec.Ports {
		target := p.TargetPort.String()
		if target == "" || target == "0" {
			target = fmt.Sprint(p.Port)
		}
		out.ports = append(out.ports, servicePort{name: p.Name, number: int(p.Port), target: target})
	}
	return out, nil
}

// allowed asks whether the account may do something. Resource is such as
// apps/deployments/scale: group, if any, resource and subresource.
func (c *cluster) allowed(ctx context.Context, r right) (bool, error) {
	review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: r.namespace, Verb: r.verb, Group: r.group, Resource: r.resource, Subresource: r.subresource,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, told(err, "ask the cluster what this account may do")
	}
	return review.Status.Allowed, nil
}

// attach adds an agent to a pod, and does not wait for it.
func (c *cluster) attach(ctx context.Context, pod, name, image string, args []string) error {
	root, no := int64(0), false
	err := c.pods.AttachEphemeralContainer(ctx, pod, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: name, Image: image, Args: args, Stdin: true,
			ImagePullPolicy:          corev1.PullIfNotPresent,
			TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
			SecurityContext: &corev1.SecurityContext{
				RunAsUser: &root, RunAsGroup: &root, RunAsNonRoot: &no,
				Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}},
			},
		},
	}, helpers.AttachOptions{})
	return told(err, "attach the agent to pod %s", pod)
}

// open connects to standard input and output of a container. Closing it ends
// the connection, not the container.
func (c *cluster) open(ctx context.Context, pod, container string) (io.ReadWriteCloser, error) {
	request := c.client.CoreV1().RESTClient().Post().Namespace(c.namespace).Resource("pods").Name(pod).SubResource("attach").
		VersionedParams(&corev1.PodAttachOptions{Container: container, Stdin: true, Stdout: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(c.config, "POST", request.URL())
	if err != nil {
		return nil, told(err, "attach to pod %s", pod)
	}
	ctx, cancel := context.WithCancel(ctx)
	in, write := io.Pipe()
	read, out := io.Pipe()
	go func() {
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: out})
		if err = told(err, "attached to pod %s", pod); err == nil {
			err = io.EOF
		}
		_ = out.CloseWithError(err)
		_ = write.Close() // not in: client-go would complain in the log
	}()
	return &stream{Reader: read, Writer: write, cancel: func() { _ = write.Close(); cancel() }}, nil
}

// stream is a connection to a container.
type stream struct {
	io.Reader
	io.Writer
	cancel func()
}

// Close ends the connection.
func (s *stream) Close() error { s.cancel(); return nil }

// remove deletes a pod, if it is still that one, with a time to end in.
func (c *cluster) remove(ctx context.Context, p podState, grace time.Duration) error {
	seconds, uid := int64(grace/time.Second), types.UID(p.uid)
	err := c.client.CoreV1().Pods(c.namespace).Delete(ctx, p.name, metav1.DeleteOptions{
		GracePeriodSeconds: &seconds, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	return told(err, "delete pod %s", p.name)
}

// workload looks a deployment, statefulset or daemonset up; [errNotThere].
func (c *cluster) workload(ctx context.Context, kind, name string) (workloadState, error) {
	apps, options := c.client.AppsV1(), metav1.GetOptions{}
	var w workloadState
	var selector *metav1.LabelSelector
	var observed int64
	var err error
	switch kind {
	case kindDeployment:
		var d *appsv1.Deployment
		if d, err = apps.Deployments(c.namespace).Get(ctx, name, options); err == nil {
			selector, observed, w = d.Spec.Selector, d.Status.ObservedGeneration, workloadState{
				generation: d.Generation, replicas: wanted(d.Spec.Replicas), present: int(d.Status.Replicas),
				updated: int(d.Status.UpdatedReplicas), available: int(d.Status.AvailableReplicas),
				paused: d.Spec.Paused, recreate: d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType,
			}
		}
	case kindStatefulSet:
		var s *appsv1.StatefulSet
		if s, err = apps.StatefulSets(c.namespace).Get(ctx, name, options); err == nil {
			selector, observed, w = s.Spec.Selector, s.Status.ObservedGeneration, workloadState{
				generation: s.Generation, replicas: wanted(s.Spec.Replicas), present: int(s.Status.Replicas),
				updated: int(s.Status.UpdatedReplicas), available: int(s.Status.AvailableReplicas),
				manual: s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
			}
			if s.Status.CurrentRevision == s.Status.UpdateRevision { // then updated counts none
				w.updated = w.present
			}
		}
	case kindDaemonSet:
		var d *appsv1.DaemonSet
		if d, err = apps.DaemonSets(c.namespace).Get(ctx, name, options); err == nil {
			selector, observed, w = d.Spec.Selector, d.Status.ObservedGeneration, workloadState{
				generation: d.Generation, replicas: int(d.Status.DesiredNumberScheduled), present: int(d.Status.CurrentNumberScheduled),
				updated: int(d.Status.UpdatedNumberScheduled), available: int(d.Status.NumberAvailable),
				manual: d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
			}
		}
	}
	if err != nil {
		return w, told(err, "%s %s in namespace %s", kind, name, c.namespace)
	}
	if len(selector.MatchExpressions) > 0 {
		return w, fmt.Errorf("%s %s selects its pods by expressions, which is not supported: label them and select those", kind, name)
	}
	w.selector, w.observed = selector.MatchLabels, observed >= w.generation
	return w, nil
}

// wanted is a number of replicas; 1 is the default of Kubernetes.
func wanted(replicas *int32) int {
	if replicas == nil {
		return 1
	}
	return int(*replicas)
}

// restart asks for a rolling restart, as kubectl rollout restart does.
func (c *cluster) restart(ctx context.Context, kind, name string, at time.Time) error {
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, at.Format(time.RFC3339Nano))
	apps, merge := c.client.AppsV1(), types.StrategicMergePatchType
	var err error
	switch kind {
	case kindDeployment:
		_, err = apps.Deployments(c.namespace).Patch(ctx, name, merge, patch, metav1.PatchOptions{})
	case kindStatefulSet:
		_, err = apps.StatefulSets(c.namespace).Patch(ctx, name, merge, patch, metav1.PatchOptions{})
	case kindDaemonSet:
		_, err = apps.DaemonSets(c.namespace).Patch(ctx, name, merge, patch, metav1.PatchOptions{})
	}
	return told(err, "restart %s %s", kind, name)
}

// scale changes the number of replicas from one to another; changed is false
// when it was something else by then.
func (c *cluster) scale(ctx context.Context, kind, name string, from, to int) (was int, changed bool, err error) {
	apps := c.client.AppsV1()
	get, put := apps.Deployments(c.namespace).GetScale, apps.Deployments(c.namespace).UpdateScale
	if kind == kindStatefulSet {
		get, put = apps.StatefulSets(c.namespace).GetScale, apps.StatefulSets(c.namespace).UpdateScale
	}
	var now *autoscalingv1.Scale
	if now, err = get(ctx, name, metav1.GetOptions{}); err != nil {
		return 0, false, told(err, "the scale of %s %s", kind, name)
	}
	if was = int(now.Spec.Replicas); was != from {
		return was, false, nil
	}
	now.Spec.Replicas = int32(to)
	_, err = put(ctx, name, now, metav1.UpdateOptions{}) // refused if it changed since
	return was, err == nil, told(err, "scale %s %s to %d", kind, name, to)
}

// nodes are all nodes, and whether each takes pods.
func (c *cluster) nodes(ctx context.Context) (map[string]bool, error) {
	list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, told(err, "list the nodes")
	}
	out := map[string]bool{}
	for _, n := range list.Items {
		out[n.Name] = !n.Spec.Unschedulable
	}
	return out, nil
}

// cordon keeps pods away from a node, or lets them come again.
func (c *cluster) cordon(ctx context.Context, name string, closed bool) error {
	node, err := c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return told(err, "node %s", name)
	}
	helper := &drain.Helper{Ctx: ctx, Client: c.client}
	return told(drain.RunCordonOrUncordon(helper, node, closed), "change node %s", name)
}

func (c *cluster) drainer(ctx context.Context, grace time.Duration) *drain.Helper {
	h := &drain.Helper{
		Ctx: ctx, Client: c.client, IgnoreAllDaemonSets: true, DeleteEmptyDirData: true, GracePeriodSeconds: -1,
		Out: io.Discard, ErrOut: io.Discard,
	}
	if grace > 0 {
		h.GracePeriodSeconds = int((grace + time.Second - 1) / time.Second)
	}
	return h
}

// evictable are the pods that draining a node would evict; an error names those
// that nothing would start again.
func (c *cluster) evictable(ctx context.Context, node string) ([]nodePod, error) {
	list, errs := c.drainer(ctx, 0).GetPodsForDeletion(node)
	if len(errs) > 0 {
		return nil, told(errors.Join(errs...), "node %s can not be drained", node)
	}
	var out []nodePod
	for _, p := range list.Pods() {
		out = append(out, nodePod{namespace: p.Namespace, name: p.Name, uid: string(p.UID)})
	}
	return out, nil
}

// leaving reports whether a pod is on its way out, or gone.
func (c *cluster) leaving(ctx context.Context, p nodePod) (bool, error) {
	now, err := c.client.CoreV1().Pods(p.namespace).Get(ctx, p.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, told(err, "pod %s", p.name)
	}
	return now.DeletionTimestamp != nil || string(now.UID) != p.uid, nil
}

// evict asks pods to leave a node, as their disruption budgets allow, and
// returns when they are gone.
func (c *cluster) evict(ctx context.Context, node string, grace time.Duration) error {
	h := c.drainer(ctx, grace)
	list, errs := h.GetPodsForDeletion(node)
	if len(errs) > 0 {
		return told(errors.Join(errs...), "node %s can not be drained", node)
	}
	return told(h.DeleteOrEvictPods(list.Pods()), "drain node %s", node)
}

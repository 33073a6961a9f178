package distribute

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// operator stands in for k6-operator in a namespace: it does with a TestRun what
// that one does, as far as runners notice. It inspects the script in a pod, makes
// a Job for each runner with its execution segment, starts all of them together
// over k6's REST API, and tells the stage.
//
// https://github.com/grafana/k6-operator/tree/main/pkg/resources/jobs
type operator struct {
	*testCluster
}

// testRun is a TestRun with the types of Kubernetes.
type testRun struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Parallelism int
		Arguments   string
		Script      struct {
			ConfigMap struct{ Name, File string }
		}
		Initializer, Runner testPod
	}
	Status struct{ Stage string }
}

type testPod struct {
	AutomountServiceAccountToken string
	ContainerSecurityContext     corev1.SecurityContext
	Env                          []corev1.EnvVar
	EnvFrom                      []corev1.EnvFromSource
	Image                        string
	LivenessProbe                *corev1.Probe
	Metadata                     struct{ Labels, Annotations map[string]string }
	NodeSelector                 map[string]string
	ReadinessProbe               *corev1.Probe
	Resources                    corev1.ResourceRequirements
	SecurityContext              corev1.PodSecurityContext
	ServiceAccountName           string
	VolumeMounts                 []corev1.VolumeMount
	Volumes                      []corev1.Volume
}

// work looks after the TestRuns of the namespace until the context ends.
func (o operator) work(ctx context.Context) {
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		list, err := o.objects.Resource(resourcesOfKinds["TestRun"]).Namespace(o.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			continue
		}
		for i := range list.Items {
			if err := o.reconcile(ctx, &list.Items[i]); err != nil && ctx.Err() == nil {
				o.t.Logf("the operator: %v", err)
			}
		}
	}
}

func (o operator) reconcile(ctx context.Context, object *unstructured.Unstructured) error {
	var run testRun
	text, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &run); err != nil {
		return err
	}
	switch run.Status.Stage {
	case "":
		if err := o.initialize(ctx, run); err != nil {
			return err
		}
		return o.stage(ctx, object, "initialization")
	case "initialization":
		return o.initialized(ctx, run, object)
	case "initialized":
		for n := 1; n <= run.Spec.Parallelism; n++ {
			if err := o.runner(ctx, run, n); err != nil {
				return err
			}
		}
		return o.stage(ctx, object, "created")
	case "created":
		if !o.started(ctx, run) {
			return nil
		}
		return o.stage(ctx, object, "started")
	}
	return nil
}

func (o operator) stage(ctx context.Context, object *unstructured.Unstructured, stage string) error {
	if err := unstructured.SetNestedField(object.Object, stage, "status", "stage"); err != nil {
		return err
	}
	_, err := o.objects.Resource(resourcesOfKinds["TestRun"]).Namespace(o.namespace).UpdateStatus(ctx, object, metav1.UpdateOptions{})
	return err
}

// initialize has the script inspected by the image itself, with a shell.
func (o operator) initialize(ctx context.Context, run testRun) error {
	script := "/test/" + run.Spec.Script.ConfigMap.File
	archive := "/tmp" + script + ".archived.tar"
	arguments := strings.ReplaceAll(strings.ReplaceAll(run.Spec.Arguments, "--out resilience=influx", ""), "--no-usage-report", "")
	command := fmt.Sprintf("mkdir -p $(dirname %[2]s) && k6 archive %[1]s -O %[2]s %[3]s 2> /tmp/k6logs && k6 inspect --execution-requirements %[2]s 2> /tmp/k6logs ; ! cat /tmp/k6logs | grep 'level=error'",
		script, archive, arguments)
	return o.job(ctx, run, run.Metadata.Name+"-initializer", run.Spec.Initializer, []string{"sh", "-c", command}, nil)
}

func (o operator) initialized(ctx context.Context, run testRun, object *unstructured.Unstructured) error {
	job, err := o.client.BatchV1().Jobs(o.namespace).Get(ctx, run.Metadata.Name+"-initializer", metav1.GetOptions{})
	switch {
	case err != nil:
		return err
	case job.Status.Succeeded > 0:
		return o.stage(ctx, object, "initialized")
	case job.Status.Failed > 0:
		return o.stage(ctx, object, "error")
	}
	return nil
}

func (o operator) runner(ctx context.Context, run testRun, n int) error {
	of := run.Spec.Parallelism
	command := []string{"k6", "run", "--quiet"}
	if of > 1 {
		ends := []string{"0"}
		for i := 1; i < of; i++ {
			ends = append(ends, fmt.Sprintf("%d/%d", i, of))
		}
		ends = append(ends, "1")
		command = append(command, "--execution-segment="+ends[n-1]+":"+ends[n], "--execution-segment-sequence="+strings.Join(ends, ","))
	}
	command = append(append(command, strings.Fields(run.Spec.Arguments)...), "/test/"+run.Spec.Script.ConfigMap.File, "--address=0.0.0.0:6565",
		"--paused", "--tag", "instance_id="+strconv.Itoa(n), "--tag", "testrun_name="+run.Metadata.Name)
	return o.job(ctx, run, fmt.Sprintf("%s-%d", run.Metadata.Name, n), run.Spec.Runner, command, map[string]string{"runner": "true"})
}

// job makes one with a pod, as the operator does.
func (o operator) job(ctx context.Context, run testRun, name string, p testPod, command []string, labels map[string]string) error {
	all := map[string]string{"app": "k6", "k6_cr": run.Metadata.Name}
	for _, some := range []map[string]string{p.Metadata.Labels, labels} {
		for key, value := range some {
			all[key] = value
		}
	}
	token, none, controls := p.AutomountServiceAccountToken != "false", int32(0), true
	_, err := o.client.BatchV1().Jobs(o.namespace).Create(ctx, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: all, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "k6.io/v1alpha1", Kind: "TestRun", Name: run.Metadata.Name, UID: run.Metadata.UID, Controller: &controls},
		}},
		Spec: batchv1.JobSpec{BackoffLimit: &none, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: all, Annotations: p.Metadata.Annotations},
			Spec: corev1.PodSpec{
				AutomountServiceAccountToken: &token, ServiceAccountName: p.ServiceAccountName, RestartPolicy: corev1.RestartPolicyNever, NodeSelector: p.NodeSelector, SecurityContext: &p.SecurityContext,
				Containers: []corev1.Container{{
					Name: "k6", Image: p.Image, Command: command, Env: p.Env, EnvFrom: p.EnvFrom, Resources: p.Resources,
					Ports:         []corev1.ContainerPort{{ContainerPort: 6565}},
					VolumeMounts:  append([]corev1.VolumeMount{{Name: "k6-test-volume", MountPath: "/test"}}, p.VolumeMounts...),
					LivenessProbe: p.LivenessProbe, ReadinessProbe: p.ReadinessProbe, SecurityContext: &p.ContainerSecurityContext,
				}},
				Volumes: append([]corev1.Volume{{Name: "k6-test-volume", VolumeSource: corev1.VolumeSource{
					ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: run.Spec.Script.ConfigMap.Name}},
				}}}, p.Volumes...),
			},
		}},
	}, metav1.CreateOptions{})
	return err
}

// started starts the runners once all of them answer, and reports whether it
// did.
func (o operator) started(ctx context.Context, run testRun) bool {
	list, err := o.client.CoreV1().Pods(o.namespace).List(ctx, metav1.ListOptions{LabelSelector: "runner=true,k6_cr=" + run.Metadata.Name})
	if err != nil || len(list.Items) < run.Spec.Parallelism {
		return false
	}
	for _, method := range []string{http.MethodGet, http.MethodPatch} { // first none is left out
		for _, p := range list.Items {
			if p.Status.Phase != corev1.PodRunning || !resumed(ctx, method, p.Status.PodIP) {
				return false
			}
		}
	}
	return true
}

func resumed(ctx context.Context, method, address string) bool {
	body := []byte(`{"data":{"attributes":{"paused":false},"id":"default","type":"status"}}`)
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+":6565/v1/status", bytes.NewReader(body))
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// define makes the cluster know TestRuns.
func (c *testCluster) define() {
	c.t.Helper()
	text, err := toJSON(definition)
	require.NoError(c.t, err)
	object := &unstructured.Unstructured{}
	require.NoError(c.t, object.UnmarshalJSON(text))
	where := c.objects.Resource(definitions)
	require.Eventually(c.t, func() bool { // the one of another test may still be on its way out
		_, err = where.Create(c.t.Context(), object, metav1.CreateOptions{})
		return err == nil
	}, 30*time.Second, 100*time.Millisecond, "TestRuns are not known yet")
	c.t.Cleanup(func() { _ = where.Delete(context.Background(), object.GetName(), metav1.DeleteOptions{}) })
	require.Eventually(c.t, func() bool {
		_, err := c.objects.Resource(resourcesOfKinds["TestRun"]).Namespace(c.namespace).List(c.t.Context(), metav1.ListOptions{})
		return err == nil
	}, 30*time.Second, 100*time.Millisecond, "TestRuns are known")
}

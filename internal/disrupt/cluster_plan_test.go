package disrupt

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestClusterPlan runs the program itself with faults, load and gates.
func TestClusterPlan(t *testing.T) {
	program, image := os.Getenv("RESILIENCE_CLUSTER_PROGRAM"), os.Getenv("RESILIENCE_CLUSTER_AGENT")
	c := newTestCluster(t)
	if program == "" || image == "" {
		t.Skip("RESILIENCE_CLUSTER_PROGRAM and RESILIENCE_CLUSTER_AGENT are not given: the program and an image of it")
	}
	service, err := c.client.CoreV1().Services(c.namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "plan.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
name: shop
targets:
  beta: {url: "http://`+service.Spec.ClusterIP+`"}
phases:
  - name: beta
    candidate: beta
    tests:
      - name: home
        load: {requests: [{path: /work, headers: {Connection: close}}], rate: 100/s, duration: 50s, warmup: 2s}
    disruptions:
      - name: two-fail
        kubernetes: {namespace: `+c.namespace+`, service: shop, port: http, image: "`+image+`"}
        at_most: 2
        at: 4s
        for: 8s
        settle: 2s
        error: {status: 503}
      - name: lossy
        kubernetes: {namespace: `+c.namespace+`, service: shop, image: "`+image+`"}
        at_most: 1
        at: 22s
        for: 5s
        settle: 2s
        share: 20%
        drop: {protocol: tcp, ports: [8080]}
      - name: killed
        kubernetes: {namespace: `+c.namespace+`, select: {app: shop}}
        at_most: 1
        at: 38s
        for: 4s
        settle: 2s
        kill: {grace: 1s}
    gates:
      - availability >= 99%
      - availability <= 60% during two-fail
      - availability >= 20% during two-fail
      - latency max <= 1s after two-fail
      - latency max >= 150ms during lossy
      - availability >= 90% during killed
`), 0o600))
	cmd := exec.CommandContext(t.Context(), program, "run", file, "--phase", "beta", "--quiet")
	cmd.Dir = filepath.Dir(file)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
	c.clean("shop")
}

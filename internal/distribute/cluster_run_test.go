package distribute

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

func toJSON(text []byte) ([]byte, error) { return yaml.ToJSON(text) }

// testCluster is a namespace of a real cluster, with what runners need in reach
// of its pods: a system under test and an InfluxDB, both on this machine.
type testCluster struct {
	t         *testing.T
	client    kubernetes.Interface
	objects   dynamic.Interface
	namespace string
	host      string // this machine as pods reach it
	image     string // of runners
	program   string
	influx    string // port of InfluxDB
	shop      string // port of the system under test
	asked     atomic.Int64
	broken    atomic.Bool // the system under test
	dir       string
}

const influxToken = "sesame-of-the-cluster"

// newTestCluster needs a cluster whose pods reach this machine: see make
// cluster-test.
func newTestCluster(t *testing.T) *testCluster {
	t.Helper()
	image, influxd := os.Getenv("RESILIENCE_CLUSTER_RUNNER"), os.Getenv("RESILIENCE_CLUSTER_INFLUXD")
	if image == "" || influxd == "" {
		t.Skip("needs a cluster, an image of runners and an influxd: make cluster-test")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	config.QPS, config.Burst = 100, 150
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	objects, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	server, err := url.Parse(config.Host)
	require.NoError(t, err)
	c := &testCluster{t: t, client: client, objects: objects, host: server.Hostname(), image: image, program: os.Getenv("RESILIENCE_CLUSTER_PROGRAM"), dir: t.TempDir()}
	made, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "resilience-test-"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.namespace = made.Name
	t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.Background(), c.namespace, metav1.DeleteOptions{})
	})
	require.Eventually(t, func() bool {
		_, err := client.CoreV1().ServiceAccounts(c.namespace).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	}, 30*time.Second, 100*time.Millisecond, "the namespace is ready")
	c.define()
	c.serve()
	c.startInflux(influxd)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); operator{c}.work(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return c
}

// account gives the command line that has the program act with just the rights
// that docs/distribute.md lists.
func (c *testCluster) account() []string {
	c.t.Helper()
	page, err := os.ReadFile(os.Getenv("RESILIENCE_CLUSTER_DOCS"))
	require.NoError(c.t, err)
	_, rest, found := bytes.Cut(page, []byte("<!-- role -->\n```yaml\n"))
	require.True(c.t, found)
	block, _, _ := bytes.Cut(rest, []byte("```"))
	text, err := yaml.ToJSON(block)
	require.NoError(c.t, err)
	var role rbacv1.Role
	require.NoError(c.t, json.Unmarshal(text, &role))
	role.Namespace = c.namespace
	_, err = c.client.RbacV1().Roles(c.namespace).Create(c.t.Context(), &role, metav1.CreateOptions{})
	require.NoError(c.t, err)
	_, err = c.client.RbacV1().RoleBindings(c.namespace).Create(c.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "runs"}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "runs", Namespace: c.namespace}},
	}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	_, err = c.client.CoreV1().ServiceAccounts(c.namespace).Create(c.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "runs"}}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	token, err := c.client.CoreV1().ServiceAccounts(c.namespace).CreateToken(c.t.Context(), "runs", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	config, err := clientcmd.LoadFromFile(os.Getenv("KUBECONFIG"))
	require.NoError(c.t, err)
	for _, user := range config.AuthInfos {
		*user = clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	path := filepath.Join(c.dir, "account.yaml")
	require.NoError(c.t, clientcmd.WriteToFile(*config, path))
	return []string{"--kubeconfig", path}
}

// serve is the system under test.
func (c *testCluster) serve() {
	listener, err := net.Listen("tcp", "0.0.0.0:0") // pods reach it
	require.NoError(c.t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c.asked.Add(1)
		if c.broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte("bought"))
	})}
	go func() { _ = server.Serve(listener) }()
	c.t.Cleanup(func() { server.Close() })
	c.shop = portOf(listener)
}

func portOf(l net.Listener) string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

func (c *testCluster) startInflux(program string) {
	free, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(c.t, err)
	c.influx = portOf(free)
	require.NoError(c.t, free.Close())
	dir := c.t.TempDir()
	cmd := exec.Command(program, "--bolt-path", filepath.Join(dir, "bolt"), "--engine-path", filepath.Join(dir, "engine"), "--sqlite-path", filepath.Join(dir, "sqlite"),
		"--http-bind-address", "0.0.0.0:"+c.influx, "--reporting-disabled", "--log-level", "error")
	require.NoError(c.t, cmd.Start())
	c.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	setup, err := json.Marshal(map[string]string{"username": "u", "password": "password", "org": "resilience", "bucket": "resilience", "token": influxToken})
	require.NoError(c.t, err)
	require.Eventually(c.t, func() bool {
		resp, err := http.Post("http://127.0.0.1:"+c.influx+"/api/v2/setup", "application/json", bytes.NewReader(setup))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusCreated
	}, time.Minute, 100*time.Millisecond, "InfluxDB is ready")
}

const buying = `
import http from 'k6/http';
import { path } from './lib.js';
export default function () { http.get(__ENV.TARGET_URL + path, { headers: { 'X-Password': __ENV.PASSWORD } }); }
`

// plan writes one of a test of so many seconds.
func (c *testCluster) plan(image string, seconds int, gates string) {
	c.t.Helper()
	for name, text := range map[string]string{"buy.js": buying, "lib.js": "export const path = '/buy';", "plan.yaml": `
name: shop
secrets: {password: {env: PASSWORD}, influx: {env: TOKEN}}
influx: {url: "http://127.0.0.1:` + c.influx + `", org: resilience, bucket: resilience, token: "${secrets.influx}"}
targets: {shop: {url: "http://` + c.host + `:` + c.shop + `"}}
distribute:
  image: ` + image + `
  namespace: ` + c.namespace + `
  begin: 60s
  influx: {url: "http://` + c.host + `:` + c.influx + `", insecure: true}
phases:
  - name: beta
    candidate: shop
    tests:
      - name: buy
        load: {script: buy.js, rate: 40/s, max_vus: 20, duration: ` + strconv.Itoa(seconds) + `s, warmup: 1s, grace: 5s, parallel: 2, env: {PASSWORD: "${secrets.password}"}}
    abort_if: [errors > 50%]
    gates: ` + gates + `
`} {
		require.NoError(c.t, os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600))
	}
}

// start starts the program with a command line.
func (c *testCluster) start(args ...string) (cmd *exec.Cmd, out *bytes.Buffer) {
	c.t.Helper()
	cmd, out = exec.CommandContext(c.t.Context(), c.program, args...), &bytes.Buffer{}
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "PASSWORD=hidden-password", "TOKEN="+influxToken)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(c.t, cmd.Start())
	return cmd, out
}

// ends waits for a command that must end with a code.
func (c *testCluster) ends(cmd *exec.Cmd, out *bytes.Buffer, code int) {
	c.t.Helper()
	_ = cmd.Wait()
	c.t.Logf("%s", out)
	require.Equal(c.t, code, cmd.ProcessState.ExitCode())
	require.NotContains(c.t, out.String(), "hidden-password")
	require.NotContains(c.t, out.String(), influxToken)
	c.empty()
}

// empty wants nothing to be left of a run.
func (c *testCluster) empty() {
	c.t.Helper()
	for _, kind := range []string{"TestRun", "Secret", "ConfigMap"} {
		list, err := c.objects.Resource(resourcesOfKinds[kind]).Namespace(c.namespace).List(c.t.Context(), metav1.ListOptions{LabelSelector: LabelRun})
		require.NoError(c.t, err)
		require.Empty(c.t, list.Items, kind)
	}
	require.Eventually(c.t, func() bool {
		list, err := c.client.CoreV1().Pods(c.namespace).List(c.t.Context(), metav1.ListOptions{LabelSelector: "k6_cr"})
		return err == nil && len(list.Items) == 0
	}, time.Minute, 200*time.Millisecond, "all pods are gone")
}

// sending waits until the runners send.
func (c *testCluster) sending() {
	c.t.Helper()
	before := c.asked.Load()
	require.Eventually(c.t, func() bool { return c.asked.Load() > before+40 }, 90*time.Second, 50*time.Millisecond, "runners send")
}

// The verdict of a phase that runners on a cluster send is that of a local run.
func TestClusterDistribute(t *testing.T) {
	c := newTestCluster(t)
	c.plan(c.image, 10, `[availability >= 95%, "availability >= 95% overall"]`)
	account := c.account()
	const tries, notDelivered = 3, 5
	for try := 1; ; try++ { // this machine may be busy with the cluster itself
		cmd, out := c.start(append(account, "distribute", "plan.yaml", "--phase", "beta", "--apply", "--out", "reports")...)
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() == notDelivered && try < tries {
			t.Logf("try %d: %s", try, out)
			continue
		}
		c.ends(cmd, out, 0)
		require.Regexp(t, `PASS +shop`, out.String())
		break
	}
	for _, report := range []string{"record.db", "junit.xml"} {
		require.FileExists(t, filepath.Join(c.dir, "reports", report))
	}
	// It is all in InfluxDB, too, once.
	cmd, out := c.start("judge", "last")
	c.ends(cmd, out, 0)
	id := runID(t, filepath.Join(c.dir, ".resilience/runs"))
	cmd = exec.CommandContext(t.Context(), c.program, "judge", "influx://127.0.0.1:"+c.influx+"/resilience?run="+id)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "INFLUX_TOKEN="+influxToken, "INFLUX_ORG=resilience")
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
}

func runID(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return strings.TrimSuffix(filepath.Base(files[len(files)-1]), ".db")
}

// One that is killed makes the verdict inconclusive, and is named.
func TestClusterDistributeKilled(t *testing.T) {
	c := newTestCluster(t)
	c.plan(c.image, 15, `[availability >= 95%]`)
	cmd, out := c.start("distribute", "plan.yaml", "--phase", "beta", "--apply")
	c.sending()
	pods, err := c.client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "runner=true"})
	require.NoError(t, err)
	at := 0
	for i, p := range pods.Items {
		if strings.HasSuffix(p.Labels["job-name"], "-2") {
			at = i
		}
	}
	victim, now := pods.Items[at].Name, int64(0)
	require.NoError(t, c.client.CoreV1().Pods(c.namespace).Delete(t.Context(), victim, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	c.ends(cmd, out, 5)
	require.Contains(t, out.String(), fmt.Sprintf("runner 2 of 2 (pod %s)", victim))
}

// Runners that can not begin are named, with what keeps them.
func TestClusterDistributeWithoutImage(t *testing.T) {
	c := newTestCluster(t)
	c.plan("127.0.0.1:1/nobody/has-this:1", 5, `[availability >= 95%]`)
	file := filepath.Join(c.dir, "plan.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, bytes.Replace(text, []byte("begin: 60s"), []byte("begin: 15s"), 1), 0o600))
	cmd, out := c.start("distribute", "plan.yaml", "--phase", "beta", "--apply")
	c.ends(cmd, out, 5)
	require.Regexp(t, `did not begin within 15s: the pod \S+-initializer-\S+ of k6-operator is not running: (ErrImagePull|ImagePullBackOff)`, out.String())
}

// Ctrl-C stops the runners, and leaves nothing.
func TestClusterDistributeInterrupted(t *testing.T) {
	c := newTestCluster(t)
	c.plan(c.image, 60, `[availability >= 95%]`)
	cmd, out := c.start("distribute", "plan.yaml", "--phase", "beta", "--apply")
	c.sending()
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	c.ends(cmd, out, 130)
	c.silent()
}

// silent wants nobody to send any more.
func (c *testCluster) silent() {
	c.t.Helper()
	stopped := c.asked.Load()
	require.Never(c.t, func() bool { return c.asked.Load() > stopped }, 2*time.Second, 100*time.Millisecond)
}

// What ends a phase early ends it for all runners.
func TestClusterDistributeAborted(t *testing.T) {
	c := newTestCluster(t)
	c.plan(c.image, 120, `[availability >= 95%]`)
	began := time.Now()
	cmd, out := c.start("distribute", "plan.yaml", "--phase", "beta", "--apply")
	c.sending()
	c.broken.Store(true)
	c.ends(cmd, out, 99)
	require.Less(t, time.Since(began), 100*time.Second)
	require.Contains(t, out.String(), "errors > 50%")
	c.silent()
}

// The API server refuses what is not a TestRun.
func TestClusterRefusesOtherFields(t *testing.T) {
	c := newTestCluster(t)
	all, _ := manifestsOf(t, aJob(t))
	run := all[3]
	run.Metadata.Namespace = c.namespace
	api := newCluster(c.objects, c.client, c.namespace)
	_, err := api.create(t.Context(), run)
	require.NoError(t, err)
	require.NoError(t, api.remove(t.Context(), run))
	run.Data = map[string][]byte{"x": nil}
	_, err = api.create(t.Context(), run)
	require.ErrorContains(t, err, `unknown field "data"`)
}

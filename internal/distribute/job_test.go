package distribute

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/yaml"

	"resilience/internal/plan"
)

var update = flag.Bool("update", false, "write the golden manifests")

// aJob is one with everything in it.
func aJob(t *testing.T) Job {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"users.csv": "user\nada\n", "ca.pem": "-- target's --"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	profile := plan.Profile{Script: "checkout.js", Rate: 100, Duration: plan.Duration(time.Minute), Grace: plan.Duration(30 * time.Second), Parallel: 4, Data: "users.csv"}
	s := plan.Stream{
		Phase: "beta", Arm: "candidate", Test: plan.Test{Name: "Checkout_1", Load: &profile}, Dir: dir, Run: "20260102T150405Z-ab12", Seed: 7,
		Target: plan.Target{URL: "https://shop.load.svc", TLS: &plan.TLS{CA: "ca.pem"}, Auth: &plan.Auth{OAuth2: &plan.OAuth2{ClientSecret: "of-the-client"}}}, Hosts: []string{"shop.load.svc:443"},
		Control: &plan.Control{URL: "http://127.0.0.1:1", Token: "of-the-control"}, Env: map[string]string{"PASSWORD": "hidden-env"},
	}
	return Job{
		Settings: plan.Settings{Source: "k6/beta/Checkout_1/candidate", Stream: s, Headers: map[string]string{"Authorization": "Bearer hidden-header"}},
		Archive:  []byte("an archive"), Env: map[string]string{"TARGET_URL": "https://shop.load.svc", "PASSWORD": "hidden-env"},
		Influx: Influx{URL: "http://influx.load:8086", Org: "shop", Bucket: "runs", Token: "hidden-token", Insecure: true, CA: []byte("-- InfluxDB's --")},
		On: plan.Distribute{
			Image: "registry.example.com/resilience:1", PullSecret: "registry", Namespace: "load", ServiceAccount: "runner", Separate: true,
			Resources:    &plan.RunnerResources{CPU: "1", Memory: "512Mi", MemoryLimit: "1Gi"},
			NodeSelector: map[string]string{"pool": "load"}, Labels: map[string]string{"team": "shop"}, Annotations: map[string]string{"note": "load"},
			Begin: plan.Duration(time.Minute),
		},
	}
}

func manifestsOf(t *testing.T, j Job) (all []Manifest, text string) {
	t.Helper()
	all, err := j.Manifests()
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, WriteYAML(&out, all...))
	return all, out.String()
}

func TestManifests(t *testing.T) {
	all, err := aJob(t).Manifests()
	require.NoError(t, err)
	all[0].Data["settings.json"] = []byte("of the run") // with all that a plan can say
	var out bytes.Buffer
	require.NoError(t, WriteYAML(&out, all...))
	got := out.String()
	const golden = "testdata/manifests.yaml"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "go test ./internal/distribute -run Manifests -update writes it anew")
}

// Secrets are in Secrets only, and what belongs to this machine nowhere.
func TestManifestsKeepSecrets(t *testing.T) {
	all, _ := manifestsOf(t, aJob(t))
	secret := map[string]string{}
	for _, m := range all {
		text, err := json.Marshal(m)
		require.NoError(t, err)
		if !m.Secret() {
			require.NotContains(t, string(text), "hidden", m.what())
		}
		for key, data := range m.Data {
			secret[key] = string(data)
		}
		require.NotContains(t, string(m.Data["settings.json"]), "of-the-c")
	}
	require.Contains(t, secret["settings.json"], "hidden-header")
	require.Equal(t, "hidden-token", secret["token"])
	require.Equal(t, "hidden-env", secret["PASSWORD"])
	require.Equal(t, "user\nada\n", secret["data.csv"])
	require.Equal(t, "-- target's --\n-- InfluxDB's --", secret["ca.pem"])
	var settings plan.Settings
	require.NoError(t, json.Unmarshal([]byte(secret["settings.json"]), &settings))
	require.Equal(t, "/resilience/data.csv", plan.Locate(settings.Stream.Dir, settings.Stream.Test.Load.Data))
}

func TestManifestsWithASecretThatIsThere(t *testing.T) {
	j := aJob(t)
	j.Influx.Secret = "influx"
	all, _ := manifestsOf(t, j)
	require.NotContains(t, all[0].Data, "token")
	env := all[3].Spec.Runner.Env
	require.Contains(t, env, variable{Name: "INFLUX_TOKEN", ValueFrom: &valueFrom{secretKey{"influx", "token"}}})
	j.Influx = Influx{URL: "https://influx.load", Bucket: "runs"}
	all, _ = manifestsOf(t, j)
	for _, v := range all[3].Spec.Runner.Env {
		require.NotContains(t, []string{"INFLUX_TOKEN", "INFLUX_INSECURE_HTTP", "INFLUX_ORG"}, v.Name)
	}
}

func TestManifestsThatDoNotFit(t *testing.T) {
	j := aJob(t)
	j.Archive = make([]byte, mostBytes+1)
	_, err := j.Manifests()
	require.EqualError(t, err, "test Checkout_1: its script has 1048577 bytes with all that it imports and opens, and a ConfigMap holds 1048576: open smaller files, or fetch them in setup()")
	j = aJob(t)
	require.NoError(t, os.WriteFile(filepath.Join(j.Settings.Stream.Dir, "users.csv"), make([]byte, mostBytes), 0o600))
	_, err = j.Manifests()
	require.ErrorContains(t, err, "give it a smaller file as data")
	j = aJob(t)
	j.On.Image = ""
	_, err = j.Manifests()
	require.ErrorContains(t, err, "give --image")
}

// The names of what the operator makes of a TestRun must not be longer than a
// label.
func TestNames(t *testing.T) {
	j := aJob(t)
	require.Regexp(t, `^r-20260102t150405z-ab12-checkout-1-[0-9a-f]{6}$`, j.Name())
	seen := map[string]bool{}
	for _, test := range []string{"a", "a-very-long-name-of-a-test-that-goes-on", "a-very-long-name-of-a-test-that-ends", "...", "Ünïcode"} {
		for _, first := range []uint64{0, 100} {
			j.Settings.Stream.Test.Name, j.Settings.Stream.First = test, first
			require.LessOrEqual(t, len(j.Name()+"-initializer-xxxxx"), 63)
			require.Regexp(t, `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, j.Name())
			require.False(t, seen[j.Name()], j.Name())
			seen[j.Name()] = true
		}
	}
}

//go:embed testdata/testruns.yaml
var definition []byte

// schemaOfTestRuns is that of the definition, in which unknown fields are wrong.
func schemaOfTestRuns(t *testing.T) *jsonschema.Schema {
	t.Helper()
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				}
			}
		}
	}
	text, err := yaml.ToJSON(definition)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &crd))
	root := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	var seal func(any)
	seal = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			if _, listed := node["properties"]; listed {
				node["additionalProperties"] = false
			}
			for _, below := range node {
				seal(below)
			}
		case []any:
			for _, below := range node {
				seal(below)
			}
		}
	}
	seal(root["properties"].(map[string]any)["spec"])
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("testruns.json", root))
	schema, err := compiler.Compile("testruns.json")
	require.NoError(t, err)
	return schema
}

// What we write is a TestRun of the names and types that k6-operator publishes.
func TestManifestsAreTestRuns(t *testing.T) {
	schema := schemaOfTestRuns(t)
	decoded := func(m Manifest) any {
		text, err := json.Marshal(m)
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		return value
	}
	all, _ := manifestsOf(t, aJob(t))
	require.NoError(t, schema.Validate(decoded(all[3])))
	plain := aJob(t)
	plain.On = plan.Distribute{Image: "a", Namespace: "default"}
	all, _ = manifestsOf(t, plain)
	require.NoError(t, schema.Validate(decoded(all[3])))

	value := decoded(all[3]).(map[string]any)
	value["spec"].(map[string]any)["runner"].(map[string]any)["imagePolicy"] = "Never"
	require.ErrorContains(t, schema.Validate(value), "imagePolicy")
}

func TestCheck(t *testing.T) {
	p := plan.Plan{Targets: map[string]plan.Target{
		"far": {URL: "https://shop.load.svc"}, "service": {URL: "${services.web.url}"}, "proxy": {URL: "${dependencies.web.url}/x"}, "here": {URL: "http://localhost:8080"},
		"there": {URL: "http://127.0.0.2"}, "any": {URL: "http://0.0.0.0:1"}, "cert": {URL: "https://shop.load.svc", TLS: &plan.TLS{Cert: "c.pem"}},
	}}
	script := plan.Test{Name: "checkout", Load: &plan.Profile{Script: "checkout.js"}}
	require.NoError(t, Check(p, plan.Phase{Name: "beta", Candidate: "far", Baseline: plan.Baseline{Target: "far"}, Tests: []plan.Test{script}}))
	for target, want := range map[string]string{
		"service": "target service is a service of the plan on this machine, which a cluster can not reach", "proxy": "a proxy on this machine",
		"here": "localhost:8080 on this machine", "there": "127.0.0.2 on this machine", "any": "0.0.0.0:1 on this machine", "cert": "client certificate",
	} {
		require.ErrorContains(t, Check(p, plan.Phase{Name: "beta", Candidate: "far", Baseline: plan.Baseline{Target: target}, Tests: []plan.Test{script}}), want)
	}
	err := Check(p, plan.Phase{Name: "beta", Candidate: "far", Tests: []plan.Test{
		{Name: "home", Soak: &plan.Profile{}}, {Name: "hurt", Load: &plan.Profile{Script: "x.js", Injects: plan.Names{"slow"}}},
	}})
	require.Equal(t, []string{
		"phase beta: test home has no script, and runners on a cluster are k6: write script: instead of requests:, or send it with resilience run",
		"phase beta: test hurt injects slow from its script, whose runners are not where the proxies are: write it as disruptions: of the phase",
	}, strings.Split(err.Error(), "\n"))
}

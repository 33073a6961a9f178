package distribute

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"strings"

	"resilience/internal/plan"
)

// Labels of every object and pod of a run.
const (
	LabelRun  = "resilience/run"
	LabelTest = "resilience/test"
)

// Job is the traffic of one stream as runners on a cluster send it.
type Job struct {
	Settings plan.Settings     // with credentials as they are now
	Archive  []byte            // of the script, with the profile in its options; without secrets
	Env      map[string]string // for the script; may hold secrets
	Influx   Influx
	On       plan.Distribute
}

// Influx is where runners write, as they reach it.
type Influx struct {
	URL, Org, Bucket string
	Token            string // "" for none, or when Secret has it
	Secret           string // the name of a Secret that is there, with the token under "token"; "" for one of our own
	Insecure         bool   // the token may go over plain http
	CA               []byte // certificates to trust beside the system's (PEM); nil for none
}

const (
	folder     = "/resilience" // of settings, in runners
	scriptFile = "script.tar"
	user       = 65532 // of no user that a usual image knows
	restPort   = 6565  // of k6, as the operator wants it

	// mostBytes is what a ConfigMap or a Secret may hold.
	// https://kubernetes.io/docs/concepts/configuration/configmap/#motivation
	mostBytes = 1 << 20
)

// Manifests are the objects that the job is on a cluster, the TestRun last.
func (j Job) Manifests() ([]Manifest, error) {
	if j.On.Image == "" {
		return nil, errors.New("there is no image for the runners: write image: under distribute: in the plan, or give --image")
	}
	if len(j.Archive) > mostBytes {
		return nil, fmt.Errorf("test %s: its script has %d bytes with all that it imports and opens, and a ConfigMap holds %d: open smaller files, or fetch them in setup()",
			j.Settings.Stream.Test.Name, len(j.Archive), mostBytes)
	}
	settings, err := j.settings()
	if err != nil {
		return nil, err
	}
	configMap := j.object("v1", "ConfigMap", "-script")
	configMap.BinaryData = map[string][]byte{scriptFile: j.Archive}
	env := j.object("v1", "Secret", "-env")
	env.Type, env.Data = "Opaque", map[string][]byte{}
	for name, value := range j.Env {
		env.Data[name] = []byte(value)
	}
	if _, trusts := settings.Data["ca.pem"]; trusts {
		env.Data["SSL_CERT_FILE"] = []byte(path.Join(folder, "ca.pem"))
	}
	run := j.object("k6.io/v1alpha1", "TestRun", "")
	run.Spec = j.spec()
	return []Manifest{settings, env, configMap, run}, nil
}

func (j Job) object(version, kind, suffix string) Manifest {
	return Manifest{APIVersion: version, Kind: kind, Metadata: metadata{Name: j.Name() + suffix, Namespace: j.On.Namespace, Labels: j.labels()}}
}

// Name is that of the TestRun; it tells the run, the test and the arm, and is
// short enough for what the operator adds.
func (j Job) Name() string {
	s := j.Settings.Stream
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s/%d", s.Phase, s.Test.Name, s.Arm, s.First))
	return fmt.Sprintf("r-%s-%s-%x", slug(s.Run, 24), slug(s.Test.Name, 12), sum[:3])
}

// slug is a text as the name of an object may hold it.
func slug(text string, most int) string {
	out := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	return cmp.Or(strings.Trim(out[:min(len(out), most)], "-"), "x")
}

func (j Job) labels() map[string]string {
	return map[string]string{LabelRun: j.Settings.Stream.Run, LabelTest: slug(j.Settings.Stream.Test.Name, 63)}
}

// settings are the Secret with what runners are told, and the files that they
// read.
func (j Job) settings() (Manifest, error) {
	m := j.object("v1", "Secret", "-settings")
	m.Type, m.Data = "Opaque", map[string][]byte{}
	s := j.Settings
	dir := s.Stream.Dir
	s.Stream.Dir, s.Stream.Control, s.Stream.Target.Auth = folder, nil, nil // the headers carry the credentials
	if file := profileOf(&s.Stream).Data; file != "" {
		data, err := os.ReadFile(plan.Locate(dir, file))
		if err != nil {
			return m, fmt.Errorf("test %s: data: %w", s.Stream.Test.Name, err)
		}
		name := "data" + path.Ext(file)
		m.Data[name], profileOf(&s.Stream).Data = data, name
	}
	trusted := j.Influx.CA
	if tls := s.Stream.Target.TLS; tls != nil && tls.CA != "" {
		ca, err := os.ReadFile(plan.Locate(dir, tls.CA))
		if err != nil {
			return m, fmt.Errorf("tls: ca: %w", err)
		}
		trusted = append(append(ca, '\n'), trusted...)
	}
	if len(trusted) > 0 {
		m.Data["ca.pem"] = trusted
	}
	if j.Influx.Token != "" && j.Influx.Secret == "" {
		m.Data["token"] = []byte(j.Influx.Token)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return m, err
	}
	m.Data["settings.json"] = text
	sum := 0
	for _, data := range m.Data {
		sum += len(data)
	}
	if sum > mostBytes {
		return m, fmt.Errorf("test %s: what its runners are told has %d bytes, and a Secret holds %d: give it a smaller file as data", s.Stream.Test.Name, sum, mostBytes)
	}
	return m, nil
}

// profileOf is the profile of a stream's test, a copy that may be changed.
func profileOf(s *plan.Stream) *plan.Profile {
	for _, p := range []**plan.Profile{&s.Test.Load, &s.Test.Stress, &s.Test.Spike, &s.Test.Soak} {
		if *p != nil {
			changed := **p
			*p = &changed
			return *p
		}
	}
	return &plan.Profile{}
}

// arguments are those of k6 in the runners; the operator gives all but --out to
// `k6 archive` as well.
const arguments = "--out resilience=influx --no-usage-report --no-thresholds --summary-mode=disabled"

func (j Job) spec() *testRunSpec {
	runner := j.pod()
	runner.Env = append(runner.Env, j.influx()...)
	runner.Env = append(runner.Env, variable{Name: "RESILIENCE_SETTINGS", Value: path.Join(folder, "settings.json")})
	runner.Volumes = append(runner.Volumes, volume{Name: "settings", Secret: &secretVolume{SecretName: j.Name() + "-settings", DefaultMode: 0o440}})
	runner.VolumeMounts = append(runner.VolumeMounts, mount{Name: "settings", MountPath: folder, ReadOnly: true})
	// A busy runner may be slow to answer: the operator's own probes would kill it.
	runner.LivenessProbe, runner.ReadinessProbe = probeOf(12), probeOf(3)
	runner.Metadata = &podMetadata{Labels: maps.Clone(j.On.Labels), Annotations: j.On.Annotations}
	if runner.Metadata.Labels == nil {
		runner.Metadata.Labels = map[string]string{}
	}
	maps.Copy(runner.Metadata.Labels, j.labels())
	starter := &podSpec{AutomountServiceAccountToken: "false", NodeSelector: j.On.NodeSelector}
	starter.harden()
	return &testRunSpec{
		Parallelism: j.parallel(), Script: script{configMapFile{j.Name() + "-script", scriptFile}}, Arguments: arguments, Separate: j.On.Separate,
		Initializer: j.pod(), Starter: starter, Runner: runner,
	}
}

func (j Job) parallel() int {
	_, profile := j.Settings.Stream.Test.Kind()
	return max(1, profile.Parallel)
}

// pod is what the pods of k6 have in common.
func (j Job) pod() *podSpec {
	p := &podSpec{
		Image: j.On.Image, ServiceAccountName: j.On.ServiceAccount, AutomountServiceAccountToken: "false",
		NodeSelector: j.On.NodeSelector, Resources: resourcesOf(j.On.Resources),
		EnvFrom: []envFrom{{named{j.Name() + "-env"}}},
		Env:     []variable{{Name: "K6_INCLUDE_SYSTEM_ENV_VARS", Value: "true"}},
		Volumes: []volume{{Name: "tmp", EmptyDir: &emptyDir{"1Gi"}}}, VolumeMounts: []mount{{Name: "tmp", MountPath: "/tmp"}},
	}
	if j.On.PullSecret != "" {
		p.ImagePullSecrets = []named{{j.On.PullSecret}}
	}
	p.harden()
	return p
}

// harden takes all rights from a pod that k6 and curl can do without: it fits the
// "restricted" standard.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
func (p *podSpec) harden() {
	p.SecurityContext = &podSecurity{RunAsNonRoot: true, RunAsUser: user, RunAsGroup: user, FSGroup: user, SeccompProfile: seccomp{"RuntimeDefault"}}
	p.ContainerSecurityContext = &containerSecurity{ReadOnlyRootFilesystem: true, Capabilities: capabilities{[]string{"ALL"}}}
}

func probeOf(failures int) *probe {
	return &probe{HTTPGet: httpGet{"/v1/status", restPort}, PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: failures}
}

func resourcesOf(r *plan.RunnerResources) *resources {
	if r == nil {
		return nil
	}
	out := &resources{Requests: map[string]string{}, Limits: map[string]string{}}
	for _, one := range []struct{ name, request, limit string }{{"cpu", r.CPU, r.CPULimit}, {"memory", r.Memory, r.MemoryLimit}} {
		if one.request != "" {
			out.Requests[one.name] = one.request
		}
		if limit := cmp.Or(one.limit, one.request); limit != "" {
			out.Limits[one.name] = limit
		}
	}
	return out
}

// influx tells a runner where to write.
func (j Job) influx() []variable {
	env := []variable{{Name: "INFLUX_URL", Value: j.Influx.URL}, {Name: "INFLUX_BUCKET", Value: j.Influx.Bucket}}
	if j.Influx.Org != "" {
		env = append(env, variable{Name: "INFLUX_ORG", Value: j.Influx.Org})
	}
	if j.Influx.Insecure {
		env = append(env, variable{Name: "INFLUX_INSECURE_HTTP", Value: "true"})
	}
	if secret := cmp.Or(j.Influx.Secret, j.Name()+"-settings"); j.Influx.Secret != "" || j.Influx.Token != "" {
		env = append(env, variable{Name: "INFLUX_TOKEN", ValueFrom: &valueFrom{secretKey{secret, "token"}}})
	}
	return env
}

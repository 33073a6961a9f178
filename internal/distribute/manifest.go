package distribute

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"
)

// Manifest is one object of Kubernetes.
type Manifest struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metadata          `json:"metadata"`
	Type       string            `json:"type,omitempty"`       // of a Secret
	Data       map[string][]byte `json:"data,omitempty"`       // of a Secret
	BinaryData map[string][]byte `json:"binaryData,omitempty"` // of a ConfigMap
	Spec       *testRunSpec      `json:"spec,omitempty"`
}

// Secret reports whether somebody who reads the manifest learns secrets.
func (m Manifest) Secret() bool { return m.Kind == "Secret" }

// Name is that of the object.
func (m Manifest) Name() string { return m.Metadata.Name }

// WriteYAML writes manifests as the documents of one YAML file.
func WriteYAML(w io.Writer, manifests ...Manifest) error {
	for i, m := range manifests {
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if text, err = yaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("%s %s: %w", m.Kind, m.Name(), err)
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}

type metadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// testRunSpec is what we use of a TestRun, k6.io/v1alpha1. The operator itself adds
// execution segments, --paused, --address and --tag instance_id to the arguments.
// https://github.com/grafana/k6-operator/blob/main/api/v1alpha1/testrun_types.go
type testRunSpec struct {
	Parallelism int      `json:"parallelism"`
	Script      script   `json:"script"`
	Arguments   string   `json:"arguments"`
	Separate    bool     `json:"separate,omitempty"`
	Initializer *podSpec `json:"initializer"`
	Starter     *podSpec `json:"starter"`
	Runner      *podSpec `json:"runner"`
}

type script struct {
	ConfigMap configMapFile `json:"configMap"`
}

type configMapFile struct {
	Name string `json:"name"`
	File string `json:"file"`
}

type podSpec struct {
	Image                        string             `json:"image,omitempty"`
	ImagePullSecrets             []named            `json:"imagePullSecrets,omitempty"`
	Metadata                     *podMetadata       `json:"metadata,omitempty"`
	ServiceAccountName           string             `json:"serviceAccountName,omitempty"`
	AutomountServiceAccountToken string             `json:"automountServiceAccountToken"` // "false": text, in a TestRun
	NodeSelector                 map[string]string  `json:"nodeSelector,omitempty"`
	Resources                    *resources         `json:"resources,omitempty"`
	Env                          []variable         `json:"env,omitempty"`
	EnvFrom                      []envFrom          `json:"envFrom,omitempty"`
	Volumes                      []volume           `json:"volumes,omitempty"`
	VolumeMounts                 []mount            `json:"volumeMounts,omitempty"`
	LivenessProbe                *probe             `json:"livenessProbe,omitempty"`
	ReadinessProbe               *probe             `json:"readinessProbe,omitempty"`
	SecurityContext              *podSecurity       `json:"securityContext,omitempty"`
	ContainerSecurityContext     *containerSecurity `json:"containerSecurityContext,omitempty"`
}

type named struct {
	Name string `json:"name"`
}

type podMetadata struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type resources struct {
	Requests map[string]string `json:"requests,omitempty"`
	Limits   map[string]string `json:"limits,omitempty"`
}

type variable struct {
	Name      string     `json:"name"`
	Value     string     `json:"value,omitempty"`
	ValueFrom *valueFrom `json:"valueFrom,omitempty"`
}

type valueFrom struct {
	SecretKeyRef secretKey `json:"secretKeyRef"`
}

type secretKey struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

type envFrom struct {
	SecretRef named `json:"secretRef"`
}

type volume struct {
	Name     string        `json:"name"`
	Secret   *secretVolume `json:"secret,omitempty"`
	EmptyDir *emptyDir     `json:"emptyDir,omitempty"`
}

type secretVolume struct {
	SecretName  string `json:"secretName"`
	DefaultMode int    `json:"defaultMode"`
}

type emptyDir struct {
	SizeLimit string `json:"sizeLimit"`
}

type mount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

type probe struct {
	HTTPGet          httpGet `json:"httpGet"`
	PeriodSeconds    int     `json:"periodSeconds"`
	TimeoutSeconds   int     `json:"timeoutSeconds"`
	FailureThreshold int     `json:"failureThreshold"`
}

type httpGet struct {
	Path string `json:"path"`
	Port int    `json:"port"`
}

type podSecurity struct {
	RunAsNonRoot   bool    `json:"runAsNonRoot"`
	RunAsUser      int     `json:"runAsUser"`
	RunAsGroup     int     `json:"runAsGroup"`
	FSGroup        int     `json:"fsGroup"`
	SeccompProfile seccomp `json:"seccompProfile"`
}

type seccomp struct {
	Type string `json:"type"`
}

type containerSecurity struct {
	AllowPrivilegeEscalation bool         `json:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool         `json:"readOnlyRootFilesystem"`
	Capabilities             capabilities `json:"capabilities"`
}

type capabilities struct {
	Drop []string `json:"drop"`
}

func (m Manifest) what() string { return m.Kind + " " + m.Metadata.Namespace + "/" + m.Name() }

package plan

// Distribute is how `resilience distribute` has the traffic of a plan's scripts
// sent by runners on a cluster with k6-operator. Flags of that command override
// image, namespace and kubeconfig; `resilience run` does not look at it.
type Distribute struct {
	Image          string             `yaml:"image,omitempty"`           // of the runners, with this program as k6 in it; default none: give --image
	PullSecret     string             `yaml:"pull_secret,omitempty"`     // a Secret of the namespace, to pull the image with
	Kubeconfig     string             `yaml:"kubeconfig,omitempty"`      // path; default that of KUBECONFIG, then ~/.kube/config, then the account of the pod that this runs in
	Context        string             `yaml:"context,omitempty"`         // of the kubeconfig; default its current one
	Namespace      string             `yaml:"namespace,omitempty"`       // where runners are made; default default
	ServiceAccount string             `yaml:"service_account,omitempty"` // of the runners; default default, without its token
	Resources      *RunnerResources   `yaml:"resources,omitempty"`       // of each runner
	NodeSelector   map[string]string  `yaml:"node_selector,omitempty"`   // labels of the nodes that runners may be on
	Separate       bool               `yaml:"separate,omitempty"`        // no two runners on one node
	Labels         map[string]string  `yaml:"labels,omitempty"`          // of the runners' pods, beside those of k6-operator and our own
	Annotations    map[string]string  `yaml:"annotations,omitempty"`     // of the runners' pods
	Begin          Duration           `yaml:"begin,omitempty"`           // how long it may take until all runners have begun; default 5m
	Influx         *DistributedInflux `yaml:"influx,omitempty"`          // where runners find the InfluxDB of the run, if not where we do
}

// RunnerResources is what the scheduler sets aside for a runner (requests)
// and what it may not exceed (limits), as Kubernetes writes quantities.
type RunnerResources struct {
	CPU         string `yaml:"cpu,omitempty"`          // such as 1 or 500m
	Memory      string `yaml:"memory,omitempty"`       // such as 512Mi
	CPULimit    string `yaml:"cpu_limit,omitempty"`    // default cpu
	MemoryLimit string `yaml:"memory_limit,omitempty"` // default memory
}

// DistributedInflux is the InfluxDB of a run as the runners see it.
type DistributedInflux struct {
	URL      string `yaml:"url,omitempty"`      // base URL; default that of the run
	Secret   string `yaml:"secret,omitempty"`   // a Secret of the namespace that holds the token under the key token; default one that is made of the token of the run
	Insecure bool   `yaml:"insecure,omitempty"` // the token may go over plain http: for an InfluxDB in the network of the cluster
}

// Runners is how the plan wants its runners made; the defaults where it does not
// say.
func (p Plan) Runners() Distribute {
	if p.Distribute == nil {
		return Distribute{Namespace: defaultNamespace, Begin: defaultBegin}
	}
	return *p.Distribute
}

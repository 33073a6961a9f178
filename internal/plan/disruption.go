package plan

// Disruption is a scheduled fault. It acts on one of dependency, services,
// process, container and kubernetes, or on this machine where none is given.
// Just one fault is set.
type Disruption struct {
	Name       string      `yaml:"name" jsonschema:"required"` // given to gates: during NAME
	Dependency string      `yaml:"dependency,omitempty"`       // acts on a dependency, at its proxy
	Services   Names       `yaml:"services,omitempty"`         // acts on services of the plan: names, or patterns such as shop-*
	Process    *Process    `yaml:"process,omitempty"`          // acts on a process of this machine
	Container  *Container  `yaml:"container,omitempty"`        // acts on containers of Docker or Podman
	Kubernetes *Kubernetes `yaml:"kubernetes,omitempty"`       // acts on pods, workloads or nodes

	At      Duration  `yaml:"at,omitempty"`              // from the end of warm-up, or from the lifting of what it comes after; default 0s
	After   string    `yaml:"after,omitempty"`           // another disruption that must be lifted first
	Spread  Duration  `yaml:"spread,omitempty"`          // injected at a moment up to this much later, drawn from the seed
	For     Duration  `yaml:"for" jsonschema:"required"` // until it is lifted
	Repeat  *Repeat   `yaml:"repeat,omitempty"`          // again and again
	Sweep   bool      `yaml:"sweep,omitempty"`           // on each of the instances or dependencies in turn, not on all at once
	Settle  *Duration `yaml:"settle,omitempty"`          // how long after lifting is not yet steady; default 10s
	AbortIf []string  `yaml:"abort_if,omitempty"`        // conditions such as errors > 20%, over the last 10 s, that lift it at once
	AtMost  *Amount   `yaml:"at_most,omitempty"`         // instances to act on: a number, a percentage or all; default all but one, or the one that is called by its full name

	Match *Match  `yaml:"match,omitempty"` // only these requests
	Share Percent `yaml:"share,omitempty"` // of the requests, connections or packets that match; default 100%
	First uint64  `yaml:"first,omitempty"` // only so many of those
	Flap  *Flap   `yaml:"flap,omitempty"`  // in effect and not, in turns

	Latency     *Latency     `yaml:"latency,omitempty"`     // a fault: answers come late
	Error       *Error       `yaml:"error,omitempty"`       // a fault: answers are errors
	Reset       *Reset       `yaml:"reset,omitempty"`       // a fault: connections are reset
	Timeout     *Timeout     `yaml:"timeout,omitempty"`     // a fault: there is no answer
	Refuse      *Refuse      `yaml:"refuse,omitempty"`      // a fault: connections are refused
	Bandwidth   *Bandwidth   `yaml:"bandwidth,omitempty"`   // a fault: data trickles
	SlowClose   *SlowClose   `yaml:"slow_close,omitempty"`  // a fault: connections stay open after their end
	Truncate    *Truncate    `yaml:"truncate,omitempty"`    // a fault: answers are cut off
	Corrupt     *Corrupt     `yaml:"corrupt,omitempty"`     // a fault: answers have wrong bytes
	Slice       *Slice       `yaml:"slice,omitempty"`       // a fault: data comes in small pieces
	Certificate *Certificate `yaml:"certificate,omitempty"` // a fault: the proxy shows a bad certificate
	DNS         *DNS         `yaml:"dns,omitempty"`         // a fault: names are not resolved
	Clock       *Clock       `yaml:"clock,omitempty"`       // a fault: answers carry a wrong date
	Drop        *Drop        `yaml:"drop,omitempty"`        // a fault: packets to pods are lost
	Kill        *Kill        `yaml:"kill,omitempty"`        // a fault: instances die, and are started again when it is lifted
	Pause       *Pause       `yaml:"pause,omitempty"`       // a fault: instances stand still
	Restart     *Restart     `yaml:"restart,omitempty"`     // a fault: instances restart
	CPU         *CPU         `yaml:"cpu,omitempty"`         // a fault: the processors are busy
	Memory      *Memory      `yaml:"memory,omitempty"`      // a fault: memory is taken
	Disk        *Disk        `yaml:"disk,omitempty"`        // a fault: a disk is full
	Drain       *Drain       `yaml:"drain,omitempty"`       // a fault: a node is emptied
	Scale       *Scale       `yaml:"scale,omitempty"`       // a fault: a workload has fewer instances
	Exec        *Exec        `yaml:"exec,omitempty"`        // a fault that commands put into effect and lift
	HTTP        *HTTP        `yaml:"http,omitempty"`        // a fault that calls put into effect and lift
}

// Repeat injects a disruption several times. All of them together are its
// period.
type Repeat struct {
	Times int      `yaml:"times" jsonschema:"required"` // 2 or more, the first included
	Every Duration `yaml:"every" jsonschema:"required"` // from injection to injection
}

// Flap is a fault that comes and goes, beginning with the fault.
type Flap struct {
	On  Duration `yaml:"on" jsonschema:"required"`  // in effect, at least 1ms
	Off Duration `yaml:"off" jsonschema:"required"` // not in effect, at least 1ms
}

// Match limits a fault to some requests; all that is given must match.
type Match struct {
	Path    string            `yaml:"path,omitempty"`    // exact, or a prefix ending in *
	Method  string            `yaml:"method,omitempty"`  // such as POST
	Header  map[string]string `yaml:"header,omitempty"`  // name: value
	GRPC    string            `yaml:"grpc,omitempty"`    // such as shop.Payments/Charge, or shop.Payments/*
	Tenant  string            `yaml:"tenant,omitempty"`  // of a request marked by X-Resilience-Tenant or resilience.tenant in baggage
	Exclude Names             `yaml:"exclude,omitempty"` // leave these alone: paths, exact or a prefix ending in *, or services and methods of gRPC
}

// Process is a process of this machine that the harness did not start.
type Process struct {
	PIDFile string `yaml:"pid_file" jsonschema:"required"`               // holds its process id
	Start   string `yaml:"start,omitempty" bind:"services,dependencies"` // a command for the shell that starts it again after kill and restart
}

// Container selects containers by name or label; one of the two.
type Container struct {
	Name   string `yaml:"name,omitempty"`   // or a pattern such as shop-*
	Label  string `yaml:"label,omitempty"`  // such as app=shop
	Engine string `yaml:"engine,omitempty"` // unix:// socket of Docker or Podman; default DOCKER_HOST, then the usual places
}

// Kubernetes selects what a fault acts on in a cluster: pods by labels or
// behind a service, a workload, or a node.
type Kubernetes struct {
	Kubeconfig string            `yaml:"kubeconfig,omitempty"` // a file; default KUBECONFIG, then ~/.kube/config, then the pod's own account
	Context    string            `yaml:"context,omitempty"`    // of the kubeconfig; default its current one
	Namespace  string            `yaml:"namespace,omitempty"`  // default default
	Select     map[string]string `yaml:"select,omitempty"`     // labels of pods
	Exclude    map[string]string `yaml:"exclude,omitempty"`    // labels of pods to leave alone
	Pods       []string          `yaml:"pods,omitempty"`       // only the pods of these names
	Service    string            `yaml:"service,omitempty"`    // the pods behind it
	Workload   string            `yaml:"workload,omitempty"`   // such as deployment/shop; for restart and scale
	Node       string            `yaml:"node,omitempty"`       // for drain
	Port       string            `yaml:"port,omitempty"`       // of the pods, or of the service where one is given: a number or a name
	Protocol   string            `yaml:"protocol,omitempty"`   // what is spoken there: http, grpc or tcp; default http
	Image      string            `yaml:"image,omitempty"`      // of the agent: one that has this program as its entry point
}

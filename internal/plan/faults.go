package plan

// Latency delays requests on their way to the dependency, or the data of
// connections.
type Latency struct {
	Delay        Duration `yaml:"delay" jsonschema:"required"` // added to each request, at most 24h
	Jitter       Duration `yaml:"jitter,omitempty"`            // plus or minus: the bounds of uniform, the standard deviation of normal and pareto
	Distribution string   `yaml:"distribution,omitempty"`      // of the delay: uniform, normal or pareto; default uniform
}

// Error answers in the dependency's place.
type Error struct {
	Status  int    `yaml:"status,omitempty"`  // of HTTP, 400 to 599; default 503
	Body    string `yaml:"body,omitempty"`    // of the answer
	GRPC    string `yaml:"grpc,omitempty"`    // status of gRPC, such as UNAVAILABLE; the default where the protocol is grpc
	Message string `yaml:"message,omitempty"` // beside the status of gRPC
}

// Reset closes connections with a reset (RST).
type Reset struct {
	After Duration `yaml:"after,omitempty"` // of the request or the opening of the connection
}

// Timeout is a black hole: requests and data get nowhere, connections stay
// open.
type Timeout struct {
	After Duration `yaml:"after,omitempty"` // then the connection is closed; by default it stays open until the fault is lifted
}

// Refuse closes the port, so that connections are refused. Open ones are reset.
type Refuse struct{}

// Bandwidth limits how fast data flows, in each direction of each connection,
// or for each body of HTTP.
type Bandwidth struct {
	PerSecond Size `yaml:"per_second" jsonschema:"required"` // bytes
}

// SlowClose holds back the end of answers and connections.
type SlowClose struct {
	Delay Duration `yaml:"delay" jsonschema:"required"` // after the last byte
}

// Truncate ends answers early, as if the other side had died.
type Truncate struct {
	After Size `yaml:"after,omitempty"` // bytes of the body, or of the connection, that still come
}

// Corrupt changes bytes of answers.
type Corrupt struct {
	Bytes Percent `yaml:"bytes,omitempty"` // share of the bytes that are changed, at least one; default 1%
}

// Slice passes data on in small pieces.
type Slice struct {
	Size  Size     `yaml:"size" jsonschema:"required"` // of a piece
	Delay Duration `yaml:"delay,omitempty"`            // between two
}

// Certificate makes a proxy that serves TLS show a bad certificate.
type Certificate struct {
	Kind  string   `yaml:"kind" jsonschema:"required"` // expired, not-yet-valid, wrong-name, untrusted, or rotate: a new good one time and again
	Every Duration `yaml:"every,omitempty"`            // of rotate; default 1s
}

// DNS answers questions for names at a proxy of protocol dns.
type DNS struct {
	Answer string   `yaml:"answer" jsonschema:"required"` // nxdomain, servfail, refused, empty or none
	Names  []string `yaml:"names,omitempty"`              // only these: host or *.domain
}

// Clock shifts the times in the headers of answers.
type Clock struct {
	Skew string `yaml:"skew" jsonschema:"required"` // such as 5m or -1h
}

// Drop loses packets on their way to pods.
type Drop struct {
	Ports    []int  `yaml:"ports,omitempty"`    // of the pods; default all
	Protocol string `yaml:"protocol,omitempty"` // tcp or udp; default both
}

// Kill ends instances without asking.
type Kill struct {
	Signal string   `yaml:"signal,omitempty"` // such as TERM; default KILL
	Grace  Duration `yaml:"grace,omitempty"`  // of pods, before they are killed
}

// Pause stops instances where they are and lets them go on afterwards.
type Pause struct{}

// Restart stops instances and starts them again.
type Restart struct {
	Rolling bool     `yaml:"rolling,omitempty"` // one after the other, each when the one before is ready
	Gap     Duration `yaml:"gap,omitempty"`     // between two
}

// CPU keeps processors busy.
type CPU struct {
	Load  Percent `yaml:"load,omitempty"`  // of each; default 100%
	Cores int     `yaml:"cores,omitempty"` // default all
}

// Memory takes memory and keeps it in use; one of the two.
type Memory struct {
	Size Size    `yaml:"size,omitempty"` // to take
	Fill Percent `yaml:"fill,omitempty"` // of what there is that shall be in use
}

// Disk fills the file system of a folder.
type Disk struct {
	Dir   string `yaml:"dir" jsonschema:"required"` // where the file is put that does it
	Leave Size   `yaml:"leave,omitempty"`           // bytes that stay free
}

// Drain evicts the pods of a node and keeps new ones away; the node is open
// again when it is lifted.
type Drain struct {
	Grace Duration `yaml:"grace,omitempty"` // of the pods; default their own
}

// Scale changes the number of instances of a workload, and back.
type Scale struct {
	To int `yaml:"to" jsonschema:"required"` // 0 or more
}

// Exec is any fault that commands can put into effect. They run in the plan's
// folder with the plan's env and TARGET_URL.
type Exec struct {
	Inject string            `yaml:"inject" jsonschema:"required" bind:"services,dependencies"` // ends when the fault is in effect
	Lift   string            `yaml:"lift" jsonschema:"required" bind:"services,dependencies"`   // may be called twice
	Verify string            `yaml:"verify,omitempty" bind:"services,dependencies"`             // status 0: the fault is in effect; 1: it is not; any other: that is not known
	Env    map[string]string `yaml:"env,omitempty" bind:"services,dependencies,secrets"`        // for all three
}

// HTTP is any fault that calls of an API can put into effect.
type HTTP struct {
	Inject Call  `yaml:"inject" jsonschema:"required"` // a 2xx answer means that the fault is in effect
	Lift   Call  `yaml:"lift" jsonschema:"required"`   // may be called twice
	Verify *Call `yaml:"verify,omitempty"`             // a 2xx answer that is as expected means that the fault is in effect, another that it is not
}

// Kept is what the journal holds of a fault of calls, for whoever lifts it.
type Kept struct {
	Values map[string]string `json:"values,omitempty"` // taken from the answer of the call that injects, by the names in its keep
	Open   bool              `json:"open,omitempty"`   // it was called, and what became of that is not known: it may take effect yet
}

// Call is one call of an API.
type Call struct {
	Method  string            `yaml:"method,omitempty"`                                            // default GET, or POST with a body
	URL     string            `yaml:"url" jsonschema:"required" bind:"services,dependencies,kept"` // http or https
	Headers map[string]string `yaml:"headers,omitempty" bind:"services,dependencies,secrets,kept"` // for this call
	Body    string            `yaml:"body,omitempty" bind:"services,dependencies,secrets,kept"`    // as it is
	JSON    any               `yaml:"json,omitempty" bind:"services,dependencies,secrets,kept"`    // a body, encoded
	Expect  *Expect           `yaml:"expect,omitempty"`                                            // what a right answer contains
	Keep    map[string]string `yaml:"keep,omitempty"`                                              // name: dotted path of the answer's JSON; ${kept.NAME} in what lifts and verifies
}

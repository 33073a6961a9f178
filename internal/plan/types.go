package plan

import (
	"time"

	"resilience/gates"
)

// Plan is a whole YAML file: what to run, phase by phase, and what must hold.
//
// It is resolved: includes merged, variables replaced, defaults filled in, names
// checked. What [Load] gives has no Include and no
// Defaults any more: both have been applied. Placeholders such as
// ${services.shop.url} are still there; [Bind] replaces them.
//
// The tag jsonschema:"required" marks keys that must be there; bind lists the
// placeholders that a value may hold, no other value may hold any.
type Plan struct {
	Name         string                `yaml:"name" jsonschema:"required"`                         // names the plan in reports
	Include      []string              `yaml:"include,omitempty"`                                  // other YAML files, relative to this one
	Defaults     *Defaults             `yaml:"defaults,omitempty"`                                 // for tests, disruptions and gates
	Env          map[string]string     `yaml:"env,omitempty" bind:"services,dependencies,secrets"` // for services, hooks and scripts
	Secrets      map[string]Secret     `yaml:"secrets,omitempty"`                                  // values kept elsewhere; ${secrets.NAME}
	Allow        []string              `yaml:"allow,omitempty"`                                    // public hosts that traffic may go to: host or *.domain
	Services     map[string]Service    `yaml:"services,omitempty"`                                 // local processes, started and stopped
	Targets      map[string]Target     `yaml:"targets" jsonschema:"required"`                      // systems under test
	Dependencies map[string]Dependency `yaml:"dependencies,omitempty"`                             // what they call, through a proxy
	FailureModes []FailureMode         `yaml:"failure_modes,omitempty"`                            // what could go wrong, and what tests it
	Objectives   map[string]Objective  `yaml:"objectives,omitempty"`                               // promises to users, with their error budgets
	Model        *Part                 `yaml:"model,omitempty"`                                    // how the system is made of parts that can fail
	Waivers      []Waiver              `yaml:"waivers,omitempty"`                                  // gates that may be broken for a while
	Alerts       *Alerts               `yaml:"alerts,omitempty"`                                   // where the monitoring reports alerts, or is asked for them
	Telemetry    map[string]Source     `yaml:"telemetry,omitempty"`                                // monitoring that queries are put to
	Queries      map[string]Query      `yaml:"queries,omitempty"`                                  // what it is asked while a phase runs; metrics for gates
	Influx       *Influx               `yaml:"influx,omitempty"`                                   // an InfluxDB that runs are written to
	OTLP         *OTLP                 `yaml:"otlp,omitempty"`                                     // what runs are told to by the OpenTelemetry protocol
	Tenants      *Tenants              `yaml:"tenants,omitempty"`                                  // synthetic customers that tests act as
	Distribute   *Distribute           `yaml:"distribute,omitempty"`                               // runners on a cluster, for resilience distribute
	Canary       *Canary               `yaml:"canary,omitempty"`                                   // what tenants try around the clock, for resilience canary
	Phases       []Phase               `yaml:"phases,omitempty"`                                   // deployment stages; required unless there is a canary

	Dir string `yaml:"-"` // absolute folder of the plan's file; relative paths start there
}

// Secret is a value that is named in a plan and kept elsewhere. Just one of
// the two is set.
type Secret struct {
	Env  string `yaml:"env,omitempty"`  // name of an environment variable
	File string `yaml:"file,omitempty"` // path of a file, at most 64 KiB; one newline at its end is dropped
}

// Service is a local process that the harness starts before a phase and stops
// after it.
type Service struct {
	Command      string            `yaml:"command" jsonschema:"required" bind:"services,dependencies,port"` // run by the shell; ${port} is the service's port
	Dir          string            `yaml:"dir,omitempty"`                                                   // working directory
	Env          map[string]string `yaml:"env,omitempty" bind:"services,dependencies,secrets,port"`         // added to the environment
	Port         int               `yaml:"port,omitempty"`                                                  // where it listens; default a free one
	Ready        string            `yaml:"ready,omitempty" bind:"services,port"`                            // path or URL that answers 2xx when ready
	ReadyTimeout Duration          `yaml:"ready_timeout"`                                                   // how long it may take to answer; default 30s
	StopTimeout  Duration          `yaml:"stop_timeout"`                                                    // between asking and killing; default 5s
	After        []string          `yaml:"after,omitempty"`                                                 // services that must be ready before
}

// Target is a system under test.
type Target struct {
	URL     string            `yaml:"url" jsonschema:"required" bind:"services,dependencies"` // base URL; http or https
	Accept  []string          `yaml:"accept,omitempty"`                                       // "2xx", "404"; default 2xx and 3xx
	Headers map[string]string `yaml:"headers,omitempty" bind:"services,dependencies,secrets"` // added to every request
	TLS     *TLS              `yaml:"tls,omitempty"`                                          // how to trust it and what to show it
	Auth    *Auth             `yaml:"auth,omitempty"`                                         // credentials for every request
	Version *Version          `yaml:"version,omitempty"`                                      // how it tells which version it is
}

// Version says how a target tells which version it is: before and after the
// tests, so that a verdict is about what it says it is about.
type Version struct {
	Path       string      `yaml:"path,omitempty" bind:"services,dependencies"`    // asked by GET: a path of the target, or a URL
	JSON       string      `yaml:"json,omitempty"`                                 // dotted path of the field in the answer; default all of the answer
	Header     string      `yaml:"header,omitempty"`                               // a header of the answer, instead
	Command    string      `yaml:"command,omitempty" bind:"services,dependencies"` // instead of path, run by the shell: the last line it prints is the version
	Container  *Container  `yaml:"container,omitempty"`                            // instead: the digest of the image that these containers run
	Kubernetes *Kubernetes `yaml:"kubernetes,omitempty"`                           // instead: the digest of the image that these pods run, in their first container
	Is         string      `yaml:"is,omitempty"`                                   // the version that has to be there
}

// TLS says how a target's or upstream's certificate is checked and which one
// is shown to it. Paths are relative to the plan.
type TLS struct {
	CA         string `yaml:"ca,omitempty"`          // file of certificates to trust beside the system's (PEM)
	Cert       string `yaml:"cert,omitempty"`        // client certificate (PEM)
	Key        string `yaml:"key,omitempty"`         // its key (PEM)
	ServerName string `yaml:"server_name,omitempty"` // instead of the host of the URL
	Insecure   bool   `yaml:"insecure,omitempty"`    // do not check the certificate
}

// Auth adds credentials to every request to a target. Just one is set.
type Auth struct {
	Header *AuthHeader `yaml:"header,omitempty"` // a static header
	OAuth2 *OAuth2     `yaml:"oauth2,omitempty"` // client credentials
}

// AuthHeader is a static header; its value usually names a secret.
type AuthHeader struct {
	Name  string `yaml:"name"`                                       // name of the header; default Authorization
	Value string `yaml:"value" jsonschema:"required" bind:"secrets"` // must name a secret: Bearer ${secrets.NAME}
}

// OAuth2 is the client credentials grant (RFC 6749, section 4.4). The token is
// fetched before a test and again before it expires.
type OAuth2 struct {
	TokenURL     string            `yaml:"token_url" jsonschema:"required" bind:"services,dependencies"` // where tokens are issued
	ClientID     string            `yaml:"client_id" jsonschema:"required" bind:"secrets"`               // public name of the client
	ClientSecret string            `yaml:"client_secret" jsonschema:"required" bind:"secrets"`           // ${secrets.NAME}
	Scopes       []string          `yaml:"scopes,omitempty"`                                             // asked for
	Params       map[string]string `yaml:"params,omitempty" bind:"services,dependencies,secrets"`        // further parameters of the token request
}

// Dependency is something the system under test calls through a proxy of the
// harness.
type Dependency struct {
	Upstream  string     `yaml:"upstream,omitempty" bind:"services"` // the real thing: http, https, h2c (HTTP/2 without TLS), or HOST:PORT of tcp and dns
	Protocol  string     `yaml:"protocol,omitempty"`                 // what it speaks: http, grpc, tcp or dns; default http
	Listen    string     `yaml:"listen,omitempty"`                   // host:port of the proxy; default a free loopback port
	TLS       *TLS       `yaml:"tls,omitempty"`                      // towards the upstream
	Serve     *Serve     `yaml:"serve,omitempty"`                    // TLS towards those who call
	Proxy     *Remote    `yaml:"proxy,omitempty"`                    // a `resilience proxy` that runs elsewhere, instead of one here
	Toxiproxy *Toxiproxy `yaml:"toxiproxy,omitempty"`                // a proxy of a Toxiproxy server, instead of one here
}

// Serve makes the proxy speak TLS with a certificate of an authority that
// lives as long as the run; its file is in RESILIENCE_DEP_NAME_CA.
type Serve struct {
	Names   []string `yaml:"names,omitempty"`    // of the certificate, beside those of the proxy's own address
	WriteCA string   `yaml:"write_ca,omitempty"` // a file that the authority's certificate is written to; default one in a temporary folder
}

// Remote is a proxy that `resilience proxy` runs somewhere else.
type Remote struct {
	URL   string `yaml:"url" jsonschema:"required"`                  // of its control, http or https
	Name  string `yaml:"name,omitempty"`                             // of the proxy there; default the dependency's
	Token string `yaml:"token" jsonschema:"required" bind:"secrets"` // ${secrets.NAME}
	TLS   *TLS   `yaml:"tls,omitempty"`                              // towards its control
}

// Toxiproxy is a proxy of a Toxiproxy server that is there already.
type Toxiproxy struct {
	URL  string `yaml:"url" jsonschema:"required"` // of its HTTP API
	Name string `yaml:"name,omitempty"`            // of the proxy there; default the dependency's
}

// Alerts is where the monitoring under test reports its alerts while a plan
// runs: Alertmanager's webhook, or any JSON with a name and a state. With from,
// a Prometheus is asked instead, or as well where there is a listen.
type Alerts struct {
	From   string `yaml:"from,omitempty"`                 // a source under telemetry, which is asked what fires
	Listen string `yaml:"listen,omitempty"`               // host:port; default a free loopback port
	Token  string `yaml:"token,omitempty" bind:"secrets"` // ${secrets.NAME}, wanted as a bearer token
}

// FailureMode is one way in which the system can fail (IEC 60812), and the
// disruption that tests it. The ratings are 1 (best) to 10 (worst).
type FailureMode struct {
	Name       string `yaml:"name" jsonschema:"required"`       // what fails
	Effect     string `yaml:"effect" jsonschema:"required"`     // what users notice
	Severity   int    `yaml:"severity" jsonschema:"required"`   // of the effect
	Likelihood int    `yaml:"likelihood" jsonschema:"required"` // of the failure
	Detection  int    `yaml:"detection,omitempty"`              // how likely nobody notices; default 10
	Disruption Names  `yaml:"disruption,omitempty"`             // those that test it
}

// Waiver lets a gate be broken until a day, without failing its phase.
type Waiver struct {
	Gate    string `yaml:"gate" jsonschema:"required"`    // the sentence of the gate
	Phase   string `yaml:"phase,omitempty"`               // default every phase that has the gate
	Owner   string `yaml:"owner" jsonschema:"required"`   // who answers for it
	Reason  string `yaml:"reason" jsonschema:"required"`  // why it may be broken
	Expires Date   `yaml:"expires" jsonschema:"required"` // the last day of the waiver, in UTC: 2026-12-31
}

// Phase is one deployment stage.
type Phase struct {
	Name        string       `yaml:"name" jsonschema:"required"`                    // given to run --phase
	Candidate   string       `yaml:"candidate" jsonschema:"required"`               // a target
	Baseline    Baseline     `yaml:"baseline,omitempty"`                            // what the candidate is compared with
	Before      string       `yaml:"before,omitempty" bind:"services,dependencies"` // a command for the shell
	After       string       `yaml:"after,omitempty" bind:"services,dependencies"`  // always run
	Tests       []Test       `yaml:"tests" jsonschema:"required"`                   // traffic, side by side
	Disruptions []Disruption `yaml:"disruptions,omitempty"`                         // scheduled faults
	AbortIf     []string     `yaml:"abort_if,omitempty"`                            // conditions such as errors > 20%, over the last 10 s, that end the phase at once
	Watch       *Watch       `yaml:"watch,omitempty"`                               // tests the steady gates all the time, and ends the phase once one can not hold
	Extend      Duration     `yaml:"extend,omitempty"`                              // how much longer the tests may send, once and without disruptions, where there would be too little evidence; default not at all
	Production  *bool        `yaml:"production,omitempty"`                          // whether users are served; default whether its name, its candidate or the cluster says so
	Disrupt     bool         `yaml:"disrupt_production,omitempty"`                  // disruptions are meant, though it is production
	Gates       []Gate       `yaml:"gates"`                                         // what must hold
}

// Baseline is what a candidate is compared with: a target that gets the same
// traffic at the same time, a record, or the median of earlier runs. The name of
// a target alone is enough.
type Baseline longBaseline

// longBaseline is what a candidate is compared with. Just one of target, record
// and runs is set.
type longBaseline struct {
	Target string `yaml:"target,omitempty"`                         // a target, under the same traffic
	Record string `yaml:"record,omitempty"`                         // a run: its id, the beginning of one, last, a file, the http(s) URL of one, or influx://HOST:PORT/BUCKET?run=ID
	Runs   int    `yaml:"runs,omitempty"`                           // the median of so many runs of this plan that passed the phase with the same traffic, the newest
	In     string `yaml:"in,omitempty"`                             // the folder of their records; default .resilience/runs where the run is started
	First  string `yaml:"first,omitempty" jsonschema:"enum=record"` // record: while there is no such run, a gate that compares passes, and the run becomes the first
}

// Watch has the gates of a phase tested while it goes on. {} is enough.
type Watch struct {
	FalseAlarms Percent `yaml:"false_alarms,omitempty"` // how many phases with a healthy candidate may be ended; default 1%
}

// Defaults are used wherever a test, disruption or gate of the plan leaves a
// value out.
type Defaults struct {
	Test       *Profile           `yaml:"test,omitempty"`       // for the profile of every test
	Disruption *DefaultDisruption `yaml:"disruption,omitempty"` // for every disruption
	Gate       *DefaultGate       `yaml:"gate,omitempty"`       // for every gate
}

// DefaultDisruption holds the defaults of disruptions.
type DefaultDisruption struct {
	Settle *Duration `yaml:"settle,omitempty"` // how long after lifting is not yet steady
}

// DefaultGate holds the defaults of gates.
type DefaultGate struct {
	Strict     bool    `yaml:"strict,omitempty"`      // the interval, too, must meet the objective
	MinSamples uint64  `yaml:"min_samples,omitempty"` // instead of the computed number
	Confidence Percent `yaml:"confidence,omitempty"`  // 50% to 99.99%
}

// Test is one stream of traffic. Just one of the kinds is set.
type Test struct {
	Name   string      `yaml:"name" jsonschema:"required"` // given to gates: from NAME
	Start  Duration    `yaml:"start,omitempty"`            // after the phase's start
	Load   *Profile    `yaml:"load,omitempty"`             // the traffic of a normal day
	Stress *Profile    `yaml:"stress,omitempty"`           // more than that
	Spike  *Profile    `yaml:"spike,omitempty"`            // a sudden peak
	Soak   *Profile    `yaml:"soak,omitempty"`             // for a long time
	Canary *CanaryTest `yaml:"canary,omitempty"`           // what the plan's canary does
	Shadow *Shadow     `yaml:"shadow,omitempty"`           // what users asked, asked again
}

// Kind names the kind of the test and gives its profile.
func (t Test) Kind() (string, Profile) {
	for kind, p := range t.kinds() {
		if p != nil {
			return kind, *p
		}
	}
	if t.Canary != nil {
		return KindCanary, t.Canary.Profile()
	}
	if t.Shadow != nil {
		return KindShadow, t.Shadow.Profile()
	}
	return "", Profile{}
}

// kinds gives the profile under each key that is a kind of test, but for that
// of a canary, which is made of what the plan's canary says, and of a shadow
// test, which a recording shapes.
func (t Test) kinds() map[string]*Profile {
	return map[string]*Profile{"load": t.Load, "stress": t.Stress, "spike": t.Spike, "soak": t.Soak}
}

// Profile is the shape of a stream of traffic: a script or a list of requests,
// at a rate (open model) or by a number of virtual users (closed model).
type Profile struct {
	Script   string            `yaml:"script,omitempty"`                                   // a k6 script, or the name of one in scenarios/
	Exec     string            `yaml:"exec,omitempty"`                                     // a function that the script exports; default the one called default
	Requests []Request         `yaml:"requests,omitempty"`                                 // instead of a script
	Rate     Rate              `yaml:"rate,omitempty"`                                     // iterations or requests per second
	VUs      int               `yaml:"vus,omitempty"`                                      // instead of a rate
	MaxVUs   int               `yaml:"max_vus,omitempty"`                                  // with a rate: most VUs (or connections) at a time; default 2 for each arrival per second, 50 to 10,000
	Parallel int               `yaml:"parallel,omitempty"`                                 // with a script: processes that share the traffic, on this machine or on a cluster; default 1
	Duration Duration          `yaml:"duration,omitempty"`                                 // without warm-up; of the constant part after a ramp
	Ramp     Duration          `yaml:"ramp,omitempty"`                                     // from zero to the rate or VUs, beginning with the warm-up
	Stages   []Stage           `yaml:"stages,omitempty"`                                   // instead of duration and ramp
	Warmup   Duration          `yaml:"warmup,omitempty"`                                   // before the duration, at the same rate; not judged
	Arrival  string            `yaml:"arrival,omitempty"`                                  // constant or poisson; default constant
	Grace    Duration          `yaml:"grace"`                                              // how long what is under way may take at the end; default 30s
	Timeout  Duration          `yaml:"timeout"`                                            // of one request without a script; default 30s
	Data     string            `yaml:"data,omitempty"`                                     // CSV or JSON lines, a row for each iteration
	Env      map[string]string `yaml:"env,omitempty" bind:"services,dependencies,secrets"` // for the script
	Tenants  Names             `yaml:"tenants,omitempty"`                                  // whom the script acts as, each iteration as the next: all, or those of KEY=VALUE (tenant, class, cell, region)
	Injects  Names             `yaml:"injects,omitempty"`                                  // disruptions that the script injects, by the names it gives them
}

// Stage changes the rate or number of VUs to a new value, linearly.
type Stage struct {
	Duration Duration `yaml:"duration" jsonschema:"required"` // how long the change takes
	Rate     Rate     `yaml:"rate,omitempty"`                 // at its end
	VUs      *int     `yaml:"vus,omitempty"`                  // at its end, instead of a rate
}

// Request is one request of a test without a script. In URL path, headers and
// body, ${data.COLUMN} stands for a value of the current row.
type Request struct {
	Name    string            `yaml:"name,omitempty" bind:"data"`                                  // the route, placeholders and all; default METHOD and path
	Method  string            `yaml:"method,omitempty"`                                            // GET, POST or another; default GET, or POST with a body
	Path    string            `yaml:"path" jsonschema:"required" bind:"data"`                      // appended to the target's URL
	Headers map[string]string `yaml:"headers,omitempty" bind:"services,dependencies,secrets,data"` // for this request
	Body    string            `yaml:"body,omitempty" bind:"services,dependencies,secrets,data"`    // as it is
	JSON    any               `yaml:"json,omitempty" bind:"services,dependencies,secrets,data"`    // a body, encoded
	Weight  int               `yaml:"weight,omitempty"`                                            // how often, against the others; default 1
	Expect  *Expect           `yaml:"expect,omitempty"`                                            // what a right answer contains
}

// Expect is what a right answer contains; it makes reliability measurable.
type Expect struct {
	Contains string            `yaml:"contains,omitempty"` // text in the body
	Matches  string            `yaml:"matches,omitempty"`  // a regular expression (RE2)
	JSON     map[string]string `yaml:"json,omitempty"`     // dotted path: value
	Headers  map[string]string `yaml:"headers,omitempty"`  // name: value
}

// Gate is a sentence of the gate language, or its long form: a mapping with
// the same words plus strict, min_samples, confidence, severity and note.
type Gate struct {
	gates.Gate
}

// Duration is written with its unit: 300ms, 15s, 2m, 1h30m.
type Duration time.Duration

// Date is a day in UTC, written 2026-12-31.
type Date time.Time

// Rate is a number of arrivals per second; written 50/s, 600/m or 3600/h.
type Rate float64

// Percent is a share from 0 to 1, written 99.5%.
type Percent float64

// Size is a number of bytes; written 512B, 64KiB or 10MiB, also KB and MB.
type Size uint64

// Amount is some of a group of instances: a number, a percentage, or all.
type Amount struct {
	Number int     // when it is not 0
	Share  Percent // otherwise
}

// Names are one or more names; a single one needs no brackets.
type Names []string

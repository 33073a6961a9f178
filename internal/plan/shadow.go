package plan

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// KindShadow is the kind of a test that asks again what users asked.
const KindShadow = "shadow"

// Shadow is a test that asks again what users asked, of the candidate and of the
// baseline, and compares what they answer. Nothing that may change data is sent
// unless writes: says so.
type Shadow struct {
	Recording string     `yaml:"recording" jsonschema:"required"` // a file that `resilience shadow import` or `record` wrote
	Speed     Speed      `yaml:"speed,omitempty"`                 // of the recorded times: x2 is twice as fast, x0.5 half as fast, max as fast as it goes; default x1
	Rate      Rate       `yaml:"rate,omitempty"`                  // instead of a speed: so many exchanges per second, in their order
	Duration  Duration   `yaml:"duration,omitempty"`              // at most, without warm-up; default until the recording ends
	Limit     uint64     `yaml:"limit,omitempty"`                 // so many exchanges at most; default all
	Warmup    Duration   `yaml:"warmup,omitempty"`                // at its beginning; not judged
	Sample    Percent    `yaml:"sample"`                          // so many of the sessions, always the same ones; default 100%
	From      *Instant   `yaml:"from,omitempty"`                  // of the recording, what was asked from then on
	To        *Instant   `yaml:"to,omitempty"`                    // of the recording, what was asked before
	Routes    Names      `yaml:"routes,omitempty"`                // only these, such as GET /orders/{id}; default all
	Tenants   Names      `yaml:"tenants,omitempty"`               // only what these asked; default all
	Hosts     Names      `yaml:"hosts,omitempty"`                 // only what was asked of these, such as shop.example, and of hosts that nobody knows; default all
	Baseline  string     `yaml:"baseline,omitempty"`              // recorded: the candidate is compared with what was answered when it was recorded; default with the baseline of the phase
	Noise     string     `yaml:"noise"`                           // what tells what differs anyway: twice (the baseline is asked twice), a target (the same version once more), recorded (the recorded answers) or none; default twice, with recorded answers none
	Writes    *Writes    `yaml:"writes,omitempty"`                // what may change data; default nothing does: only GET, HEAD and OPTIONS are sent
	Carry     []Carry    `yaml:"carry,omitempty"`                 // values of answers that later requests need, beside those that are found by themselves
	Compare   Comparison `yaml:"compare,omitempty"`               // how answers are compared
	Redact    Names      `yaml:"redact,omitempty"`                // fields of JSON bodies whose values no report shows, such as user.email or cards[*].number, beside those that the recording was made with
	MaxVUs    int        `yaml:"max_vus"`                         // how many exchanges may be under way at a time, 1 to 10,000; default 200
	MaxBody   Size       `yaml:"max_body"`                        // how much of each answer's body is kept, to be compared by field, up to 16MiB; of more of it only the digest is; max_vus of them are 1GiB at most where it is more than the default 1MiB
	Grace     Duration   `yaml:"grace"`                           // how long what is under way may take at the end; default 30s
	Timeout   Duration   `yaml:"timeout"`                         // of one request; default 30s
}

// Writes are the requests of a recording that are sent although they may change
// data: those of the routes, and no others.
type Writes struct {
	Routes      Names             `yaml:"routes" jsonschema:"required"` // such as POST /search
	Tenant      string            `yaml:"tenant,omitempty"`             // a tenant of the plan, who writes in place of users; without it the routes are taken to change nothing
	Idempotency string            `yaml:"idempotency"`                  // the header with a key that makes a write happen once, which is rewritten; default Idempotency-Key
	Compensate  map[string]string `yaml:"compensate,omitempty"`         // what undoes a route, sent once the test is over: DELETE /orders/{id}, or none
}

// Carry has a value of an answer put into later requests of the same session, on
// each target that target's own.
type Carry struct {
	From string `yaml:"from" jsonschema:"required"` // where it is: body.id of POST /orders, header ETag of GET /cart, or body.next?cursor of GET /items for a parameter of the URL there
	To   string `yaml:"to" jsonschema:"required"`   // where it goes: path 2 of GET /orders/{id}, query NAME, header NAME or body.order of a route, or of * for all routes
	As   string `yaml:"as"`                         // what is written there, with the value in place of {}; default {}
}

// Comparison says how answers are compared. A field is written as status, header
// NAME or body.items[].price; "of ROUTE" behind it confines it to a route.
type Comparison struct {
	Ignore      Names             `yaml:"ignore,omitempty"`   // fields that are not compared
	Expect      []Intended        `yaml:"expect,omitempty"`   // intended changes, which are no regressions
	Tolerate    map[string]string `yaml:"tolerate,omitempty"` // for a field, by how much it may differ: numbers by 0.01 or 1%, times by 5s, lists by any order
	Keys        map[string]string `yaml:"keys,omitempty"`     // for a list, the field or fields by which its items are told apart: sku, or order line
	Headers     Names             `yaml:"headers,omitempty"`  // of answers, that are compared although they usually are not
	FalseAlarms Percent           `yaml:"false_alarms"`       // how many tests of a candidate that is as good may find a regression; default 1%
}

// Intended is a change that somebody approved.
type Intended struct {
	Field  string `yaml:"field" jsonschema:"required"`  // where it is, as above
	Kind   string `yaml:"kind,omitempty"`               // changed, missing, added, type, format, length, order, encoding, time or id; default any
	From   string `yaml:"from,omitempty"`               // what the baseline has there; default anything
	To     string `yaml:"to,omitempty"`                 // what the candidate has there; default anything
	By     string `yaml:"by,omitempty"`                 // who approved it
	Reason string `yaml:"reason" jsonschema:"required"` // why it is wanted
}

// What a shadow test does where its plan says nothing.
const (
	defaultSpeed       = Speed(1)
	defaultShadowVUs   = 200
	defaultIdempotency = "Idempotency-Key"
	defaultCarried     = "{}"
	defaultAlarms      = Percent(0.01)
	maxShadowVUs       = 10_000
	defaultShadowBody  = Size(1 << 20)
	maxShadowBody      = Size(16 << 20)
	maxShadowBodies    = Size(1 << 30) // of max_vus answers together
)

// Words of a shadow test.
const (
	Recorded   = "recorded" // the recorded answers
	NoiseTwice = "twice"    // the baseline is asked twice
	NoNoise    = "none"     // nobody tells what differs anyway
	NoUndo     = "none"     // nothing has to undo a route
)

// Profile is the traffic of the test, as that of any other. It has no shape: how
// much there is, and for how long, only the recording tells.
func (s Shadow) Profile() Profile {
	p := Profile{MaxVUs: s.MaxVUs, Duration: s.Duration, Warmup: s.Warmup, Grace: s.Grace, Timeout: s.Timeout}
	if s.Writes != nil && s.Writes.Tenant != "" {
		p.Tenants = Names{"tenant=" + s.Writes.Tenant}
	}
	return p
}

// AgainstRecorded reports whether the candidate is compared with recorded answers.
func (s Shadow) AgainstRecorded() bool { return s.Baseline == Recorded }

// NoiseTarget is the target that tells noise, "" where none does.
func (s Shadow) NoiseTarget() string {
	switch s.Noise {
	case NoiseTwice, Recorded, NoNoise:
		return ""
	}
	return s.Noise
}

// Speed is how fast a recording is replayed: written x2, x0.5 or max.
type Speed float64

// Max is as fast as it goes.
func (s Speed) Max() bool { return math.IsInf(float64(s), 1) }

// String spells the speed as in a plan.
func (s Speed) String() string {
	if s.Max() {
		return "max"
	}
	return "x" + strconv.FormatFloat(float64(s), 'g', -1, 64)
}

// MarshalText is String.
func (s Speed) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads x0.001 to x1000, or max.
func (s *Speed) UnmarshalText(text []byte) error {
	if string(text) == "max" {
		*s = Speed(math.Inf(1))
		return nil
	}
	times, is := strings.CutPrefix(string(text), "x")
	f, err := strconv.ParseFloat(times, 64)
	if !is || err != nil || !(f >= 0.001 && f <= 1000) {
		return fmt.Errorf("wants a speed such as x1, x2 or x0.5, from x0.001 to x1000, or max; got %q", shorten(string(text)))
	}
	*s = Speed(f)
	return nil
}

func (Speed) pattern() string { return `^(max|x[0-9]+(\.[0-9]+)?)$` }

// fillShadow puts in what a shadow test leaves out.
func (d *decoder) fillShadow(s *Shadow, path string) {
	if !d.has(path + ".rate") {
		fill(d, path+".speed", &s.Speed, defaultSpeed)
	}
	fill(d, path+".sample", &s.Sample, Percent(1))
	noise := NoiseTwice
	if s.AgainstRecorded() {
		noise = NoNoise
	}
	fill(d, path+".noise", &s.Noise, noise)
	fill(d, path+".max_vus", &s.MaxVUs, defaultShadowVUs)
	fill(d, path+".max_body", &s.MaxBody, defaultShadowBody)
	fill(d, path+".grace", &s.Grace, defaultGrace)
	fill(d, path+".timeout", &s.Timeout, defaultTimeout)
	fill(d, path+".compare.false_alarms", &s.Compare.FalseAlarms, defaultAlarms)
	if s.Writes != nil {
		fill(d, path+".writes.idempotency", &s.Writes.Idempotency, defaultIdempotency)
	}
	for i := range s.Carry {
		fill(d, fmt.Sprintf("%s.carry[%d].as", path, i), &s.Carry[i].As, defaultCarried)
	}
}

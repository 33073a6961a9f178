package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxSkew is how far a clock can be wrong.
const maxSkew = 100 * 365 * 24 * time.Hour

// ParseSkew reads how wrong a clock is, such as 5m or -1h. It is an error if
// that is no duration, less than a second, or more than a hundred years.
func ParseSkew(text string) (time.Duration, error) {
	skew, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("wants a duration with its sign, such as 5m or -1h; got %q", shorten(text))
	case skew.Abs() < time.Second:
		return 0, fmt.Errorf("must be 1s or more: the time in a header has whole seconds; got %s", text)
	case skew.Abs() > maxSkew:
		return 0, fmt.Errorf("can not be more than a hundred years; got %s", text)
	}
	return skew, nil
}

// bounded tells whether a fault can be limited to a part of what it meets.
func bounded(fault string) bool {
	return slices.Contains(acts[fault], OnDependency) || fault == "drop"
}

// fillFault puts in the defaults of a fault: a share where there is something
// to pick from, and what kind of error it is.
func (d *decoder) fillFault(to *Disruption, path string) {
	if fault, _ := to.Fault(); bounded(fault) {
		fill(d, path+".share", &to.Share, defaultShare)
	}
	switch {
	case to.Error == nil || d.has(path+".error.grpc"):
	case to.Kubernetes != nil && to.Kubernetes.Protocol == "grpc" && !d.has(path+".error.status"):
		to.Error.GRPC = DefaultGRPC
	default:
		fill(d, path+".error.status", &to.Error.Status, defaultStatus)
	}
}

// fillGRPC makes errors of dependencies that speak gRPC errors of gRPC.
func (d *decoder) fillGRPC(p *Plan) {
	for i := range p.Phases {
		for n, to := range p.Phases[i].Disruptions {
			path := fmt.Sprintf("phases[%d].disruptions[%d].error", i, n)
			if to.Error != nil && p.Dependencies[to.Dependency].Protocol == "grpc" && !d.has(path+".grpc") && !d.has(path+".status") {
				to.Error.GRPC, to.Error.Status = DefaultGRPC, 0
			}
		}
	}
}

// speaks is the protocol of what a disruption acts on; "" when it has none.
func speaks(p *Plan, d Disruption) string {
	switch {
	case d.Dependency != "":
		return p.Dependencies[d.Dependency].Protocol
	case d.Kubernetes != nil && d.Kubernetes.Protocol == "":
		return defaultProtocol
	case d.Kubernetes != nil:
		return d.Kubernetes.Protocol
	}
	return ""
}

// distributions are those of latency.
var distributions = []string{"uniform", "normal", "pareto"}

func validDistribution(c *checker, _ *Phase, d *Disruption) {
	if at := c.under(".latency"); at.given("distribution") && !slices.Contains(distributions, d.Latency.Distribution) {
		at.wrong("distribution", didYouMean(d.Latency.Distribution, distributions), "there is no distribution %q", shorten(d.Latency.Distribution))
	}
}

// validGRPCError wants an error to be one of HTTP or one of gRPC, as what it
// acts on speaks.
func validGRPCError(c *checker, _ *Phase, d *Disruption) {
	if d.Error == nil {
		return
	}
	at, e := c.under(".error"), *d.Error
	errorCodes := slices.Clone(grpcCodes[1:])
	switch protocol := speaks(c.plan, *d); {
	case at.given("grpc") && e.GRPC == "OK":
		at.wrong("grpc", "", "OK is no error")
	case at.given("grpc") && !slices.Contains(errorCodes, e.GRPC):
		at.wrong("grpc", didYouMean(strings.ToUpper(e.GRPC), errorCodes), "there is no code %q of gRPC", shorten(e.GRPC))
	case at.given("grpc") && at.given("status"):
		at.wrongKey("status", "keep one of the two", "an error can not have both grpc: and status:")
	case at.given("grpc") && at.given("body"):
		at.wrongKey("body", "use message:", "an error of gRPC has no body")
	case at.given("status") && protocol == "grpc":
		at.wrongKey("status", "use grpc: UNAVAILABLE or another code", "status: is of HTTP, but gRPC is spoken there")
	case at.given("body") && protocol == "grpc":
		at.wrongKey("body", "use message:", "body: is of HTTP, but gRPC is spoken there")
	case at.given("message") && e.GRPC == "":
		at.wrongKey("message", "use body:, or add grpc: with a code", "message: is of gRPC")
	}
}

// validShapes wants faults to ask for some harm.
func validShapes(c *checker, _ *Phase, d *Disruption) {
	if d.Bandwidth != nil {
		c.under(".bandwidth").positive("per_second", uint64(d.Bandwidth.PerSecond), "0B: use timeout: to let nothing pass")
	}
	if d.SlowClose != nil {
		c.under(".slow_close").positive("delay", uint64(d.SlowClose.Delay), "0s")
	}
	if d.Slice != nil {
		c.under(".slice").positive("size", uint64(d.Slice.Size), "0B")
	}
	if d.Corrupt != nil {
		c.under(".corrupt").positive("bytes", uint64(float64(d.Corrupt.Bytes)*1e12), "0%, or nothing is corrupted")
	}
	if at := c.under(".clock"); d.Clock != nil && at.given("skew") {
		if _, err := ParseSkew(d.Clock.Skew); err != nil {
			at.wrong("skew", "", "skew %s", err)
		}
	}
}

// positive wants a value, where one is given, not to be zero.
func (c *checker) positive(key string, value uint64, zero string) {
	if c.given(key) && value == 0 {
		c.wrong(key, "", "%s must be more than %s", key, zero)
	}
}

// modifiers are the keys that limit a fault to a part of what it meets.
var modifiers = []string{"share", "first", "flap", "match"}

// shortestTurn is the least time that a flapping fault is on or off.
const shortestTurn = Duration(time.Millisecond)

// validModifiers wants limits only where there is something to pick from.
func validModifiers(c *checker, _ *Phase, d *Disruption) {
	fault, _ := d.Fault()
	for _, key := range modifiers {
		if fault != "" && !bounded(fault) && c.given(key) {
			c.wrongKey(key, "leave it out; at_most: limits the instances", "%s has no requests or connections to pick from: %s: has no meaning", fault, key)
		}
	}
	if c.given("first") && d.First == 0 {
		c.wrong("first", "", "first must be more than 0, or the disruption touches nothing")
	}
	if d.Flap != nil {
		at := c.under(".flap")
		at.positive("on", uint64(d.Flap.On), "0s")
		at.positive("off", uint64(d.Flap.Off), "0s")
		for key, turn := range map[string]Duration{"on": d.Flap.On, "off": d.Flap.Off} {
			if turn > 0 && turn < shortestTurn {
				at.wrong(key, "", "nothing comes and goes that fast: flap wants %s or more; got %s", shortestTurn, turn)
			}
		}
		if d.For > 0 && d.Flap.On > 0 && d.Flap.On+d.Flap.Off >= d.For {
			at.wrong("on", "", "flap does not come back: on for %s and off for %s is not less than for: %s", d.Flap.On, d.Flap.Off, d.For)
		}
	}
}

// validGRPCMatch wants methods of gRPC where gRPC is spoken.
func validGRPCMatch(c *checker, _ *Phase, d *Disruption) {
	if d.Match == nil {
		return
	}
	at, protocol := c.under(".match"), speaks(c.plan, *d)
	if protocol == "tcp" || protocol == "dns" {
		c.wrongKey("match", "leave it out", "%s has no requests that could be matched", protocol)
		return
	}
	if at.given("grpc") && !ValidMethod(d.Match.GRPC) {
		at.wrong("grpc", "", "grpc wants a method such as shop.Payments/Charge, or shop.Payments/* for all of a service; got %q", shorten(d.Match.GRPC))
	}
	if at.given("tenant") && d.Match.Tenant == "" {
		at.wrong("tenant", "", "tenant is empty: leave it out to match every tenant")
	}
}

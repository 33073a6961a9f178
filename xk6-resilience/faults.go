package xk6resilience

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/grafana/sobek"

	"resilience/internal/plan"
)

// readHTTPFault reads an HTTPFault of xk6-disruptor: a delay, errors, or both,
// which are two disruptions then. The port is not among the fields of a fault
// on a proxy.
func readHTTPFault(value sobek.Value, ported bool) (parts []plan.Disruption, port string, err error) {
	known := []string{"averageDelay", "delayVariation", "errorRate", "errorCode", "errorBody", "exclude"}
	o := readFault("the HTTP fault", value, known, ported)
	match := &plan.Match{Exclude: o.list("exclude")}
	parts = o.latency(match)
	rate, code, body := o.share("errorRate"), o.whole("errorCode", 400, 599), o.text("errorBody")
	switch {
	case rate > 0 && code == 0:
		o.wrong("%s: errorRate wants errorCode, such as 500", o.what)
	case rate == 0 && (code != 0 || body != ""):
		o.wrong("%s: without errorRate there are no errors: say errorRate: 1 to touch every request", o.what)
	case rate > 0:
		parts = append(parts, plan.Disruption{Match: match, Share: plan.Percent(rate), Error: &plan.Error{Status: code, Body: body}})
	}
	return o.fault(parts)
}

// readGRPCFault reads a GrpcFault of xk6-disruptor, in the same way.
func readGRPCFault(value sobek.Value, ported bool) (parts []plan.Disruption, port string, err error) {
	known := []string{"averageDelay", "delayVariation", "errorRate", "statusCode", "statusMessage", "exclude"}
	o := readFault("the gRPC fault", value, known, ported)
	match := &plan.Match{Exclude: o.list("exclude")}
	parts = o.latency(match)
	rate, code, message := o.share("errorRate"), o.whole("statusCode", 0, len(grpcStatuses)-1), o.text("statusMessage")
	switch {
	case rate > 0 && code == 0:
		o.wrong("%s: errorRate wants a statusCode of 1 to %d, such as grpc.StatusInternal; 0 is no error", o.what, len(grpcStatuses)-1)
	case rate == 0 && (code != 0 || message != ""):
		o.wrong("%s: without errorRate there are no errors: say errorRate: 1 to touch every request", o.what)
	case rate > 0:
		parts = append(parts, plan.Disruption{
			Match: match, Share: plan.Percent(rate), Error: &plan.Error{GRPC: grpcStatuses[code], Message: message},
		})
	}
	return o.fault(parts)
}

// grpcStatuses are the names of gRPC's status codes, by number.
var grpcStatuses = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

// readFault reads a fault that there must be.
func readFault(what string, value sobek.Value, known []string, ported bool) *object {
	if absent(value) {
		return &object{what: what, err: fmt.Errorf("%s is missing: the first argument, an object", what)}
	}
	if ported {
		known = append(known, "port")
	}
	return readObject(what, value, known...)
}

// latency is the disruption that averageDelay and delayVariation ask for; none
// when there is no delay.
func (o *object) latency(match *plan.Match) []plan.Disruption {
	delay, jitter := o.delay("averageDelay"), o.delay("delayVariation")
	if jitter > delay {
		o.wrong("%s: delayVariation %s is more than averageDelay %s: a request can not leave before it came", o.what, jitter, delay)
	}
	if delay == 0 {
		return nil
	}
	return []plan.Disruption{{Match: match, Latency: &plan.Latency{Delay: delay, Jitter: jitter}}}
}

// fault finishes reading one.
func (o *object) fault(parts []plan.Disruption) ([]plan.Disruption, string, error) {
	port := o.port("port")
	if o.err == nil && len(parts) == 0 {
		o.wrong("%s does nothing: give it averageDelay or errorRate", o.what)
	}
	for i := range parts {
		if len(parts[i].Match.Exclude) == 0 {
			parts[i].Match = nil
		}
	}
	return parts, port, o.err
}

// readNetworkFault reads a NetworkFault of xk6-disruptor: all packets to a port
// are lost, or all to the pods.
func readNetworkFault(value sobek.Value) (plan.Disruption, error) {
	o := readObject("the network fault", value, "port", "protocol")
	drop := &plan.Drop{Protocol: o.text("protocol")}
	if port := o.whole("port", 0, 65535); port != 0 {
		drop.Ports = []int{port}
	}
	if p := drop.Protocol; p != "" && p != "tcp" && p != "udp" {
		o.wrong("%s: protocol is tcp or udp, or left out for both; got %q", o.what, p)
	}
	return plan.Disruption{Drop: drop}, o.err
}

// notInScripts are the keys of a plan's disruption that a script says otherwise
// or not at all.
var notInScripts = map[string]string{
	"name": "say it in the options", "settle": "say it in the options",
	"for": "it is the second argument", "at": "it begins now", "after": "it begins now", "spread": "it begins now",
	"repeat": "call inject again", "sweep": "make a disruptor of each", "abort_if": "let the plan's phase say it",
	"at_most": "there is one proxy", "dependency": "it is the disruptor's own", "services": "it acts on a proxy",
	"process": "it acts on a proxy", "container": "it acts on a proxy", "kubernetes": "use PodDisruptor",
}

// readPlanFault reads a fault that is spelled as in a plan, on a dependency.
func readPlanFault(value sobek.Value, dependency string) (plan.Disruption, error) {
	if absent(value) {
		return plan.Disruption{}, errors.New("the fault is missing: the first argument, an object such as {latency: {delay: '300ms'}, share: '50%'}")
	}
	fields, ok := value.Export().(map[string]any)
	if !ok {
		return plan.Disruption{}, fmt.Errorf("the fault wants an object, not %s", kindOf(value.Export()))
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if why, not := notInScripts[name]; not {
			return plan.Disruption{}, fmt.Errorf("the fault can not have %q in a script: %s", name, why)
		}
	}
	written := maps.Clone(fields)
	written["name"], written["dependency"], written["for"] = "script", dependency, "1s"
	text, err := json.Marshal(written)
	if err != nil {
		return plan.Disruption{}, fmt.Errorf("the fault: %w", err)
	}
	d, err := plan.ParseDisruption(text)
	if err != nil {
		return d, fmt.Errorf("the fault: %w", err)
	}
	return d, nil
}

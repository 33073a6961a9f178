// Package traffic holds the engines that make traffic.
//
// There are three. [K6] runs a script in a k6 child process and listens to what
// it measures. [Requests] sends a plan's list of requests itself, with vegeta,
// at a rate: arrivals come whether or not the target answers (open model).
// A [Prober] is for canaries: it keeps one k6 process, and has its VUs try
// what a scheduler says is due, one probe after the other.
//
// All take one [plan.Stream], reach nothing but its hosts, use the same
// credentials ([Authorizer]) and data ([plan.Feeder]), and hand on batches of
// windows, events and examples.
//
// Attempts are counted at the moment they were scheduled to, and their latency
// runs from there: what stands in line because every connection waits on the
// target is slow, not absent. An arrival still in line when the test and its
// grace are over is counted as dropped; one without an answer by then as
// unfinished, with the time it had waited. Both have failed. A test ends when
// its last arrival was due, so that nothing it did is left out.
//
// The target is blamed for what it did: statuses, timeouts, refused and reset
// connections, waiting. The generator is blamed only on evidence of its own,
// in events: starts that came late although a connection was free, a
// processor that was busy throughout, file descriptors or ports that ran out
// (such requests never left, so they count as no requests of the target).
//
// The stages of a Requests run, in attack.go: schedule.go decides when,
// arrivals.go waits for it as a vegeta.Pacer, route.go makes the request,
// tracer.go follows it, settle.go says how it ended, recorder.go keeps that.
package traffic

// Package xk6resilience is the k6 extension of this project: the JavaScript
// module k6/x/resilience and the output "resilience".
//
// Inside a k6 process it measures what k6's own numbers leave out. A generated
// entry module (see [entry]) wraps the functions of a script, so that every
// iteration, and through the transport of its VU every request, is known when
// it starts. What has not been answered when a test ends is reported as
// unfinished instead of vanishing; arrivals that found every VU waiting on the
// target are reported as dropped by the target, those that found the VUs busy
// with themselves as dropped by the generator.
//
// The output turns k6's samples into one-second windows on the spot (nothing
// is queued, memory is bounded by the number of series), computes the start of
// each request back from its end, and once a second hands the windows to the
// harness through an inherited socket, or writes them as JSON lines to a file
// when k6 is used bare:
//
//	resilience k6 run --out resilience=windows.jsonl script.js
//
// For a canary the functions of a script are not called by k6's own schedule: each
// VU waits for a probe from the harness, acts as the tenant that it names, and
// answers with what became of it (see [vu.probes]).
//
// Runners on other machines write to InfluxDB instead (--out resilience=influx;
// see influx.go).
//
// k6 keeps its registries global, so this package has one global as well: the
// session that module and output share.
package xk6resilience

// Package disrupt puts a proxy in front of each dependency of the system under
// test and does harm there on purpose.
//
// A [Proxy] stands between the system and one thing that it calls. Left alone
// it is as transparent as it can be: it passes on paths, queries, headers,
// trailers, interim answers, upgrades and bodies as they come, over HTTP/1.1
// and HTTP/2, and measures every request. What it could not get an answer for
// it answers with 502.
//
// A [Disruption] is one fault on one proxy. Inject returns once it is in
// effect: the proxy's list of faults is replaced as a whole, so a request sees
// either all of a fault or nothing of it. Which requests are touched follows
// from the seed and from their order among those that match, not from how
// goroutines were scheduled. Several faults may be in effect: a request meets
// them in the order of injection, those that only delay first, so that delays
// add up and the first that answers wins.
//
// Proof of injection is counted where the harm is done: a request that could
// have been touched is matched, one that was is touched. A request that an
// earlier fault answered never reached the later ones and counts for none of
// them. After lifting the counts no longer move.
//
// Nothing remains after lifting. No further request is touched, and what a
// fault was holding back at that moment is released at once. A fault lives in
// this process and nowhere else: it can not outlive the run.
//
// To add a fault, write a file like latency.go and a line in the table faults;
// the contract tests then demand to be told how to see it bite.
package disrupt

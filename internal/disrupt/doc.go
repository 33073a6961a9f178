// Package disrupt puts a proxy in front of each dependency of the system under
// test and does harm there on purpose.
//
// A [Proxy] stands between the system and one thing that it calls. Left alone
// it is as transparent as it can be: it passes on paths, queries, headers,
// trailers, interim answers, upgrades and bodies as they come, over HTTP/1.1
// and HTTP/2, and measures every request. What it could not get an answer for
// it answers with 502.
//
// Calls of gRPC are requests over HTTP/2 whose status is in the trailers: a
// proxy of protocol grpc is the same proxy, with an upstream that speaks HTTP/2
// alone and errors that are gRPC's.
//
// A [TCPProxy] passes on connections, a [DNSProxy] questions; [NewDependency]
// chooses. Faults on connections are toxics of Toxiproxy, one chain for each
// direction of a connection that is touched (tcp_chain.go); all others take the
// short way. Any proxy but that of DNS can serve TLS, and then show certificates
// that are wrong (serve.go). A proxy may also be one of a Toxiproxy server that
// is there already: such a fault outlives this process, so what undoes it is
// kept before.
//
// A [Disruption] is one fault on one proxy. Inject returns once it is in
// effect: the proxy's list of faults is replaced as a whole, so a request sees
// either all of a fault or nothing of it. Which requests are touched follows
// from the seed and from their order among those that match, not from how
// goroutines were scheduled. Several faults may be in effect: a request meets
// those that delay it, then those that answer in the dependency's place, then
// those that act on how the answer gets out and on what it is, each in the order
// of injection. Delays add up, and the first that answers wins.
//
// Proof of injection is counted where the harm is done: a request that could
// have been touched is matched, one that was is touched. A request that an
// earlier fault answered never reached the later ones and counts for none of
// them, and neither does one that came while a flapping fault was off or after
// the first N were touched: the share could not pick it. An answer in which
// there is nothing to harm, such as one without a body for a fault on bodies,
// is not matched either: faults on answers decide when the answer is there,
// and its order among the answers counts. Where the
// port is closed nobody can be counted; it counts once it was seen to refuse.
// After lifting the counts no longer move.
//
// Nothing remains after lifting. No further request is touched, and what a
// fault was holding back at that moment is released at once. A fault on a proxy
// of this process lives here and nowhere else: it can not outlive the run.
//
// Services, processes and containers are killed, paused and restarted by one
// lifecycle over three kinds of life (life.go). Faults that overlap on one
// instance add up: it runs again when the last that killed it is lifted. The
// machine is burdened by a child process that holds what weighs, so that it ends
// with that process however that came about. What commands and calls put into
// effect is lifted and verified by others. All that would outlive this process
// is kept before it begins, for [Undo].
//
// On Kubernetes (kubernetes_state.go; kubernetes.go is the one file that knows
// its API) pods, workloads and nodes are chosen, and the rights that it takes
// are asked for, before anything happens. Faults on the traffic of pods are the
// business of an [Agent] in each: this program, beside the system, with a proxy
// as above that the kernel sends the traffic of a port through for as long as
// the agent's process lives (nft_linux.go).
//
// To add a fault on HTTP, write a file with a function that reads it from a
// disruption and an effect that touches one request (latency.go for one that
// waits, reset.go for one without an answer, truncate.go for one that wraps the
// answer), and a line in the table faults. What share, first, flap and match
// mean is not its business, see bounds.go. The contract tests then demand to be
// told how to see it bite.
package disrupt

// Package distribute has the traffic of a script sent by runners on a cluster,
// through the TestRuns of k6-operator.
//
// A [Job] is one stream of a plan as [Job.Manifests]: a ConfigMap with the
// script, Secrets with what the runners are told, and a TestRun. [Runners] is that
// stream as an engine of traffic: it makes these objects, hears through [Follow]
// what the runners write, looks at their pods meanwhile, and removes the objects
// on every path. A crew keeps account of the runners: which began, which came to
// their end, and what became of the others. Kubernetes itself is in cluster.go.
//
// https://github.com/grafana/k6-operator
package distribute

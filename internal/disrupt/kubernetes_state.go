package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Kinds of workloads, as a plan spells them.
const (
	kindDeployment  = "deployment"
	kindStatefulSet = "statefulset"
	kindDaemonSet   = "daemonset"
)

// podState is a pod as far as faults need to know it.
type podState struct {
	name, uid, address, node, owner string // owner is such as replicaset/shop-5d7; "" for none

	ready, leaving bool
	image          string         // digest of that of the first container; "" before it runs
	restarts       int            // of its containers, together
	numbers        []int          // ports that its containers tell of
	ports          map[string]int // those that have names
	agents         map[string]containerState
}

// containerState is how an ephemeral container is; zero before it starts.
type containerState struct {
	running, ended  bool
	code            int // it ended with
	reason, message string
}

// serviceState is where a service sends its traffic.
type serviceState struct {
	selector map[string]string
	ports    []servicePort
}

type servicePort struct {
	name   string
	number int
	target string // number or name
}

// workloadState is a workload and how far a rollout of it is.
type workloadState struct {
	selector                              map[string]string
	generation                            int64
	observed                              bool // the controller has seen what was asked for last
	replicas, present, updated, available int  // as asked for; as there are
	paused, recreate, manual              bool // never rolled out; all at once; only by hand
}

// settled reports whether a rollout is complete; if not, status says how far it
// is.
func (w workloadState) settled() (status string, done bool) {
	switch {
	case !w.observed:
		return "its controller has not seen the change yet", false
	case w.updated < w.replicas:
		return fmt.Sprintf("%d of %d pods are new", w.updated, w.replicas), false
	case w.present > w.updated:
		return fmt.Sprintf("%d old pods are left", w.present-w.updated), false
	case w.available < w.updated:
		return fmt.Sprintf("%d of %d new pods are available", w.available, w.updated), false
	}
	return "complete", true
}

// right is something that the account must be allowed to do.
type right struct{ verb, group, resource, subresource, namespace string }

func (r right) String() string {
	what := r.resource
	if r.subresource != "" {
		what += "/" + r.subresource
	}
	if r.group != "" {
		what += "." + r.group
	}
	if r.namespace == "" {
		return r.verb + " " + what + " in the whole cluster"
	}
	return r.verb + " " + what + " in namespace " + r.namespace
}

// nodePod is a pod of any namespace on a node.
type nodePod struct{ namespace, name, uid string }

// onCluster is a disruption on Kubernetes before it is known which fault it is.
type onCluster struct {
	plan plan.Disruption
	on   plan.Kubernetes
	site Site
	api  *cluster
}

// kubernetesFaults makes what each fault needs on Kubernetes; those that are
// not here are the agent's.
var kubernetesFaults = map[string]func(onCluster) (Disruption, error){
	"kill":    newPodKill,
	"restart": newRollout,
	"scale":   newScaling,
	"drain":   newDraining,
}

// onKubernetes makes a disruption on pods, workloads or nodes.
func onKubernetes(d plan.Disruption, s Site) (Disruption, error) {
	o, err := newOnCluster(d, s)
	if err == nil {
		err = o.spares()
	}
	if err != nil {
		return nil, err
	}
	kind, _ := d.Fault()
	create, ok := kubernetesFaults[kind]
	if !ok {
		create = newAgents
	}
	out, err := create(o)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	return out, nil
}

func newOnCluster(d plan.Disruption, s Site) (onCluster, error) {
	api, err := connectCluster(*d.Kubernetes, s.Dir)
	if err != nil {
		return onCluster{}, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	if s.Note == nil {
		s.Note = func(string, string, map[string]string) {}
	}
	return onCluster{plan: d, on: *d.Kubernetes, site: s, api: api}, nil
}

// spares is an error where the cluster turns out to be one that serves users:
// which one it is may be left to a kubeconfig that somebody has switched.
func (o onCluster) spares() error {
	if o.site.Spares == nil {
		return nil
	}
	for _, name := range o.api.names {
		d, on := o.plan, o.on
		on.Context, d.Kubernetes = name, &on
		if err := o.site.Spares(d); err != nil {
			return fmt.Errorf("disruption %q: %w", d.Name, err)
		}
	}
	return nil
}

// need asks whether the account has all rights, and names those it lacks.
func (o onCluster) need(ctx context.Context, rights ...right) error {
	var lacking []string
	for _, r := range rights {
		ok, err := o.api.allowed(ctx, r)
		if err != nil {
			return err
		}
		if !ok {
			lacking = append(lacking, r.String())
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("this account lacks rights (RBAC): it must be allowed to %s", strings.Join(lacking, ", to "))
	}
	return nil
}

// in is a right in the namespace of the disruption.
func (o onCluster) in(verb, group, resource, subresource string) right {
	return right{verb, group, resource, subresource, o.api.namespace}
}

// errNoPod says that the cluster answered, and that nothing is selected.
var errNoPod = errors.New("no pod")

// everyone are the pods that are selected, and the service in front of them if
// one is given; [errNoPod].
func (o onCluster) everyone(ctx context.Context) ([]podState, serviceState, error) {
	var service serviceState
	want := o.on.Select
	switch {
	case o.on.Service != "":
		var err error
		if service, err = o.api.service(ctx, o.on.Service); err != nil {
			return nil, service, err
		}
		if want = service.selector; len(want) == 0 { // would select every pod there is
			return nil, service, fmt.Errorf("service %s has no selector: select the labels of its pods instead", o.on.Service)
		}
	case o.on.Workload != "":
		_, _, w, err := o.workload(ctx)
		if err != nil {
			return nil, service, err
		}
		want = w.selector
	}
	if len(want) == 0 {
		return nil, service, errors.New("kubernetes: says nothing about which pods are meant: give one of select, service and workload")
	}
	all, err := o.api.list(ctx, want, o.on.Exclude)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w in namespace %s has the labels %s", errNoPod, o.api.namespace, labelsOf(want))
	}
	return all, service, err
}

// workload looks up the workload that is named.
func (o onCluster) workload(ctx context.Context) (kind, name string, w workloadState, err error) {
	if kind, name, err = splitWorkload(o.on.Workload); err != nil {
		return "", "", w, err
	}
	w, err = o.api.workload(ctx, kind, name)
	return kind, name, w, err
}

// candidates are the pods that are selected and ready, by their names.
func (o onCluster) candidates(ctx context.Context) (map[string]podState, serviceState, error) {
	all, service, err := o.everyone(ctx)
	if err != nil {
		return nil, service, err
	}
	out := map[string]podState{}
	for _, p := range all {
		if p.ready {
			out[p.name] = p
		}
	}
	if len(out) == 0 {
		return nil, service, fmt.Errorf("none of the %d pods that are selected in namespace %s is ready", len(all), o.api.namespace)
	}
	return out, service, nil
}

// pick chooses the pods to act on.
func (o onCluster) pick(ctx context.Context) (chosen []podState, reach measure.Reach, service serviceState, err error) {
	found, service, err := o.candidates(ctx)
	if err != nil {
		return nil, reach, service, err
	}
	reach = measure.Reach{Unit: "pods", Of: sortedKeys(found)}
	group, err := o.narrowed(reach.Of)
	if err != nil {
		return nil, reach, service, err
	}
	if reach.Selected, err = choose(o.plan, group, reach.Unit, o.site.Seed); err != nil {
		return nil, reach, service, err
	}
	for _, name := range reach.Selected {
		chosen = append(chosen, found[name])
	}
	return chosen, reach, service, nil
}

func sortedKeys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for key := range m {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

// portOf is the number of the port that a pod listens at: that of the pod, or
// what the service's port leads to. Without port: it is the only one there is.
func (o onCluster) portOf(p podState, service serviceState) (int, error) {
	want := o.on.Port
	if o.on.Service != "" {
		i := slices.IndexFunc(service.ports, func(s servicePort) bool {
			return want == "" && len(service.ports) == 1 || want != "" && (s.name == want || strconv.Itoa(s.number) == want)
		})
		if i < 0 {
			return 0, fmt.Errorf("service %s has no port %q: it has %s", o.on.Service, want, tellPorts(service.ports))
		}
		want = service.ports[i].target
	}
	if want == "" {
		if len(p.numbers) != 1 {
			return 0, fmt.Errorf("pod %s has %d ports: give port to say which", p.name, len(p.numbers))
		}
		return p.numbers[0], nil
	}
	if number, ok := p.ports[want]; ok {
		return number, nil
	}
	number, err := strconv.ParseUint(want, 10, 16)
	switch {
	case err != nil || number == 0:
		return 0, fmt.Errorf("pod %s has no port named %q: it has %v", p.name, want, p.ports)
	case len(p.numbers) > 0 && !slices.Contains(p.numbers, int(number)):
		return 0, fmt.Errorf("no container of pod %s has the port %d: they have %v", p.name, number, p.numbers)
	}
	return int(number), nil
}

func tellPorts(ports []servicePort) string {
	var out []string
	for _, p := range ports {
		out = append(out, strings.TrimPrefix(p.name+" "+strconv.Itoa(p.number), " "))
	}
	return strings.Join(out, ", ")
}

// labelsOf tells labels as kubectl takes them.
func labelsOf(labels map[string]string) string {
	var out []string
	for _, key := range sortedKeys(labels) {
		out = append(out, key+"="+labels[key])
	}
	return strings.Join(out, ",")
}

// splitWorkload reads such as deployment/shop, also in the short forms of
// kubectl.
func splitWorkload(s string) (kind, name string, err error) {
	short := map[string]string{
		kindDeployment: kindDeployment, "deploy": kindDeployment, "deployments": kindDeployment,
		kindStatefulSet: kindStatefulSet, "sts": kindStatefulSet, "statefulsets": kindStatefulSet,
		kindDaemonSet: kindDaemonSet, "ds": kindDaemonSet, "daemonsets": kindDaemonSet,
	}
	before, name, found := strings.Cut(s, "/")
	kind, ok := short[strings.ToLower(before)]
	if !found || !ok || name == "" {
		return "", "", fmt.Errorf("workload %q is not one: write deployment/NAME, statefulset/NAME or daemonset/NAME", s)
	}
	return kind, name, nil
}

// until asks again and again until done says so, or the context ends.
func until(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// undoKubernetes undoes what outlives its process. Pods that were deleted and
// rollouts do not: what made them goes on by itself.
func undoKubernetes(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
	o, err := newOnCluster(d, s)
	if err != nil {
		return err
	}
	switch kind, _ := d.Fault(); kind {
	case "kill", "restart":
		return nil
	case "scale":
		err = undoScaling(ctx, o, undo)
	case "drain":
		err = undoDraining(ctx, o, undo)
	default:
		err = undoAgents(ctx, o, undo)
	}
	if err != nil {
		return fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	return nil
}

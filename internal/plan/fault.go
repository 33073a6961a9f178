package plan

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Kinds of things that a disruption acts on: [Disruption.On].
const (
	OnDependency = "dependency"
	OnServices   = "services"
	OnProcess    = "process"
	OnContainer  = "container"
	OnKubernetes = "kubernetes"
	OnMachine    = "machine" // the one that the harness runs on
	OnAnything   = "anything"
)

// acts says on what each fault can act: the table of all faults.
var acts = map[string][]string{
	"latency":     {OnDependency, OnKubernetes},
	"error":       {OnDependency, OnKubernetes},
	"reset":       {OnDependency, OnKubernetes},
	"timeout":     {OnDependency, OnKubernetes},
	"refuse":      {OnDependency},
	"bandwidth":   {OnDependency, OnKubernetes},
	"slow_close":  {OnDependency, OnKubernetes},
	"truncate":    {OnDependency, OnKubernetes},
	"corrupt":     {OnDependency, OnKubernetes},
	"slice":       {OnDependency, OnKubernetes},
	"certificate": {OnDependency},
	"dns":         {OnDependency},
	"clock":       {OnDependency, OnKubernetes},
	"drop":        {OnKubernetes},
	"kill":        {OnServices, OnProcess, OnContainer, OnKubernetes},
	"pause":       {OnServices, OnProcess, OnContainer},
	"restart":     {OnServices, OnProcess, OnContainer, OnKubernetes},
	"cpu":         {OnMachine},
	"memory":      {OnMachine},
	"disk":        {OnMachine},
	"drain":       {OnKubernetes},
	"scale":       {OnKubernetes},
	"exec":        {OnAnything},
	"http":        {OnAnything},
}

// faults are the keys of a disruption that are kinds of faults.
var faults = slices.Sorted(maps.Keys(acts))

// Fault names the fault of a disruption, "" when there is none, and gives the
// share of what matches that it should touch, from 0 to 1.
func (d Disruption) Fault() (kind string, share float64) {
	v := reflect.ValueOf(d)
	for i := range v.NumField() {
		key := fieldName(v.Type().Field(i))
		if _, is := acts[key]; is && !v.Field(i).IsNil() {
			share := float64(d.Share)
			if share == 0 {
				share = 1
			}
			return key, share
		}
	}
	return "", 0
}

// Faults names all faults of a disruption, sorted. A valid one has just one.
func (d Disruption) Faults() []string {
	var found []string
	v := reflect.ValueOf(d)
	for i := range v.NumField() {
		key := fieldName(v.Type().Field(i))
		if _, is := acts[key]; is && !v.Field(i).IsNil() {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	return found
}

// On says what a disruption acts on: its kind, and words for a reader, such as
// dependency and payments.
func (d Disruption) On() (kind, what string) {
	switch {
	case d.Dependency != "":
		return OnDependency, d.Dependency
	case len(d.Services) > 0:
		return OnServices, strings.Join(d.Services, ", ")
	case d.Process != nil:
		return OnProcess, d.Process.PIDFile
	case d.Container != nil:
		return OnContainer, d.Container.Name + d.Container.Label
	case d.Kubernetes != nil:
		return OnKubernetes, d.Kubernetes.String()
	case d.Exec != nil:
		return OnAnything, "a command"
	case d.HTTP != nil:
		return OnAnything, d.HTTP.Inject.URL
	}
	return OnMachine, "this machine"
}

// String names what is selected, in few words.
func (k Kubernetes) String() string {
	var parts []string
	for _, label := range slices.Sorted(maps.Keys(k.Select)) {
		parts = append(parts, label+"="+k.Select[label])
	}
	for _, named := range []struct{ kind, name string }{{"service", k.Service}, {"", k.Workload}, {"node", k.Node}} {
		if named.name != "" {
			parts = append(parts, strings.TrimPrefix(named.kind+"/"+named.name, "/"))
		}
	}
	return strings.Join(parts, ",")
}

package disrupt

import (
	"context"
	"slices"

	"resilience/internal/plan"
)

// Pods finds the names of the pods that faults on k would choose from, those
// that are ready, sorted. It needs no right but to look at them. That there are
// none is an error.
func Pods(ctx context.Context, k plan.Kubernetes, s Site) ([]string, error) {
	api, err := connectCluster(k, s.Dir)
	if err != nil {
		return nil, err
	}
	return onCluster{on: k, site: s, api: api}.names(ctx)
}

func (o onCluster) names(ctx context.Context) ([]string, error) {
	if err := o.need(ctx, o.looking()...); err != nil {
		return nil, err
	}
	found, _, err := o.candidates(ctx)
	if err != nil {
		return nil, err
	}
	return o.narrowed(sortedKeys(found))
}

// looking are the rights that finding the pods takes.
func (o onCluster) looking() []right {
	rights := []right{o.in("list", "", "pods", "")}
	if o.on.Service != "" {
		rights = append(rights, o.in("get", "", "services", ""))
	}
	if kind, _, err := splitWorkload(o.on.Workload); err == nil {
		rights = append(rights, o.in("get", "apps", kind+"s", ""))
	}
	return rights
}

// narrowed gives those of a group of pods that the plan names, or all of them
// where it names none. Names that are not in the group are left out: a pod may
// be gone when its turn comes.
func (o onCluster) narrowed(group []string) ([]string, error) {
	if len(o.on.Pods) == 0 {
		return group, nil
	}
	named := slices.DeleteFunc(slices.Clone(group), func(pod string) bool { return !slices.Contains(o.on.Pods, pod) })
	if len(named) == 0 {
		return nil, plan.Misfitf("none of the pods %v is among those that are selected and ready in namespace %s: %v", o.on.Pods, o.api.namespace, group)
	}
	return named, nil
}

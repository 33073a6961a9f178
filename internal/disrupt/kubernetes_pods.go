package disrupt

import (
	"fmt"
	"slices"
)

// narrowed gives those of a group of pods that the plan names, or all of them
// where it names none. Names that are not in the group are left out: a pod may
// be gone when its turn comes.
func (o onCluster) narrowed(group []string) ([]string, error) {
	if len(o.on.Pods) == 0 {
		return group, nil
	}
	named := slices.DeleteFunc(slices.Clone(group), func(pod string) bool { return !slices.Contains(o.on.Pods, pod) })
	if len(named) == 0 {
		return nil, fmt.Errorf("none of the pods %v is among those that are selected and ready in namespace %s: %v", o.on.Pods, o.api.namespace, group)
	}
	return named, nil
}

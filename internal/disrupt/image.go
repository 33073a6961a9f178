package disrupt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"resilience/internal/plan"
)

// Image gives the digest of the image that the containers or pods of a version
// run. That they run different ones, as in the middle of a rollout, is an error.
func Image(ctx context.Context, v plan.Version, dir string) (string, error) {
	var by map[string][]string
	var err error
	switch {
	case v.Container != nil:
		by, err = containerImages(ctx, *v.Container)
	case v.Kubernetes != nil:
		by, err = podImages(ctx, *v.Kubernetes, dir)
	default:
		return "", errors.New("version: says neither which containers nor which pods run the image")
	}
	if err != nil {
		return "", err
	}
	return oneImage(by)
}

func oneImage(by map[string][]string) (string, error) {
	if none := by[""]; len(none) > 0 {
		return "", fmt.Errorf("%s tells no image", strings.Join(none, ", "))
	}
	digests := slices.Sorted(maps.Keys(by))
	if len(digests) == 1 {
		return digests[0], nil
	}
	var each []string
	for _, digest := range digests {
		each = append(each, strings.Join(by[digest], ", ")+" "+digest)
	}
	return "", fmt.Errorf("they run %d different images: %s", len(digests), strings.Join(each, "; "))
}

// containerImages are the names of containers by their images.
func containerImages(ctx context.Context, c plan.Container) (map[string][]string, error) {
	e, err := findEngine(ctx, c.Engine, os.Getenv)
	if err != nil {
		return nil, err
	}
	group, err := selectContainers(ctx, e, c)
	if err != nil {
		return nil, err
	}
	by := map[string][]string{}
	for _, l := range group {
		one := l.(*containerLife)
		is, err := e.inspect(ctx, one.id)
		if err != nil {
			return nil, err
		}
		by[is.Image] = append(by[is.Image], one.named)
	}
	return by, nil
}

// podImages are the names of pods by their images.
func podImages(ctx context.Context, k plan.Kubernetes, dir string) (map[string][]string, error) {
	api, err := connectCluster(k, dir)
	if err != nil {
		return nil, err
	}
	return onCluster{on: k, api: api}.images(ctx)
}

func (o onCluster) images(ctx context.Context) (map[string][]string, error) {
	if err := o.need(ctx, o.looking()...); err != nil {
		return nil, err
	}
	found, _, err := o.candidates(ctx)
	if err != nil {
		return nil, err
	}
	by := map[string][]string{}
	for _, name := range sortedKeys(found) {
		by[found[name].image] = append(by[found[name].image], name)
	}
	return by, nil
}

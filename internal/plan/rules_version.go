package plan

import (
	"slices"
	"strings"
)

// version wants one way to ask a target which version it is.
func (c *checker) version(v *Version) {
	if v == nil || !c.clean("version") {
		return
	}
	at := c.under(".version")
	var ways []string
	for _, key := range []string{"path", "command", "container", "kubernetes"} {
		if at.given(key) {
			ways = append(ways, key)
		}
	}
	switch {
	case len(ways) == 0:
		c.wrong("version", "write for example: version: {path: /version, json: commit}", "version wants path:, command:, container: or kubernetes:")
		return
	case len(ways) > 1:
		at.wrongKey(ways[1], "keep one", "a version is asked for in one way; %s: is another", ways[0])
	case ways[0] != "path" && (v.JSON != "" || v.Header != ""):
		at.wrongKey(ways[0], "leave them out", "json: and header: are of an answer to path:")
	case v.JSON != "" && v.Header != "":
		at.wrong("header", "keep one", "a version is in json: or in header:, not in both")
	}
	if at.given("is") && strings.TrimSpace(v.Is) == "" {
		at.wrong("is", "leave it out where any version will do", "is: names no version, so that any would be right")
	}
	if v.Container != nil && v.Container.Name == "" && v.Container.Label == "" {
		at.wrong("container", "", "container wants name: or label:")
	}
	if v.Kubernetes != nil {
		pods := at.under(".kubernetes")
		pods.wants("version", podSelectors...)
		pods.only("version", slices.Concat([]string{"exclude"}, podSelectors)...)
		pods.objects(*v.Kubernetes)
	}
}

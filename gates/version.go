package gates

import (
	"fmt"
	"slices"

	"resilience/internal/measure"
)

func (t *timeline) versionEvent(e measure.Event) {
	i := slices.IndexFunc(t.versions, func(v Version) bool { return v.Target == e.Name && v.Arm == e.Arm })
	if i < 0 {
		i = len(t.versions)
		t.versions = append(t.versions, Version{Target: e.Name, Arm: e.Arm, Wanted: e.Attrs["wanted"], asked: map[string]string{}})
	}
	v := &t.versions[i]
	v.asked[e.Attrs["when"]] = e.Attrs["error"]
	if e.Attrs["when"] == "before" {
		v.Before = e.Attrs["version"]
	} else {
		v.After = e.Attrs["version"]
	}
}

// misidentified says why a verdict would not be about the version it should be
// about; "" when it would.
func (t *timeline) misidentified() string {
	for _, v := range t.versions {
		if text := v.doubt(); text != "" {
			return text
		}
	}
	return ""
}

func (v Version) doubt() string {
	for _, when := range []string{"before", "after"} {
		said := map[string]string{"before": v.Before, "after": v.After}[when]
		why, asked := v.asked[when]
		switch {
		case !asked:
			return fmt.Sprintf("the target %s was not asked for its version %s the tests", v.Target, when)
		case why != "":
			return fmt.Sprintf("the target %s did not tell its version %s the tests: %s", v.Target, when, why)
		case v.Wanted != "" && said != v.Wanted:
			return fmt.Sprintf("the target %s was version %s %s the tests, not %s", v.Target, said, when, v.Wanted)
		}
	}
	if v.Before != v.After {
		return fmt.Sprintf("the target %s was version %s before the tests and %s after them", v.Target, v.Before, v.After)
	}
	return ""
}

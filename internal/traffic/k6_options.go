package traffic

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"resilience/internal/plan"
)

// scenarioName is the name of the one scenario that a profile becomes.
const scenarioName = "plan"

// timeUnit is over what k6 counts rates: a minute keeps fractions exact enough
// for k6's whole numbers.
const timeUnit = time.Minute

// k6Options are the options that a stream puts over those of its script. A
// profile without rate, vus and stages leaves the traffic to the script.
func k6Options(s plan.Stream) (map[string]any, error) {
	options, err := tlsOptions(s)
	if err != nil {
		return nil, err
	}
	_, profile := s.Test.Kind()
	if scenario := k6Scenario(profile); scenario != nil {
		options["scenarios"] = map[string]any{scenarioName: scenario}
	}
	return options, nil
}

// tlsOptions are those by which k6 knows the target, and is known to it.
func tlsOptions(s plan.Stream) (map[string]any, error) {
	options := map[string]any{}
	if tls := s.Target.TLS; tls != nil {
		if tls.Insecure {
			options["insecureSkipTLSVerify"] = true
		}
		if tls.Cert != "" {
			pair, err := k6Certificate(s.Dir, *tls)
			if err != nil {
				return nil, err
			}
			options["tlsAuth"] = []any{pair}
		}
	}
	return options, nil
}

func k6Certificate(dir string, t plan.TLS) (map[string]any, error) {
	cert, err := os.ReadFile(plan.Locate(dir, t.Cert))
	if err != nil {
		return nil, fmt.Errorf("tls: cert: %w", err)
	}
	key, err := os.ReadFile(plan.Locate(dir, t.Key))
	if err != nil {
		return nil, fmt.Errorf("tls: key: %w", err)
	}
	return map[string]any{"cert": string(cert), "key": string(key)}, nil
}

// k6Scenario is the profile as a k6 scenario: an arrival rate (open model) or a
// number of VUs (closed model).
func k6Scenario(p plan.Profile) map[string]any {
	exec := p.Exec
	if exec == "" {
		exec = "default"
	}
	scenario := map[string]any{"exec": exec, "gracefulStop": time.Duration(p.Grace).String()}
	switch {
	case p.Closed():
		scenario["executor"] = "ramping-vus"
		scenario["gracefulRampDown"] = time.Duration(p.Grace).String()
		scenario["startVUs"], scenario["stages"] = closedStages(p)
	case p.Open():
		scenario["executor"] = "ramping-arrival-rate"
		scenario["timeUnit"] = timeUnit.String()
		scenario["startRate"], scenario["stages"] = openStages(p)
		scenario["preAllocatedVUs"] = p.MaxVUs
	default:
		return nil
	}
	return scenario
}

// openStages is the line of a rate as k6's stages.
func openStages(p plan.Profile) (start int64, stages []map[string]any) {
	return perUnit(p.StartRate()), k6Stages(p, func(at plan.Point) int64 { return perUnit(at.Rate) })
}

// closedStages is the line of a number of VUs as k6's stages.
func closedStages(p plan.Profile) (start int64, stages []map[string]any) {
	return int64(p.StartVUs()), k6Stages(p, func(at plan.Point) int64 { return int64(at.VUs) })
}

// k6Stages turns a line of points into stages, each of which ends at a point.
func k6Stages(p plan.Profile, value func(plan.Point) int64) []map[string]any {
	line := p.Line()
	stages := make([]map[string]any, 0, len(line))
	for i := 1; i < len(line); i++ {
		took := line[i].At - line[i-1].At
		stages = append(stages, map[string]any{
			"duration": strconv.FormatInt(took.Milliseconds(), 10) + "ms", "target": value(line[i]),
		})
	}
	return stages
}

// perUnit is a rate as the whole number that k6 wants.
func perUnit(r plan.Rate) int64 { return int64(math.Round(float64(r) * timeUnit.Seconds())) }

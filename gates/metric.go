package gates

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"resilience/internal/measure"
)

// betterKnown are SLIs that stand for what k6 has metrics of its own for.
var betterKnown = map[string]string{
	"http_req_duration": "latency", "http_req_failed": "errors", "checks": "assertions", "iteration_duration": "latency",
	"dropped_iterations": "delivered", "grpc_req_duration": "latency",
}

// rowOf gives the row of an SLI as it is used in a gate. For a k6 metric or a
// query the record tells its kind; missing says why there is none.
func rowOf(name string, g Gate, t *timeline) (row SLI, missing string) {
	row, known := lookUp(name)
	count, share := countsAndShares(g.Value)
	if known {
		if row.kind == shareKind && slices.Contains(row.Also, UnitCount) && count && !share && g.SLI == name {
			row.kind, row.Unit = countKind, UnitCount
		}
		if row.from == fromDependency && t.runsArm(measure.Baseline) {
			return row, "what a dependency saw of both arms can not be told apart"
		}
		return row, ""
	}
	attrs, ok := t.metrics[name]
	if !ok {
		return row, "no such metric was seen: " + name + t.metricHint(name)
	}
	return metricRow(row, attrs, g)
}

// MetricFits says why a gate can not be over a metric of which a record says
// this (see [measure.EventMetric]), "" when it can.
func MetricFits(g Gate, attrs map[string]string) string {
	row, known := lookUp(g.SLI)
	if known {
		return ""
	}
	_, why := metricRow(row, attrs, g)
	return why
}

// metricUnits are the units of what a metric contains, where they are not
// plain numbers.
var metricUnits = map[string]string{"time": UnitTime, "share": UnitShare}

func metricRow(row SLI, attrs map[string]string, g Gate) (SLI, string) {
	row.Unit = cmp.Or(metricUnits[attrs["contains"]], UnitCount)
	if row.stale = staleAfter(attrs); row.stale > 0 {
		row.every = nanoseconds(attrs["every"])
		row.from, row.nothing = fromQuery, "the query gave nothing that counts in this period"
		if g.Of != "" || g.From != "" || len(g.Where) > 0 || g.Each != "" {
			return row, row.Name + " is a query about the whole system: leave out of, from and for, and choose by the query itself"
		}
	}
	hasStat, kindOf := g.Stat.Kind != "", attrs["type"]
	switch kindOf {
	case "trend":
		row.kind, row.Better = quantileKind, "<="
		if !hasStat {
			return row, fmt.Sprintf("%s is a trend: say which value of it, for example %s p95", row.Name, row.Name)
		}
	case "gauge":
		row.kind = gaugeKind
	case "rate":
		row.kind, row.Unit, row.Better, row.bad = shareKind, UnitShare, ">=", failed
	case "counter":
		row.kind = countKind
		if u := valueUnit(g.Value); u.kind == UnitRate {
			row.kind, row.Unit = rateKind, UnitRate
		}
	default:
		return row, fmt.Sprintf("the record does not tell what type of metric %s is", row.Name)
	}
	if hasStat && (kindOf == "rate" || kindOf == "counter") {
		return row, fmt.Sprintf("%s is a %s: it has no %s", row.Name, kindOf, g.Stat)
	}
	return row, metricUnit(row, kindOf, g)
}

// staleAfter is how long a query may go without an answer, in nanoseconds; 0
// for what is no query.
func staleAfter(attrs map[string]string) int64 { return nanoseconds(attrs["stale"]) }

// nanoseconds reads a duration of a record; 0 for what is none.
func nanoseconds(text string) int64 {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return int64(max(d, 0))
}

// metricUnit says why the objective's unit does not fit the metric.
func metricUnit(row SLI, kindOf string, g Gate) string {
	u := valueUnit(g.Value)
	fits := u.kind == UnitCount || u.kind == row.Unit || u.kind == UnitTime && row.kind == quantileKind
	if !fits {
		return fmt.Sprintf("%s is a %s in another unit than %s", row.Name, kindOf, u.name)
	}
	return ""
}

// valueUnit is the unit of the first number in a value.
func valueUnit(v Value) unit {
	if v.Kind == "number" {
		u, _ := findUnit(v.Unit)
		return u
	}
	for _, arg := range v.Args {
		if u := valueUnit(arg); u.name != "" {
			return u
		}
	}
	u, _ := findUnit("")
	return u
}

func (t *timeline) metricHint(name string) string {
	if better, ok := betterKnown[name]; ok {
		return "; write " + better + " instead"
	}
	candidates := sliNames()
	for metric := range t.metrics {
		candidates = append(candidates, metric)
	}
	slices.Sort(candidates)
	return didYouMean(name, candidates)
}

package store

import (
	"math"
	"strings"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/api/write"

	"resilience/gates"
	"resilience/internal/measure"
)

// verdictPoints write a verdict, its checks with their limits, and its error
// budgets, all judged of what happened until at.
func verdictPoints(run gates.Run, v gates.Verdict, at int64) []*write.Point {
	points := []*write.Point{verdictPoint(run, v, at)}
	for i, c := range v.Checks {
		points = append(points, newPoint(influxChecks, run, checkTags(v.Phase, c), checkFields(c), at+int64(i)))
		points = append(points, limitLine(run, v.Phase, c)...)
	}
	for _, b := range v.Objectives {
		points = append(points, newPoint(influxBudgets, run, map[string]string{"phase": v.Phase, "objective": b.Objective}, budgetFields(b), at))
	}
	return points
}

func verdictPoint(run gates.Run, v gates.Verdict, at int64) *write.Point {
	fields := map[string]any{
		"outcome": v.Outcome.String(), "passed": v.Outcome == gates.Pass, "exit_code": int64(v.ExitCode()), "cause": v.Cause.String(), "reason": oneLine(v.Reason),
		"started": run.Started.UnixMilli(), // which links of Grafana want, and InfluxQL can not make of nanoseconds exactly
	}
	putText(fields, "version", versionOf(v.Versions))
	for _, score := range v.Scores {
		if score.Group == "" {
			putNumber(fields, "score_least", &score.Least)
			putNumber(fields, "score_most", &score.Most)
		}
	}
	return newPoint(influxVerdicts, run, map[string]string{"phase": v.Phase}, fields, at)
}

// versionOf is what the candidate said it was, "" when it said nothing: both,
// when it became another during the tests.
func versionOf(versions []gates.Version) string {
	for _, v := range versions {
		switch {
		case v.Arm != measure.Candidate:
		case v.Before == v.After || v.After == "":
			return v.Before
		case v.Before == "":
			return v.After
		default:
			return v.Before + ", then " + v.After
		}
	}
	return ""
}

// checkTags tell a check from others of its verdict, and its limit.
func checkTags(phase string, c gates.Check) map[string]string {
	return map[string]string{"phase": phase, "gate": c.Text, "period": c.Period, "sli": c.SLI, "unit": c.Unit}
}

func checkFields(c gates.Check) map[string]any {
	fields := map[string]any{
		"outcome": c.Outcome.String(), "passed": c.Outcome == gates.Pass, "cause": c.Cause.String(), "observed": c.Observed,
		"objective": c.Objective, "reason": oneLine(c.Reason), "samples": clamped(c.Samples), "failed": clamped(c.Failed),
		"weight": max(1, clamped(c.Weight)),
	}
	switch c.Outcome { // a number, so that the share of runs in which it held is its mean
	case gates.Pass:
		fields["held"] = int64(1)
	case gates.Fail:
		fields["held"] = int64(0)
	}
	putNumber(fields, "value", c.Value)
	putNumber(fields, "limit", c.Limit)
	putText(fields, "severity", string(c.Severity))
	putText(fields, "group", c.Group)
	putText(fields, "advisory", c.Advisory)
	putText(fields, "evidence", c.Evidence)
	putText(fields, "warnings", strings.Join(c.Warnings, "; "))
	if c.Waiver != nil {
		putText(fields, "waiver", c.Waiver.String())
	}
	return fields
}

// Points of limits: how far apart they are at least, and how many there are of a
// stretch at most.
const (
	limitStep   = time.Minute
	limitPoints = 240
)

// limitLine writes the limit of a check over the time it is about, for lines in
// graphs: a point where a stretch begins, one where it ends, and some between, so
// that who looks at a part of it finds one not long before.
func limitLine(run gates.Run, phase string, c gates.Check) []*write.Point {
	fields := map[string]any{}
	if putNumber(fields, "limit", c.Limit); len(fields) == 0 {
		return nil
	}
	var points []*write.Point
	add := func(at time.Time, applies int64) {
		fields := map[string]any{"limit": fields["limit"], "applies": applies}
		points = append(points, newPoint(influxLimits, run, checkTags(phase, c), fields, at.UnixNano()))
	}
	for _, s := range c.Stretches {
		step := max(limitStep, s.To.Sub(s.From)/limitPoints)
		for at := s.From; at.Before(s.To); at = at.Add(step) {
			add(at, 1)
		}
		add(s.To, 0)
	}
	return points
}

// budgetFields say what is left of an error budget, as far as it is known.
func budgetFields(b gates.Budget) map[string]any {
	fields := map[string]any{"share": b.Share, "over": int64(b.Over), "firing": int64(len(b.Firing))}
	putNumber(fields, "left", b.Left)
	for _, burn := range b.Burns {
		if burn.Run {
			putNumber(fields, "burn", &burn.Rate)
			fields["good"], fields["total"] = clamped(burn.Good), clamped(burn.Total)
		}
	}
	putText(fields, "reason", b.Reason)
	return fields
}

// putNumber leaves out what there is none of, and what InfluxDB has no number for.
func putNumber(fields map[string]any, key string, value *float64) {
	if value != nil && !math.IsNaN(*value) && !math.IsInf(*value, 0) {
		fields[key] = *value
	}
}

// putText leaves out an empty text, so that points that have one can be counted.
func putText(fields map[string]any, key, text string) {
	if text = oneLine(text); text != "" {
		fields[key] = text
	}
}

package main

import (
	"fmt"
	"strings"
)

// Measurements that internal/store writes.
const (
	windows  = "resilience_windows"
	events   = "resilience_events"
	verdicts = "resilience_verdicts"
	checks   = "resilience_checks"
	limits   = "resilience_limits"
	budgets  = "resilience_budgets"
	totals   = "resilience_totals"
)

// selection is what a query looks at. Queries are InfluxQL of the kind that
// InfluxDB 1.8, 2 and 3 understand alike.
type selection struct {
	measurement string
	where       []string
}

// of a run: what belongs to it itself, and not to what it is compared with.
func ofRun(measurement string) selection { return ofRunIn("run", measurement) }

// ofRunIn is of the run that a variable names.
func ofRunIn(variable, measurement string) selection {
	s := selection{measurement, []string{isIn("run", variable)}}
	if measurement == windows || measurement == events {
		s = s.and(`"origin" = ''`)
	}
	return s
}

// attempts are the windows that the variables at the top of the board choose.
func attempts() selection {
	return ofRun(windows).and(matches("metric"), matches("phase"), matches("arm"), matches("transaction"), matches("tenant"))
}

// metric are the windows of one metric of the chosen phases and arms.
func metric(name string) selection {
	return ofRun(windows).and(is("metric", name), matches("phase"), matches("arm"))
}

// and narrows a selection.
func (s selection) and(conditions ...string) selection {
	return selection{s.measurement, append(append([]string{}, s.where...), conditions...)}
}

// inTime narrows a selection to the time range of the board.
func (s selection) inTime() selection { return s.and("$timeFilter") }

// rows gives the points themselves, oldest first; they are few, so the time
// range is up to the caller.
func (s selection) rows(columns ...string) string {
	return fmt.Sprintf(`SELECT %s FROM "%s" WHERE %s`, strings.Join(columns, ", "), s.measurement, strings.Join(s.where, " AND "))
}

// total sums up the time range, a row for each value of the tags.
func (s selection) total(tags []string, columns ...string) string {
	return s.inTime().rows(columns...) + grouped(quoted(tags))
}

// course sums up each point of a graph, a line for each value of the tags.
func (s selection) course(tags []string, columns ...string) string {
	return s.inTime().rows(columns...) + grouped(append([]string{"time($__interval)"}, quoted(tags)...)) + " fill(none)"
}

// perSecond is the mean over the seconds of a point of what each summed up to.
func (s selection) perSecond(tags []string, column string) string { return s.per("1s", tags, column) }

// per is the mean over such spans of a point of what each summed up to.
func (s selection) per(span string, tags []string, column string) string {
	each := s.inTime().rows(column+` AS "n"`) + grouped(append([]string{"time(" + span + ")"}, quoted(tags)...)) + " fill(none)"
	return fmt.Sprintf(`SELECT mean("n") FROM (%s) WHERE $timeFilter%s fill(none)`, each, grouped(append([]string{"time($__interval)"}, quoted(tags)...)))
}

// weighted is the mean of a quantile over windows, each counting as much as it
// holds attempts. InfluxQL can not merge sketches, so it is near the quantile of
// all and not the same; for a single series in one second it is exact.
func (s selection) weighted(quantile string, tags []string) string {
	each := s.inTime().rows(fmt.Sprintf(`"%s" * "count" AS "w"`, quantile), `"count" AS "n"`)
	if len(tags) > 0 {
		each += grouped(quoted(tags))
	}
	return fmt.Sprintf(`SELECT sum("w") / sum("n") FROM (%s) WHERE $timeFilter%s fill(none)`,
		each, grouped(append([]string{"time($__interval)"}, quoted(tags)...)))
}

func grouped(by []string) string {
	if len(by) == 0 {
		return ""
	}
	return " GROUP BY " + strings.Join(by, ", ")
}

func quoted(names []string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = `"` + name + `"`
	}
	return list
}

// matches compares a tag with the variable of the same name.
func matches(tag string) string { return isIn(tag, tag) }

// isIn compares a tag with a variable.
func isIn(tag, variable string) string { return fmt.Sprintf(`"%s" =~ /^${%s:regex}$/`, tag, variable) }

func is(tag, value string) string { return fmt.Sprintf(`"%s" = '%s'`, tag, value) }

// oneOf compares a tag with several values, which are plain words.
func oneOf(tag string, values ...string) string {
	return fmt.Sprintf(`"%s" =~ /^(%s)$/`, tag, strings.Join(values, "|"))
}

// as names a column.
func as(expression, name string) string { return fmt.Sprintf(`%s AS "%s"`, expression, name) }

// good is the share of attempts that did not fail.
const good = `1 - sum("failed") / sum("count")`

// values lists what a tag can be, for a variable.
func (s selection) values(tag string) string {
	query := fmt.Sprintf(`SHOW TAG VALUES FROM "%s" WITH KEY = "%s"`, s.measurement, tag)
	if len(s.where) > 0 {
		query += " WHERE " + strings.Join(s.where, " AND ")
	}
	return query
}

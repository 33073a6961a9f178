package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"resilience/dashboards"
	"resilience/fixtures/boards"
	"resilience/fixtures/servers"
	"resilience/internal/store"
)

// asksBoards asks each query of some boards, as Grafana would ask the InfluxDB of
// the script: about every run in .resilience/runs, with the run chosen and the one
// before it to compare with; about the last hour where a board is not about runs. A
// query that has nothing to show of any of them is a panel that stays empty.
func asksBoards(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: asks-boards FILE...")
	}
	all, err := boards.Read(dashboards.Files())
	ts.Check(err)
	maps.DeleteFunc(all, func(name string, _ boards.Board) bool { return !slices.Contains(args, name) })
	if len(all) != len(args) {
		ts.Fatalf("not all of these are boards: %q", args)
	}
	influx := servers.Influx{URL: ts.Getenv("REAL_INFLUX"), Bucket: ts.Getenv("INFLUX_BUCKET"), Token: ts.Getenv("INFLUX_TOKEN")}
	shown := map[boards.Query]int{}
	for _, b := range all {
		ids := boardRuns(ts, b)
		for i, id := range ids {
			compare := ids[(i+len(ids)-1)%len(ids)]
			ts.Check(askBoard(b, influx, id, compare, shown))
		}
	}
	empty := slices.DeleteFunc(slices.Collect(maps.Keys(shown)), func(q boards.Query) bool { return shown[q] > 0 })
	for _, q := range empty {
		ts.Logf("%s has nothing to show: %s", q.Where, q.Text)
	}
	if len(empty) > 0 {
		ts.Fatalf("%d of %d queries have nothing to show of any run", len(empty), len(shown))
	}
	ts.Logf("%d queries of %d boards have something to show", len(shown), len(all))
}

// boardRuns are the ids of the runs that a board can show, the oldest first; for
// one that is not about runs that of a run which began an hour ago.
func boardRuns(ts *testscript.TestScript, b boards.Board) []string {
	if !slices.ContainsFunc(b.Variables, func(v boards.Variable) bool { return v.Name == "run" || v.Name == "gate" }) {
		return []string{time.Now().Add(-time.Hour).UTC().Format("20060102T150405Z") + "-none"}
	}
	ids, err := filepath.Glob(ts.MkAbs(".resilience/runs/*" + store.Extension))
	ts.Check(err)
	if len(ids) < 2 {
		ts.Fatalf("there are %d runs: two are wanted, to compare them", len(ids))
	}
	for i, path := range ids { // sorted, and so by time
		ids[i] = strings.TrimSuffix(filepath.Base(path), store.Extension)
	}
	return ids
}

// askBoard counts what each query of a board has to show of a run.
func askBoard(b boards.Board, influx servers.Influx, id, compare string, shown map[boards.Query]int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ask := func(query string) ([][]any, error) { return influx.Query(ctx, query) }
	stamp, _, _ := strings.Cut(id, "-")
	began, err := time.Parse("20060102T150405Z", stamp)
	if err != nil {
		return fmt.Errorf("the run %s: %w", id, err)
	}
	at := boards.Range{From: began, To: time.Now().Add(time.Second), Interval: 2 * time.Second}
	values, err := b.Fill(ask, at, map[string]string{"run": id, "compare": compare})
	if err != nil {
		return err
	}
	var errs []error
	for _, q := range b.Queries() {
		rows, err := ask(values.Apply(q.Text))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", q.Where, err))
		}
		for _, row := range rows {
			if slices.ContainsFunc(row[1:], func(value any) bool { return value != nil }) {
				shown[q]++
			}
		}
		shown[q] += 0 // it was asked
	}
	return errors.Join(errs...)
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/report"
	"resilience/internal/store"
)

// baselines are the records that the phases of a run are compared with.
type baselines struct {
	dbs   []*store.DB
	of    map[string][]*store.DB // by phase
	notes map[string][]string    // by phase, for its verdict
	temp  []string               // files that were fetched
	gone  []func()               // removes what was collected
}

// findBaselines opens what the phases of a plan are compared with: the one
// given on the command line, or what each of them asks for.
func findBaselines(ctx context.Context, p plan.Plan, phases []plan.Phase, given string) (*baselines, error) {
	b := &baselines{of: map[string][]*store.DB{}, notes: map[string][]string{}}
	for _, phase := range phases {
		want, what := phase.Baseline, "phase "+phase.Name+", baseline"
		if given != "" {
			want, what = plan.Baseline{Record: given}, "--baseline"
		}
		var err error
		switch {
		case want.Record != "":
			err = b.record(ctx, p, phase, want.Record)
		case want.Runs > 0:
			err = b.passing(p, phase)
		}
		if err != nil {
			return b, &usageError{what + ": " + err.Error()}
		}
	}
	return b, nil
}

// record takes one record, and says so when it did not pass itself, or was asked
// something else: to be as good as a bad run proves little, and to be as fast as
// one with a tenth of the traffic is something else.
func (b *baselines) record(ctx context.Context, p plan.Plan, phase plan.Phase, ref string) error {
	db, err := b.open(ctx, ref)
	if err != nil {
		return err
	}
	b.dbs = append(b.dbs, db)
	if _, err := db.Record(phase.Name); err != nil {
		return err
	}
	doc, err := document(db, nil)
	if err != nil {
		return err
	}
	if doc.Outcome != gates.Pass {
		b.note(phase, "the baseline %s did not pass itself (%s: %s)", doc.Run.ID, doc.Outcome, doc.Reason)
	}
	why, err := unlike(db, p, phase)
	if err != nil {
		return err
	}
	if why != "" {
		b.note(phase, "the baseline %s was asked something else: %s", doc.Run.ID, why)
	}
	b.of[phase.Name] = append(b.of[phase.Name], db)
	return nil
}

func (b *baselines) note(phase plan.Phase, format string, args ...any) {
	b.notes[phase.Name] = append(b.notes[phase.Name], fmt.Sprintf(format, args...))
}

func (b *baselines) open(ctx context.Context, ref string) (*store.DB, error) {
	if strings.HasPrefix(ref, "http://") || strings.HasPrefix(ref, "https://") {
		path, err := b.fetch(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("fetch the record %s: %w", ref, err)
		}
		return store.Open(path)
	}
	path, remove, is, err := fromInflux(ctx, ref)
	b.gone = append(b.gone, remove)
	if !is {
		path, err = store.Find(runsDir, ref)
	}
	if err != nil {
		return nil, err
	}
	return store.Open(path)
}

// Limits of a record that is fetched.
const (
	mostFetched = 4 << 30 // bytes
	fetchTime   = 5 * time.Minute
)

// fetch downloads a record, such as an artifact of the pipeline before.
func (b *baselines) fetch(ctx context.Context, url string) (path string, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the answer was %s", res.Status)
	}
	f, err := os.CreateTemp("", "baseline-*"+store.Extension)
	if err != nil {
		return "", err
	}
	b.temp = append(b.temp, f.Name())
	n, err := io.Copy(f, io.LimitReader(res.Body, mostFetched+1))
	if err == nil && n > mostFetched {
		err = fmt.Errorf("it is larger than %d GiB", mostFetched>>30)
	}
	return f.Name(), errors.Join(err, f.Close())
}

// passing takes the newest runs of the plan that passed the phase with the same
// traffic.
func (b *baselines) passing(p plan.Plan, phase plan.Phase) error {
	want := phase.Baseline
	dir := cmp.Or(want.In, runsDir)
	if want.In != "" && !filepath.IsAbs(dir) {
		dir = filepath.Join(p.Dir, dir)
	}
	traffic, other := plan.Traffic(phase, p.Dir), 0
	for run, err := range passed(dir, p.Name, phase.Name) {
		if err != nil {
			return err
		}
		db, same, err := openSame(run.Path, phase.Name, traffic)
		switch {
		case err != nil:
			b.note(phase, "the run %s is no baseline: %v", run.ID, err)
			continue
		case !same:
			other++
			continue
		}
		b.dbs, b.of[phase.Name] = append(b.dbs, db), append(b.of[phase.Name], db)
		if len(b.of[phase.Name]) == want.Runs {
			return nil
		}
	}
	text := fmt.Sprintf("of the %d runs that the baseline is to be the median of, %d are in %s: runs that passed this phase with the same traffic", want.Runs, len(b.of[phase.Name]), dir)
	if other > 0 {
		text += fmt.Sprintf(" (%d more passed with other traffic)", other)
	}
	b.note(phase, "%s", text)
	return nil
}

// passed are the runs of a plan in which a phase passed, newest first. Damaged
// records are passed over: they can be compared with nothing.
func passed(dir, name, phase string) iter.Seq2[store.Summary, error] {
	return func(yield func(store.Summary, error) bool) {
		runs, err := store.Newest(dir)
		if err != nil {
			yield(store.Summary{}, err)
			return
		}
		for run := range runs {
			if run.Run.Plan == name && verdictOf(run, phase).Outcome == gates.Pass && !yield(run, nil) {
				return
			}
		}
	}
}

// verdictOf is how a phase of a run was judged when the run ended; an empty one
// is inconclusive.
func verdictOf(run store.Summary, phase string) gates.Verdict {
	for _, v := range verdictsOf(run) {
		if v.Phase == phase {
			return v
		}
	}
	return gates.Verdict{}
}

func verdictsOf(run store.Summary) []gates.Verdict {
	var doc report.Document
	if run.Err != nil || run.Verdicts == nil || json.Unmarshal(run.Verdicts, &doc) != nil {
		return nil
	}
	return doc.Phases
}

// openSame opens a record if its phase was played with this traffic.
func openSame(path, phase, traffic string) (*store.DB, bool, error) {
	db, err := store.Open(path)
	if err != nil {
		return nil, false, err
	}
	rec, err := db.Record(phase)
	if err != nil {
		return nil, false, errors.Join(err, db.Close())
	}
	for _, e := range rec.Events {
		if e.Kind == measure.EventPhase && e.Phase == phase && e.Attrs["traffic"] == traffic {
			return db, true, nil
		}
	}
	return nil, false, db.Close()
}

// save copies the baselines into the record, so that judging it again
// elsewhere gives the same answer.
func (b *baselines) save(db *store.DB) error {
	var events []measure.Event
	for phase, dbs := range b.of {
		recs := make([]gates.Record, len(dbs))
		for i, one := range dbs {
			var err error
			if recs[i], err = one.Record(phase); err != nil {
				return err
			}
		}
		if err := db.SaveBaselines(phase, recs...); err != nil {
			return err
		}
	}
	for phase, notes := range b.notes {
		for _, text := range notes {
			events = append(events, measure.Event{
				Source: "baseline", Seq: uint64(len(events)), At: time.Now().UnixNano(), Kind: measure.EventWarning, Phase: phase, Name: "baseline",
				Attrs: map[string]string{"detail": text},
			})
		}
	}
	return db.Append(measure.Batch{Events: events})
}

// tell says for a dry run which records a phase would be compared with.
func (b *baselines) tell(w io.Writer, phase plan.Phase) {
	var ids []string
	for _, db := range b.of[phase.Name] {
		if run, err := db.Run(); err == nil {
			ids = append(ids, run.ID)
		}
	}
	if len(ids) > 0 {
		fmt.Fprintf(w, "\nThe baseline is %s.\n", strings.Join(ids, ", "))
	}
	for _, note := range b.notes[phase.Name] {
		fmt.Fprintf(w, "\n! %s\n", note)
	}
}

// close lets go of the records. What was only read can not fail to close in a
// way that matters.
func (b *baselines) close() {
	for _, db := range b.dbs {
		_ = db.Close()
	}
	for _, path := range b.temp {
		_ = os.Remove(path)
	}
	for _, remove := range b.gone {
		remove()
	}
}

package store

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"resilience/internal/measure"
)

// level is one kind of roll-up.
type level struct {
	table    string
	width    time.Duration
	tenants  bool // by tenant as well
	sketched bool // with the distribution of times, not just their sum
}

// levels are the kinds of roll-ups. Days by tenant have no sketch: there are
// many, and all the year's hours have one.
var levels = [...]level{
	{table: "minutes", width: time.Minute, sketched: true},
	{table: "hours", width: time.Hour, sketched: true},
	{table: "days", width: 24 * time.Hour, tenants: true},
}

// sum is what the attempts of one series and window come to.
type sum struct {
	count, failed, unfinished int64 // all; not accepted, or without an end; without an end
	looked, wrong             int64 // whose outcome was looked at; and was wrong
	well, again               int64 // that came to good; only after a retry
	bad                       int64 // that were not good
	sum, min, max             float64
	sketch                    *measure.Sketch
}

// sumKey is whose a sum is.
type sumKey struct{ number, series int64 }

// sums are those of one commit, for each level.
type sums [len(levels)]map[sumKey]*sum

func newSums() (s sums) {
	for i := range s {
		s[i] = map[sumKey]*sum{}
	}
	return s
}

// add counts an attempt of which both the series and the one without the tenant
// have numbers.
func (s sums) add(a *measure.Attempt, series, group int64) {
	for i, l := range levels {
		key := sumKey{divide(a.At, int64(l.width)), group}
		if l.tenants {
			key.series = series
		}
		one := s[i][key]
		if one == nil {
			one = &sum{min: a.Took, max: a.Took}
			if l.sketched {
				one.sketch = &measure.Sketch{}
			}
			s[i][key] = one
		}
		one.add(a)
	}
}

// add counts one attempt. What had no end has failed, whatever was known of it.
func (s *sum) add(a *measure.Attempt) {
	found := func(bits measure.Finding) bool { return a.Found&bits != 0 }
	s.count++
	countIf(&s.failed, !found(measure.Accepted) || found(measure.CutOff))
	countIf(&s.unfinished, found(measure.CutOff))
	countIf(&s.looked, found(measure.Completed|measure.Wrong))
	countIf(&s.wrong, found(measure.Wrong))
	well := found(measure.Completed|measure.Accepted) && !found(measure.Wrong|measure.CutOff)
	countIf(&s.well, well)
	countIf(&s.again, well && found(measure.Degraded))
	countIf(&s.bad, !a.Good())
	s.sum, s.min, s.max = s.sum+a.Took, min(s.min, a.Took), max(s.max, a.Took)
	if s.sketch != nil {
		s.sketch.Add(a.Took)
	}
}

func countIf(n *int64, yes bool) {
	if yes {
		*n++
	}
}

// divide divides and rounds down.
func divide(at, width int64) int64 {
	n := at / width
	if at%width < 0 {
		n--
	}
	return n
}

// levelWriter adds sums to the windows of one table.
type levelWriter struct {
	level
	find *sql.Stmt // the sketch of a window; nil where there are none
	put  *sql.Stmt
}

func newLevelWriters(prepare func(string) (*sql.Stmt, error)) ([]levelWriter, error) {
	var all []levelWriter
	for _, l := range levels {
		w := levelWriter{level: l}
		var err error
		if l.sketched {
			if w.find, err = prepare("SELECT sketch FROM " + l.table + " WHERE number = ? AND series = ?"); err != nil {
				return nil, err
			}
		}
		if w.put, err = prepare(putWindow(l.table)); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// putWindow makes a window or adds to it; the sketch is that of both.
func putWindow(table string) string {
	return `INSERT INTO ` + table + ` (number, series, count, failed, unfinished, looked, wrong, well, again, bad, sum, min, max, sketch)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (number, series) DO UPDATE SET
			count = count + excluded.count, failed = failed + excluded.failed, unfinished = unfinished + excluded.unfinished,
			looked = looked + excluded.looked, wrong = wrong + excluded.wrong, well = well + excluded.well,
			again = again + excluded.again, bad = bad + excluded.bad, sum = sum + excluded.sum,
			min = min(min, excluded.min), max = max(max, excluded.max), sketch = excluded.sketch`
}

// write adds sums in the order of the table's key.
func (w levelWriter) write(all map[sumKey]*sum) error {
	keys := slices.SortedFunc(maps.Keys(all), func(a, b sumKey) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.series, b.series))
	})
	for _, key := range keys {
		if err := w.add(key, all[key]); err != nil {
			return fmt.Errorf("%s: %w", w.table, err)
		}
	}
	return nil
}

func (w levelWriter) add(key sumKey, s *sum) error {
	var sketch []byte
	if w.sketched {
		if err := w.merge(key, s.sketch); err != nil {
			return err
		}
		var err error
		if sketch, err = s.sketch.MarshalBinary(); err != nil {
			return err
		}
	}
	_, err := w.put.Exec(key.number, key.series, s.count, s.failed, s.unfinished, s.looked, s.wrong, s.well, s.again, s.bad,
		s.sum, s.min, s.max, sketch)
	return err
}

// merge adds to a sketch what the window holds already.
func (w levelWriter) merge(key sumKey, sketch *measure.Sketch) error {
	var data []byte
	err := w.find.QueryRow(key.number, key.series).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	var before measure.Sketch
	if err == nil {
		if err = before.UnmarshalBinary(data); err != nil {
			err = fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	if err == nil {
		sketch.Merge(&before)
	}
	return err
}

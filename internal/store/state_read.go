package store

import (
	"database/sql"
	"fmt"
	"sync"
	"time"

	"resilience/internal/measure"
)

// Documents gives all whose names begin with the prefix.
func (s *State) Documents(prefix string) (map[string][]byte, error) {
	query, args := "SELECT name, data FROM documents WHERE name >= ?", []any{prefix}
	if end := after(prefix); end != "" {
		query, args = query+" AND name < ?", append(args, end)
	}
	all := map[string][]byte{}
	err := each(s.read, query, func(rows *sql.Rows) error {
		var name string
		var data []byte
		err := rows.Scan(&name, &data)
		if data == nil {
			data = []byte{} // an empty document is not one that is removed
		}
		all[name] = data
		return err
	}, args...)
	if err != nil {
		return nil, s.failed("read documents of", err)
	}
	return all, nil
}

// after is the least text that is greater than all with the prefix; "" when
// there is none.
func after(prefix string) string {
	text := []byte(prefix)
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] < 0xff {
			text[i]++
			return string(text[:i+1])
		}
	}
	return ""
}

// Attempts gives those that began in [from, to), the oldest first. It holds all
// of them in memory: some hundred bytes each.
func (s *State) Attempts(from, to int64) ([]measure.Attempt, error) {
	var all []measure.Attempt
	var ids []int64
	err := each(s.read, `SELECT at, series, took, found, tries, planned, message, trace_id FROM attempts
		WHERE at >= ? AND at < ? ORDER BY at, series, nth`, func(rows *sql.Rows) error {
		var a measure.Attempt
		var id int64
		var message, trace sql.NullString
		err := rows.Scan(&a.At, &id, &a.Took, &a.Found, &a.Tries, &a.Planned, &message, &trace)
		a.Message, a.TraceID = message.String, trace.String
		all, ids = append(all, a), append(ids, id)
		return err
	}, from, to)
	for i := range ids {
		if err != nil {
			break
		}
		all[i].Series, err = s.names.of(s.read, ids[i])
		all[i].Series.Metric = measure.MetricTransaction
	}
	if err != nil {
		return nil, s.failed("read attempts of", err)
	}
	return all, nil
}

// History gives windows of such a width that start in [from, to), in the order of
// their start: a minute or an hour by transaction, class, cell and region, a day
// by tenant as well. There is one for each metric that has something to count:
//
//   - transaction: all, with their times; Failed were not accepted or had no end.
//   - outcome: those that were looked at; Failed were wrong.
//   - retried: those that came to good, in time or not; Failed did after a retry
//     only.
//   - good: all; Failed are those for which [measure.Attempt.Good] is false.
//
// Days have no sketch. Attempts in planned maintenance are not in any.
func (s *State) History(from, to int64, width time.Duration) ([]measure.Window, error) {
	for _, l := range levels {
		if l.width == width {
			windows, err := s.history(l, from, to)
			if err != nil {
				return nil, s.failed("read "+l.table+" of", err)
			}
			return windows, nil
		}
	}
	return nil, s.failed("read history of", fmt.Errorf("there are windows of a minute, an hour and a day, none of %s", width))
}

func (s *State) history(l level, from, to int64) ([]measure.Window, error) {
	var all []sum
	var keys []sumKey
	err := each(s.read, `SELECT number, series, count, failed, unfinished, looked, wrong, well, again, bad, sum, min, max, sketch
		FROM `+l.table+` WHERE number >= ? AND number < ? ORDER BY number, series`, func(rows *sql.Rows) error {
		var key sumKey
		var one sum
		var sketch sql.RawBytes
		err := rows.Scan(&key.number, &key.series, &one.count, &one.failed, &one.unfinished, &one.looked, &one.wrong,
			&one.well, &one.again, &one.bad, &one.sum, &one.min, &one.max, &sketch)
		if err == nil {
			err = one.check(sketch)
		}
		all, keys = append(all, one), append(keys, key)
		return err
	}, ceiling(from, int64(l.width)), ceiling(to, int64(l.width)))
	if err != nil {
		return nil, err
	}
	windows := make([]measure.Window, 0, 3*len(all))
	for i := range all {
		series, err := s.names.of(s.read, keys[i].series)
		if err != nil {
			return nil, err
		}
		windows = all[i].windows(windows, measure.Window{Series: series, Start: keys[i].number * int64(l.width), Width: int64(l.width)})
	}
	return windows, nil
}

// ceiling divides and rounds up.
func ceiling(at, width int64) int64 {
	n := divide(at, width)
	if at%width != 0 {
		n++
	}
	return n
}

// check makes sure that a sum from the file is one that can be.
func (s *sum) check(sketch []byte) error {
	if s.count < 1 || s.unfinished < 0 || s.failed < s.unfinished || s.wrong < 0 || s.looked < s.wrong || s.again < 0 || s.well < s.again ||
		s.bad < 0 || max(s.failed, s.looked, s.well, s.bad) > s.count {
		return fmt.Errorf("%w: a window that counts more than there is", errDamaged)
	}
	if len(sketch) == 0 {
		return nil
	}
	s.sketch = &measure.Sketch{}
	if err := s.sketch.UnmarshalBinary(sketch); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

// windows appends what a sum says as windows, which are otherwise like the one
// given.
func (s *sum) windows(all []measure.Window, like measure.Window) []measure.Window {
	add := func(metric string, count, failed int64) *measure.Window {
		w := like
		w.Series.Metric, w.Count, w.Failed = metric, uint64(count), uint64(failed)
		all = append(all, w)
		return &all[len(all)-1]
	}
	timed := add(measure.MetricTransaction, s.count, s.failed)
	timed.Unfinished, timed.Sum, timed.Min, timed.Max, timed.Sketch = uint64(s.unfinished), s.sum, s.min, s.max, s.sketch
	if s.looked > 0 {
		add(measure.MetricOutcome, s.looked, s.wrong)
	}
	if s.well > 0 {
		add(measure.MetricRetried, s.well, s.again)
	}
	add(measure.MetricGood, s.count, s.bad)
	return all
}

// seriesNames remembers what the numbers of series stand for.
type seriesNames struct {
	mu    *sync.Mutex
	known map[int64]measure.Series
}

func newSeriesNames() seriesNames { return seriesNames{&sync.Mutex{}, map[int64]measure.Series{}} }

// of gives the series of a number that something in the file refers to.
func (n seriesNames) of(from queryer, id int64) (measure.Series, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s, ok := n.known[id]; ok {
		return s, nil
	}
	var s measure.Series
	found := false
	err := each(from, `SELECT "transaction", tenant, class, cell, region FROM series WHERE id = ?`, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(&s.Transaction, &s.Tenant, &s.Class, &s.Cell, &s.Region)
	}, id)
	switch {
	case err != nil:
		return s, err
	case !found:
		return s, fmt.Errorf("%w: series %d has no name", errDamaged, id)
	}
	if len(n.known) >= keptNames {
		clear(n.known)
	}
	n.known[id] = s
	return s, nil
}

package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"resilience/gates"
	"resilience/internal/measure"
)

// Record gives what judging one phase needs: the run, the events of all its
// phases, the windows of this phase and the baselines that were saved. The
// windows are read anew each time they are ranged over, in the order of their
// start; each time sees all that was appended before it began. A phase that
// the run does not have is an error.
func (d *DB) Record(phase string) (gates.Record, error) {
	if err := d.checkPhase(phase); err != nil {
		return gates.Record{}, err
	}
	run, err := d.Run()
	if err != nil {
		return gates.Record{}, err
	}
	events, err := d.events(0)
	if err != nil {
		return gates.Record{}, err
	}
	baselines, err := d.baselines(phase)
	if err != nil {
		return gates.Record{}, err
	}
	return gates.Record{
		Run: run, Phase: phase, Events: events,
		Windows: d.windows(section{phase: phase}), Baselines: baselines,
	}, nil
}

// checkPhase tells a phase without traffic from a misspelt one.
func (d *DB) checkPhase(phase string) error {
	phases, err := d.Phases()
	if err != nil {
		return err
	}
	_, err = d.find(d.read, section{phase: phase})
	if errors.Is(err, sql.ErrNoRows) && len(phases) > 0 && !slices.Contains(phases, phase) {
		return fmt.Errorf("%s has no phase %q; it has %s", d.path, phase, strings.Join(phases, ", "))
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return d.damaged("phases", err)
	}
	return nil
}

// queryer is a database or a transaction of one.
type queryer interface {
	QueryRow(query string, args ...any) *sql.Row
	Query(query string, args ...any) (*sql.Rows, error)
}

func (d *DB) find(from queryer, s section) (id int64, err error) {
	err = from.QueryRow("SELECT id FROM sections WHERE baseline = ? AND phase = ?", s.baseline, s.phase).Scan(&id)
	return id, err
}

func (d *DB) windows(s section) iter.Seq2[measure.Window, error] {
	return func(yield func(measure.Window, error) bool) {
		if err := d.eachWindow(s, func(m measure.Window) bool { return yield(m, nil) }); err != nil {
			yield(measure.Window{}, d.damaged("windows", err))
		}
	}
}

// eachWindow reads the windows of a section in one transaction, so that all the
// names they refer to are there.
func (d *DB) eachWindow(s section, yield func(measure.Window) bool) error {
	tx, err := d.read.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	id, err := d.find(tx, s)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := readNames(tx)
	if err != nil {
		return err
	}
	rows, err := tx.Query(`SELECT start, series, source, part, width, count, failed, unfinished, dropped, sum, min, max, sketch
		FROM windows WHERE section = ? ORDER BY start, series, source, part`, id)
	if err != nil {
		return err
	}
	defer rows.Close()
	return scanWindows(rows, names, yield)
}

func scanWindows(rows *sql.Rows, names names, yield func(measure.Window) bool) error {
	var (
		m              measure.Window
		series, source int64
		counts         [4]int64
		sketch         sql.RawBytes
	)
	into := []any{
		&m.Start, &series, &source, &m.Part, &m.Width,
		&counts[0], &counts[1], &counts[2], &counts[3], &m.Sum, &m.Min, &m.Max, &sketch,
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		var known, named bool
		m.Series, known = names.series[series]
		m.Source, named = names.sources[source]
		if !known || !named {
			return fmt.Errorf("a window of series %d and source %d, which are not in the record", series, source)
		}
		m.Count, m.Failed, m.Unfinished, m.Dropped = uint64(counts[0]), uint64(counts[1]), uint64(counts[2]), uint64(counts[3])
		m.Sketch = nil
		if sketch != nil {
			m.Sketch = &measure.Sketch{}
			if err := m.Sketch.UnmarshalBinary(sketch); err != nil {
				return err
			}
		}
		if !yield(m) {
			return nil
		}
	}
	return rows.Err()
}

// names are what the numbers in windows stand for.
type names struct {
	sources map[int64]string
	series  map[int64]measure.Series
}

func readNames(tx *sql.Tx) (names, error) {
	n := names{map[int64]string{}, map[int64]measure.Series{}}
	err := each(tx, "SELECT id, name FROM sources", func(rows *sql.Rows) error {
		var id int64
		var name string
		err := rows.Scan(&id, &name)
		n.sources[id] = name
		return err
	})
	if err != nil {
		return n, err
	}
	err = each(tx, `SELECT id, metric, phase, test, arm, "transaction", step, tenant, class, cell, region, instance, status
		FROM series`, func(rows *sql.Rows) error {
		var id int64
		var s measure.Series
		err := rows.Scan(&id, &s.Metric, &s.Phase, &s.Test, &s.Arm, &s.Transaction, &s.Step, &s.Tenant, &s.Class,
			&s.Cell, &s.Region, &s.Instance, &s.Status)
		n.series[id] = s
		return err
	})
	return n, err
}

// each runs a query and calls scan for every row.
func each(from queryer, query string, scan func(*sql.Rows) error, args ...any) error {
	rows, err := from.Query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// events reads those of a section, in the order of time.
func (d *DB) events(sectionID int64) ([]measure.Event, error) {
	var events []measure.Event
	err := each(d.read, `SELECT at, source, seq, kind, phase, test, arm, name, attrs FROM events
		WHERE section = ? ORDER BY at, source, seq`, func(rows *sql.Rows) error {
		var e measure.Event
		var seq int64
		var attrs sql.RawBytes
		err := rows.Scan(&e.At, &e.Source, &seq, &e.Kind, &e.Phase, &e.Test, &e.Arm, &e.Name, &attrs)
		if err == nil && attrs != nil {
			err = json.Unmarshal(attrs, &e.Attrs)
		}
		e.Seq = uint64(seq)
		events = append(events, e)
		return err
	}, sectionID)
	if err != nil {
		return nil, d.damaged("events", err)
	}
	return events, nil
}

// Examples gives the examples of failures of all phases, those of one phase,
// test and kind together, in the order of time.
func (d *DB) Examples() ([]measure.Example, error) {
	var examples []measure.Example
	err := each(d.read, `SELECT at, phase, test, arm, kind, request, status, message, trace_id FROM examples
		ORDER BY phase, test, kind, at, rowid`, func(rows *sql.Rows) error {
		var e measure.Example
		err := rows.Scan(&e.At, &e.Phase, &e.Test, &e.Arm, &e.Kind, &e.Request, &e.Status, &e.Message, &e.TraceID)
		examples = append(examples, e)
		return err
	})
	if err != nil {
		return nil, d.damaged("examples", err)
	}
	return examples, nil
}

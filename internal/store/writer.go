package store

import (
	"database/sql"
	"errors"
	"fmt"

	"resilience/internal/measure"
)

// writer is the one connection that writes. Its statements are prepared once;
// the numbers of sections, sources and series are remembered.
type writer struct {
	db   *sql.DB
	conn *sql.Conn

	insertWindow, selectWindow, insertEvent, insertExample *sql.Stmt

	numbers numbers
	fresh   numbers // given out in the transaction under way
}

// numbers stand for names in the file.
type numbers struct {
	sections map[section]int64
	sources  map[string]int64
	series   map[measure.Series]int64
}

// section is what belongs together in a record; see the schema.
type section struct {
	baseline int // 0 for the run itself, 1 and up for those it is compared with
	phase    string
}

func newNumbers() numbers {
	return numbers{map[section]int64{}, map[string]int64{}, map[measure.Series]int64{}}
}

// newWriter prepares an empty file. The schema is written before the
// write-ahead log is switched on, so that a file has either all of it or none.
func newWriter(path string) (*writer, error) {
	db, err := sql.Open("sqlite", dsn(path, "mode=rw"))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(background)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	w := &writer{db: db, conn: conn, numbers: newNumbers(), fresh: newNumbers()}
	if err := w.prepare(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *writer) prepare() error {
	for _, statement := range []string{
		"BEGIN", schema,
		fmt.Sprintf("PRAGMA application_id = %d", application),
		fmt.Sprintf("PRAGMA user_version = %d", version),
		"COMMIT", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL",
	} {
		if err := w.exec(statement); err != nil {
			return err
		}
	}
	for text, statement := range map[string]**sql.Stmt{
		insertWindow: &w.insertWindow, selectWindow: &w.selectWindow,
		insertEvent: &w.insertEvent, insertExample: &w.insertExample,
	} {
		prepared, err := w.conn.PrepareContext(background, text)
		if err != nil {
			return err
		}
		*statement = prepared
	}
	return nil
}

// close folds the log into the file. That another process reads the file may
// prevent it and does no harm: the next reader finds the log.
func (w *writer) close() error {
	_ = w.exec("PRAGMA journal_mode = DELETE")
	var errs []error
	for _, s := range []*sql.Stmt{w.insertWindow, w.selectWindow, w.insertEvent, w.insertExample} {
		if s != nil {
			errs = append(errs, s.Close()) // one that is open keeps the connection open
		}
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
}

func (w *writer) exec(statement string, args ...any) error {
	_, err := w.conn.ExecContext(background, statement, args...)
	return err
}

// transaction does everything or nothing.
func (w *writer) transaction(do func(*writer) error) error {
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := do(w)
	if err == nil {
		err = w.exec("COMMIT")
	}
	if err != nil {
		w.fresh = newNumbers()
		_ = w.exec("ROLLBACK") // some errors have done it already; then this is one too
		return err
	}
	keep(w.numbers.sections, w.fresh.sections)
	keep(w.numbers.sources, w.fresh.sources)
	keep(w.numbers.series, w.fresh.series)
	return nil
}

// keep moves what a transaction gave out to what is known for good.
func keep[K comparable](known, fresh map[K]int64) {
	for k, v := range fresh {
		known[k] = v
	}
	clear(fresh)
}

// number finds the number of a key, or gives it one with the statement, which
// inserts the key unless it is there and returns its number.
func number[K comparable](w *writer, known, fresh map[K]int64, key K, statement string, args ...any) (int64, error) {
	if id, ok := known[key]; ok {
		return id, nil
	}
	if id, ok := fresh[key]; ok {
		return id, nil
	}
	var id int64
	if err := w.conn.QueryRowContext(background, statement, args...).Scan(&id); err != nil {
		return 0, err
	}
	fresh[key] = id
	return id, nil
}

func (w *writer) section(s section) (int64, error) {
	return number(w, w.numbers.sections, w.fresh.sections, s,
		"INSERT INTO sections (baseline, phase) VALUES (?, ?) RETURNING id", s.baseline, s.phase)
}

func (w *writer) source(name string) (int64, error) {
	return number(w, w.numbers.sources, w.fresh.sources, name,
		"INSERT INTO sources (name) VALUES (?) RETURNING id", name)
}

func (w *writer) series(s measure.Series) (int64, error) {
	return number(w, w.numbers.series, w.fresh.series, s,
		`INSERT INTO series (metric, phase, test, arm, "transaction", step, tenant, class, cell, region, instance, status)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		s.Metric, s.Phase, s.Test, s.Arm, s.Transaction, s.Step, s.Tenant, s.Class, s.Cell, s.Region, s.Instance, s.Status)
}

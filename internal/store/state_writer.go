package store

import (
	"database/sql"
	"errors"
	"fmt"
	"math"

	"resilience/internal/measure"
)

const (
	insertAttempt = `INSERT INTO attempts (at, series, nth, took, found, tries, planned, message, trace_id)
		VALUES (?1, ?2, (SELECT coalesce(max(nth) + 1, 0) FROM attempts WHERE at = ?1 AND series = ?2), ?3, ?4, ?5, ?6, ?7, ?8)`
	putDocument = `INSERT INTO documents (name, data) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data`
)

// keptNames is how many series are remembered with their numbers.
const keptNames = 100_000

// stateWriter is the one connection that writes a state.
type stateWriter struct {
	db     *sql.DB
	conn   *sql.Conn
	synced bool // whether commits wait for the disk, as it is set

	prepared      []*sql.Stmt // all of them
	insertAttempt *sql.Stmt
	levels        []levelWriter

	known, fresh map[measure.Series]int64 // fresh ones are of the transaction under way
}

// newStateWriter opens the file, and makes it if need be.
func newStateWriter(path string) (*stateWriter, error) {
	if err := checkStateFile(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "mode=rwc"))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(background)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	w := &stateWriter{db: db, conn: conn, known: map[measure.Series]int64{}, fresh: map[measure.Series]int64{}}
	if err := w.prepare(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *stateWriter) prepare() (err error) {
	if err := prepareState(w.conn); err != nil {
		return err
	}
	for _, statement := range []string{
		"PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA journal_size_limit = 16777216",
	} {
		if err := w.exec(statement); err != nil {
			return err
		}
	}
	if w.insertAttempt, err = w.statement(insertAttempt); err != nil {
		return err
	}
	w.levels, err = newLevelWriters(w.statement)
	return err
}

// close ends the connection. As the last one it folds the log into the file.
func (w *stateWriter) close() error {
	var errs []error
	for _, s := range w.prepared {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
}

// statement makes a statement that is closed with the connection.
func (w *stateWriter) statement(text string) (*sql.Stmt, error) {
	s, err := w.conn.PrepareContext(background, text)
	if err == nil {
		w.prepared = append(w.prepared, s)
	}
	return s, err
}

func (w *stateWriter) exec(statement string, args ...any) error {
	_, err := w.conn.ExecContext(background, statement, args...)
	return err
}

// transaction does everything or nothing.
func (w *stateWriter) transaction(synced bool, do func(*stateWriter) error) error {
	if err := w.sync(synced); err != nil {
		return err
	}
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := do(w)
	if err == nil {
		err = w.exec("COMMIT")
	}
	if err != nil {
		clear(w.fresh)
		_ = w.exec("ROLLBACK") // some errors have done it already; then this is one too
		return err
	}
	if len(w.known)+len(w.fresh) > keptNames {
		clear(w.known)
	}
	keep(w.known, w.fresh)
	return nil
}

// sync says whether the next commits wait until the log is on the disk, with all
// that it holds.
func (w *stateWriter) sync(synced bool) error {
	if synced == w.synced {
		return nil
	}
	level := "NORMAL"
	if synced {
		level = "FULL"
	}
	if err := w.exec("PRAGMA synchronous = " + level); err != nil {
		return err
	}
	w.synced = synced
	return nil
}

func (w *stateWriter) document(name string, data []byte) error {
	if data == nil {
		return w.exec("DELETE FROM documents WHERE name = ?", name)
	}
	return w.exec(putDocument, name, data)
}

// attempts adds attempts, and what they come to.
func (w *stateWriter) attempts(attempts []measure.Attempt) error {
	sums := newSums()
	for i := range attempts {
		a := &attempts[i]
		if math.Abs(a.Took) > maxTook || math.IsNaN(a.Took) {
			return fmt.Errorf("attempt %d took %v milliseconds", i, a.Took)
		}
		series, err := w.series(tenantSeries(a.Series))
		if err != nil {
			return err
		}
		if err := w.attempt(series, a); err != nil {
			return err
		}
		if a.Planned {
			continue
		}
		group, err := w.series(groupSeries(a.Series))
		if err != nil {
			return err
		}
		sums.add(a, series, group)
	}
	for i, level := range w.levels {
		if err := level.write(sums[i]); err != nil {
			return err
		}
	}
	return nil
}

// maxTook is more milliseconds than anything takes, and little enough to add up.
const maxTook = 1e15

func (w *stateWriter) attempt(series int64, a *measure.Attempt) error {
	var message, trace any // NULL takes no room
	if a.Message != "" {
		message = cut(a.Message, measure.MaxMessage)
	}
	if a.TraceID != "" {
		trace = a.TraceID
	}
	_, err := w.insertAttempt.Exec(a.At, series, a.Took, int64(a.Found), int64(a.Tries), a.Planned, message, trace)
	return err
}

// tenantSeries is what is kept of the series of an attempt.
func tenantSeries(s measure.Series) measure.Series {
	return measure.Series{Transaction: s.Transaction, Tenant: s.Tenant, Class: s.Class, Cell: s.Cell, Region: s.Region}
}

// groupSeries is that without the tenant.
func groupSeries(s measure.Series) measure.Series {
	s = tenantSeries(s)
	s.Tenant = ""
	return s
}

// series gives the number of a series, a new one if it has none.
func (w *stateWriter) series(s measure.Series) (id int64, err error) {
	if id, ok := w.known[s]; ok {
		return id, nil
	}
	if id, ok := w.fresh[s]; ok {
		return id, nil
	}
	args := []any{s.Transaction, s.Tenant, s.Class, s.Cell, s.Region}
	err = w.conn.QueryRowContext(background,
		`SELECT id FROM series WHERE "transaction" = ? AND tenant = ? AND class = ? AND cell = ? AND region = ?`, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = w.conn.QueryRowContext(background,
			`INSERT INTO series ("transaction", tenant, class, cell, region) VALUES (?, ?, ?, ?, ?) RETURNING id`, args...).Scan(&id)
	}
	if err == nil {
		w.fresh[s] = id
	}
	return id, err
}

// Package store keeps records: what one run left behind, in one SQLite file.
//
// While a run goes on there is one writer, made by [Create]. It appends batches
// in transactions; once Append returns, the batch survives a kill -9 of the
// process at any moment (write-ahead log, synchronous=NORMAL). Only a power cut
// or a crash of the operating system may lose the last batches since the log
// was last synced, some megabytes at most; it never leaves a damaged file.
// Closing the writer folds the log into the file, so that a finished run is
// one plain file.
//
// Everybody else reads: [Open] works on a file that is being written, on one
// whose writer was killed, and on read-only files and folders. [DB.Record]
// streams the windows of a phase and never holds them all. Names of series
// and sources are stored once and windows refer to them by number, which keeps
// windows small and reading fast.
//
// A copy may go to InfluxDB: [Stream] writes it there while the run goes on, by
// way of a spool on disk, and [Collect] makes a record of it again.
package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"resilience/gates"
)

// Extension ends the names of record files.
const Extension = ".db"

// errReadOnly says that a record was opened for reading, and something tried
// to write to it.
var errReadOnly = errors.New("the record was opened for reading only")

// DB is one record. It is safe for concurrent use.
type DB struct {
	path    string // of the record
	scratch string // a folder to remove when done; "" mostly
	read    *sql.DB

	mu    sync.Mutex // guards write
	write *writer    // nil when opened for reading
}

// Create makes the file of a new run, ID.db in dir, which is made if it is
// missing (normally .resilience/runs). A file that is there already is an error.
func Create(dir string, run gates.Run) (*DB, error) {
	if err := checkID(run.ID); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder of records: %w", err)
	}
	path := filepath.Join(dir, run.ID+Extension)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("new record: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("new record: %w", err)
	}
	d, err := create(path, run)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("new record %s: %w", path, err), os.Remove(path))
	}
	return d, nil
}

// create fills the empty file at path and opens it both ways.
func create(path string, run gates.Run) (*DB, error) {
	w, err := newWriter(path)
	if err != nil {
		return nil, err
	}
	d := &DB{path: path, write: w}
	if err := d.Finish(run); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if d.read, err = sql.Open("sqlite", dsn(path, "mode=ro")); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return d, nil
}

// Path is where the record's file is.
func (d *DB) Path() string { return d.path }

// Close ends reading and writing. A DB that wrote leaves a single file behind,
// unless another process is reading it at the moment.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.read.Close()
	if d.write != nil {
		err = errors.Join(err, d.write.close())
		d.write = nil
	}
	if d.scratch != "" {
		err = errors.Join(err, os.RemoveAll(d.scratch))
	}
	if err != nil {
		return fmt.Errorf("close record %s: %w", d.path, err)
	}
	return nil
}

// Run describes the run of the record.
func (d *DB) Run() (gates.Run, error) {
	var run gates.Run
	var data []byte
	err := d.read.QueryRow("SELECT data FROM run").Scan(&data)
	if err == nil {
		err = json.Unmarshal(data, &run)
	}
	if err != nil {
		return run, d.damaged("run", err)
	}
	return run, nil
}

// Finish replaces the description of the run, normally to say when it ended.
func (d *DB) Finish(run gates.Run) error {
	data, err := json.Marshal(run)
	if err != nil {
		return fmt.Errorf("description of the run: %w", err)
	}
	return d.change("description of the run", func(w *writer) error {
		return w.exec("INSERT OR REPLACE INTO run (id, data) VALUES (1, ?)", data)
	})
}

// change runs one transaction.
func (d *DB) change(what string, do func(*writer) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.write == nil {
		return fmt.Errorf("write %s to %s: %w", what, d.path, errReadOnly)
	}
	if err := d.write.transaction(do); err != nil {
		return fmt.Errorf("write %s to %s: %w", what, d.path, err)
	}
	return nil
}

// damaged wraps an error of reading what a writer must have written well.
func (d *DB) damaged(what string, err error) error {
	return fmt.Errorf("read %s of %s: %w", what, d.path, err)
}

// dsn names a file for the driver. Readers and the writer may have to wait for
// each other's moment; they give up after ten seconds.
func dsn(path, options string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		absolute = path
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: options + "&_pragma=busy_timeout(10000)"}
	return u.String()
}

// background is the context of all statements: none may be cut short.
var background = context.Background()

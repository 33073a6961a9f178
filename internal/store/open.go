package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// magic begins every SQLite file.
const magic = "SQLite format 3\x00"

// errNotSQLite says that a file is no database at all.
var errNotSQLite = errors.New("not a record: not an SQLite file")

// Codes of SQLite for a file that only a writer could open as it is: one with
// a write-ahead log in a folder that can not be written to.
const (
	codeReadOnly = 8
	codeCantOpen = 14
)

// Open opens a record for reading. The run may still be going on, in this
// process or in another, or its writer may have been killed; file and folder
// may be read-only. Anything but a whole record of this program's format is an
// error.
func Open(path string) (*DB, error) {
	if err := checkMagic(path); err != nil {
		return nil, fmt.Errorf("record %s: %w", path, err)
	}
	d, err := openFile(path, path, "mode=ro")
	if needsWriting(err) {
		d, err = openSealed(path)
	}
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", path, err)
	}
	return d, nil
}

// openFile opens the database in file for the record at path.
func openFile(path, file, options string) (*DB, error) {
	db, err := sql.Open("sqlite", dsn(file, options))
	if err != nil {
		return nil, err
	}
	if err := checkKind(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &DB{path: path, read: db}, nil
}

// openSealed opens a record with a write-ahead log where nothing can be
// written: as it is when the log is empty, otherwise a copy of both.
func openSealed(path string) (*DB, error) {
	log, err := os.Stat(path + "-wal")
	if err != nil || log.Size() == 0 {
		return openFile(path, path, "mode=ro&immutable=1")
	}
	scratch, err := os.MkdirTemp("", "resilience-record-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(scratch, "record.db")
	if err := copyBoth(path, file, copyFile); err != nil {
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
	d, err := openFile(path, file, "mode=rw")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
	d.scratch = scratch
	return d, nil
}

// copyTries is how often a copy is begun again because its writer wrote.
const copyTries = 5

// copyBoth copies a database and its write-ahead log as they were at one
// moment: if its writer changed either while they were copied (a checkpoint
// moves pages from the one to the other), it begins again.
func copyBoth(from, to string, copy func(from, to string) error) error {
	for range copyTries {
		before := [2]stamp{stampOf(from), stampOf(from + "-wal")}
		err := copy(from, to)
		if err == nil && before[1].there {
			err = copy(from+"-wal", to+"-wal")
		}
		if before == [2]stamp{stampOf(from), stampOf(from + "-wal")} {
			return err
		}
		if err := os.Remove(to + "-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.New("its run keeps writing to it: try again when the run has ended")
}

// stamp tells whether a file has changed.
type stamp struct {
	there    bool
	size     int64
	modified int64 // Unix nanoseconds
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{true, info.Size(), info.ModTime().UnixNano()}
}

func needsWriting(err error) bool {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return false
	}
	code := failure.Code() & 0xff
	return code == codeReadOnly || code == codeCantOpen
}

// checkMagic finds what is no database at all, in plainer words than SQLite.
func checkMagic(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	start := make([]byte, len(magic))
	n, err := io.ReadFull(file, start)
	switch {
	case n == 0 && err == io.EOF:
		return errors.New("the file is empty; its run was killed before it began")
	case err != nil && err != io.ErrUnexpectedEOF:
		return err
	case !bytes.Equal(start, []byte(magic)):
		return errNotSQLite
	}
	return nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// CopyTo writes the record as it is at this moment to a single file, which
// replaces one that is there, whole or not at all.
func (d *DB) CopyTo(path string) error {
	if err := d.copyTo(path); err != nil {
		return fmt.Errorf("copy record %s: %w", d.path, err)
	}
	return nil
}

func (d *DB) copyTo(path string) error {
	scratch, err := os.MkdirTemp(filepath.Dir(path), ".record-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	file := filepath.Join(scratch, "record.db")
	if _, err := d.read.Exec("VACUUM INTO ?", file); err != nil {
		return err
	}
	copied, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(copied.Sync(), copied.Close()); err != nil {
		return err
	}
	return os.Rename(file, path)
}

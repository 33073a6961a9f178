package store

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// stateApplication marks the files of states ("RSLS"), and stateVersion their
// schema.
const (
	stateApplication = 0x52534C53
	stateVersion     = 1
)

// stateSchema is that of a state. Names of series are kept once. An attempt is
// known by the moment, its series and a number, where one moment has several. The
// number of a window is its start divided by its width. The columns of a window
// stand for four metrics: transaction (count, failed, unfinished, the times),
// outcome (looked, wrong), retried (well, again) and good (count, bad). The keys
// are also the order in which all is read and pruned.
var stateSchema = `
CREATE TABLE documents (name TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE series (
	id INTEGER PRIMARY KEY,
	"transaction" TEXT NOT NULL, tenant TEXT NOT NULL, class TEXT NOT NULL, cell TEXT NOT NULL, region TEXT NOT NULL,
	UNIQUE ("transaction", tenant, class, cell, region)
);
CREATE TABLE attempts (
	at INTEGER NOT NULL, series INTEGER NOT NULL, nth INTEGER NOT NULL,
	took REAL NOT NULL, found INTEGER NOT NULL, tries INTEGER NOT NULL, planned INTEGER NOT NULL, message TEXT, trace_id TEXT,
	PRIMARY KEY (at, series, nth)
) WITHOUT ROWID;
` + windowsSchema("minutes") + windowsSchema("hours") + windowsSchema("days")

func windowsSchema(table string) string {
	return `CREATE TABLE ` + table + ` (
	number INTEGER NOT NULL, series INTEGER NOT NULL,
	count INTEGER NOT NULL, failed INTEGER NOT NULL, unfinished INTEGER NOT NULL, looked INTEGER NOT NULL, wrong INTEGER NOT NULL,
	well INTEGER NOT NULL, again INTEGER NOT NULL, bad INTEGER NOT NULL,
	sum REAL NOT NULL, min REAL NOT NULL, max REAL NOT NULL, sketch BLOB,
	PRIMARY KEY (number, series)
) WITHOUT ROWID;
`
}

// prepareState makes sure that a connection leads to a state that this program
// knows; of a file without anything it makes one, all of it or nothing.
func prepareState(conn *sql.Conn) error {
	var kind, version, tables int64
	err := errors.Join(
		conn.QueryRowContext(background, "PRAGMA application_id").Scan(&kind),
		conn.QueryRowContext(background, "PRAGMA user_version").Scan(&version),
		conn.QueryRowContext(background, "SELECT count(*) FROM sqlite_master").Scan(&tables),
	)
	switch {
	case err != nil:
		return err
	case kind == 0 && version == 0 && tables == 0:
		return makeState(conn)
	case kind == application:
		return errors.New("it is the record of a run, not the state of a canary")
	case kind != stateApplication:
		return errors.New("an SQLite database, but not the state of a canary")
	case version > stateVersion:
		return fmt.Errorf("a state of format %d; this program knows format %d: use a newer one", version, stateVersion)
	case version != stateVersion:
		return fmt.Errorf("a state of format %d; this program knows format %d", version, stateVersion)
	}
	return checkTables(conn)
}

// checkTables finds out whether a table is missing, or was cut off.
func checkTables(conn *sql.Conn) error {
	for _, table := range []string{"documents", "series", "attempts", "minutes", "hours", "days"} {
		var rows int64
		if err := conn.QueryRowContext(background, "SELECT count(*) FROM (SELECT * FROM "+table+" LIMIT 1)").Scan(&rows); err != nil {
			return err
		}
	}
	return nil
}

func makeState(conn *sql.Conn) error {
	for _, statement := range []string{
		"PRAGMA auto_vacuum = INCREMENTAL", "BEGIN IMMEDIATE", stateSchema,
		fmt.Sprintf("PRAGMA application_id = %d", stateApplication),
		fmt.Sprintf("PRAGMA user_version = %d", stateVersion), "COMMIT",
	} {
		if _, err := conn.ExecContext(background, statement); err != nil {
			return err
		}
	}
	return nil
}

// checkStateFile finds what SQLite would say in harder words, or would take for
// an empty database.
func checkStateFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a folder; give the path of a file")
	case info.Size() == 0:
		return nil // killed before it was made
	}
	if err = checkMagic(path); errors.Is(err, errNotSQLite) {
		return errors.New("not a state: not an SQLite file")
	}
	return err
}

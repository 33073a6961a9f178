package store

import (
	"database/sql"
	"errors"
	"fmt"
)

// application marks the files of this program ("RSLC"), and version their
// schema.
const (
	application = 0x52534C43
	version     = 1
)

// schema of a record. A section is what belongs together: the windows of one
// phase of the run itself (baseline 0), or one phase of another run that a
// verdict was compared with (baseline 1 and up; run describes it, and is
// NULL where there is none any more). Events of the run
// itself have section 0. The key of windows is also the order in which they
// are read.
const schema = `
CREATE TABLE run (id INTEGER PRIMARY KEY CHECK (id = 1), data BLOB NOT NULL);
CREATE TABLE documents (name TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE phases (position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE gates (
	phase TEXT NOT NULL, position INTEGER NOT NULL, data BLOB NOT NULL,
	PRIMARY KEY (phase, position)
) WITHOUT ROWID;
CREATE TABLE sections (
	id INTEGER PRIMARY KEY, baseline INTEGER NOT NULL, phase TEXT NOT NULL, run BLOB,
	UNIQUE (baseline, phase)
);
CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE series (
	id INTEGER PRIMARY KEY,
	metric TEXT NOT NULL, phase TEXT NOT NULL, test TEXT NOT NULL, arm TEXT NOT NULL,
	"transaction" TEXT NOT NULL, step TEXT NOT NULL, tenant TEXT NOT NULL, class TEXT NOT NULL,
	cell TEXT NOT NULL, region TEXT NOT NULL, instance TEXT NOT NULL, status TEXT NOT NULL,
	UNIQUE (metric, phase, test, arm, "transaction", step, tenant, class, cell, region, instance, status)
);
CREATE TABLE windows (
	section INTEGER NOT NULL, start INTEGER NOT NULL, series INTEGER NOT NULL, source INTEGER NOT NULL, part INTEGER NOT NULL,
	width INTEGER NOT NULL, count INTEGER NOT NULL, failed INTEGER NOT NULL, unfinished INTEGER NOT NULL, dropped INTEGER NOT NULL,
	sum REAL NOT NULL, min REAL NOT NULL, max REAL NOT NULL, sketch BLOB,
	PRIMARY KEY (section, start, series, source, part)
) WITHOUT ROWID;
CREATE TABLE events (
	section INTEGER NOT NULL, at INTEGER NOT NULL, source TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL,
	phase TEXT NOT NULL, test TEXT NOT NULL, arm TEXT NOT NULL, name TEXT NOT NULL, attrs BLOB,
	UNIQUE (section, at, source, seq, kind, name)
);
CREATE TABLE examples (
	phase TEXT NOT NULL, test TEXT NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL, arm TEXT NOT NULL,
	request TEXT NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL, trace_id TEXT NOT NULL,
	UNIQUE (phase, test, kind, at, arm, request, status, message, trace_id)
);
`

// checkKind says whether an open database is a record that this program knows.
func checkKind(db *sql.DB) error {
	var gotApplication, gotVersion int64
	err := db.QueryRow("PRAGMA application_id").Scan(&gotApplication)
	if err == nil {
		err = db.QueryRow("PRAGMA user_version").Scan(&gotVersion)
	}
	switch {
	case err != nil:
		return err
	case gotApplication != application:
		return errors.New("an SQLite database, but not a record of resilience")
	case gotVersion != version:
		return fmt.Errorf("a record of format %d; this program knows format %d", gotVersion, version)
	}
	// Only a statement on a table finds out that the file was cut off.
	return db.QueryRow("SELECT count(*) FROM run").Scan(&gotVersion)
}

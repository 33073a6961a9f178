package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"resilience/gates"
)

// Names of documents that every record may have.
const (
	DocumentPlan     = "plan"     // the resolved plan, JSON
	DocumentVerdicts = "verdicts" // what was judged, JSON
)

// SaveDocument keeps data under a name and replaces what was there.
func (d *DB) SaveDocument(name string, data []byte) error {
	if data == nil {
		data = []byte{}
	}
	return d.change("document "+name, func(w *writer) error {
		return w.exec("INSERT OR REPLACE INTO documents (name, data) VALUES (?, ?)", name, data)
	})
}

// Document gives what was saved under a name. The error wraps fs.ErrNotExist
// when there is nothing.
func (d *DB) Document(name string) ([]byte, error) {
	var data []byte
	err := d.read.QueryRow("SELECT data FROM documents WHERE name = ?", name).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, d.damaged("document "+name, err)
	}
	return data, nil
}

// SaveVerdicts keeps the verdicts of the run, a JSON text.
func (d *DB) SaveVerdicts(data []byte) error { return d.SaveDocument(DocumentVerdicts, data) }

// SaveGates keeps the gates of a phase. Phases are listed in the order in which
// their gates were first saved; saving again replaces the gates.
func (d *DB) SaveGates(phase string, list []gates.Gate) error {
	return d.change("gates", func(w *writer) error {
		if err := w.exec("INSERT OR IGNORE INTO phases (name) VALUES (?)", phase); err != nil {
			return err
		}
		if err := w.exec("DELETE FROM gates WHERE phase = ?", phase); err != nil {
			return err
		}
		for i, gate := range list {
			data, err := json.Marshal(gate)
			if err != nil {
				return fmt.Errorf("gate %d: %w", i, err)
			}
			if err := w.exec("INSERT INTO gates (phase, position, data) VALUES (?, ?, ?)", phase, i, data); err != nil {
				return err
			}
		}
		return nil
	})
}

// Gates gives the gates of a phase as they were saved, parsed again.
func (d *DB) Gates(phase string) ([]gates.Gate, error) {
	var list []gates.Gate
	err := each(d.read, "SELECT data FROM gates WHERE phase = ? ORDER BY position", func(rows *sql.Rows) error {
		var data sql.RawBytes
		if err := rows.Scan(&data); err != nil {
			return err
		}
		var gate gates.Gate
		if err := json.Unmarshal(data, &gate); err != nil {
			return err
		}
		list = append(list, gate)
		return nil
	}, phase)
	if err != nil {
		return nil, d.damaged("gates", err)
	}
	return list, nil
}

// Phases gives the names of the phases whose gates were saved, in that order.
func (d *DB) Phases() ([]string, error) {
	var phases []string
	err := each(d.read, "SELECT name FROM phases ORDER BY position", func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		phases = append(phases, name)
		return err
	})
	if err != nil {
		return nil, d.damaged("phases", err)
	}
	return phases, nil
}

package store

import (
	"database/sql"
	"encoding/json"
	"errors"

	"resilience/gates"
)

// SaveBaseline copies one phase of another run, its windows, events and
// description, into this record, so that the phase of the same name is judged
// against it wherever the record goes. It replaces a baseline saved before. A
// baseline's own baseline is not copied.
func (d *DB) SaveBaseline(rec gates.Record) error {
	run, err := json.Marshal(rec.Run)
	if err != nil {
		return err
	}
	return d.change("baseline", func(w *writer) error {
		into := section{baseline: true, phase: rec.Phase}
		id, err := w.section(into)
		if err != nil {
			return err
		}
		for _, clear := range []string{"DELETE FROM windows WHERE section = ?", "DELETE FROM events WHERE section = ?"} {
			if err := w.exec(clear, id); err != nil {
				return err
			}
		}
		if err := w.exec("UPDATE sections SET run = ? WHERE id = ?", run, id); err != nil {
			return err
		}
		return w.copyRecord(into, id, rec)
	})
}

func (w *writer) copyRecord(into section, id int64, rec gates.Record) error {
	for _, e := range rec.Events {
		if err := w.appendEvent(id, e); err != nil {
			return err
		}
	}
	if rec.Windows == nil {
		return nil
	}
	for m, err := range rec.Windows {
		if err != nil {
			return err
		}
		if err := w.appendWindow(into, &m); err != nil {
			return err
		}
	}
	return nil
}

// baseline gives the baseline of a phase, nil when there is none.
func (d *DB) baseline(phase string) (*gates.Record, error) {
	rec := gates.Record{Phase: phase, Windows: d.windows(section{baseline: true, phase: phase})}
	var id int64
	var data []byte
	err := d.read.QueryRow("SELECT id, run FROM sections WHERE baseline = 1 AND phase = ?", phase).Scan(&id, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &rec.Run)
	}
	if err != nil {
		return nil, d.damaged("baseline", err)
	}
	if rec.Events, err = d.events(id); err != nil {
		return nil, err
	}
	return &rec, nil
}

package store

import (
	"database/sql"
	"encoding/json"

	"resilience/gates"
)

// SaveBaselines copies one phase of other runs, their windows, events and
// descriptions, into this record, so that this phase of it is judged against
// them wherever it goes. They replace those saved before. Their own baselines
// are not copied.
func (d *DB) SaveBaselines(phase string, recs ...gates.Record) error {
	return d.change("baselines", func(w *writer) error {
		if err := w.exec("UPDATE sections SET run = NULL WHERE baseline > ? AND phase = ?", len(recs), phase); err != nil {
			return err
		}
		for i, rec := range recs {
			if err := w.baseline(section{baseline: i + 1, phase: phase}, rec); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writer) baseline(into section, rec gates.Record) error {
	run, err := json.Marshal(rec.Run)
	if err != nil {
		return err
	}
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

// baselines gives what a phase is compared with, in the order it was saved.
func (d *DB) baselines(phase string) (recs []gates.Record, err error) {
	var ids []int64
	err = each(d.read, "SELECT id, baseline, run FROM sections WHERE baseline > 0 AND run IS NOT NULL AND phase = ? ORDER BY baseline", func(rows *sql.Rows) error {
		rec, into := gates.Record{Phase: phase}, section{phase: phase}
		var id int64
		var run []byte
		if err := rows.Scan(&id, &into.baseline, &run); err != nil {
			return err
		}
		rec.Windows = d.windows(into)
		ids, recs = append(ids, id), append(recs, rec)
		return json.Unmarshal(run, &recs[len(recs)-1].Run)
	}, phase)
	if err != nil {
		return nil, d.damaged("baselines", err)
	}
	for i, id := range ids {
		if recs[i].Events, err = d.events(id); err != nil {
			return nil, err
		}
	}
	return recs, nil
}

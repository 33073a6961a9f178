package store

import (
	"database/sql"
	"errors"
	"fmt"

	"resilience/internal/measure"
)

// Amend adds events to the record of a run that is over, such as that a fault
// which it had left was lifted later. What is there already is ignored.
func Amend(path string, events []measure.Event) error {
	if err := checkMagic(path); err != nil {
		return fmt.Errorf("record %s: %w", path, err)
	}
	db, err := sql.Open("sqlite", dsn(path, "mode=rw"))
	if err != nil {
		return fmt.Errorf("record %s: %w", path, err)
	}
	if err := errors.Join(amend(db, events), db.Close()); err != nil {
		return fmt.Errorf("record %s: %w", path, err)
	}
	return nil
}

func amend(db *sql.DB, events []measure.Event) (err error) {
	if err := checkKind(db); err != nil {
		return err
	}
	conn, err := db.Conn(background)
	if err != nil {
		return err
	}
	w := &writer{db: db, conn: conn, numbers: newNumbers(), fresh: newNumbers()}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if w.insertEvent, err = conn.PrepareContext(background, insertEvent); err != nil {
		return err
	}
	return w.transaction(func(w *writer) error {
		for i, e := range events {
			if err := w.appendEvent(0, e); err != nil {
				return fmt.Errorf("event %d: %w", i, err)
			}
		}
		return nil
	})
}

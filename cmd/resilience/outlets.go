package main

import (
	"errors"
	"time"

	"resilience/internal/measure"
	"resilience/internal/report"
	"resilience/internal/store"
)

// recorder keeps batches in the record and then hands them to whoever else wants
// them.
type recorder struct {
	*store.DB
	stream *streaming
	tell   *telling
}

// Append implements the conductor's Recorder. What others can not take is
// counted there, and stops nothing.
func (r recorder) Append(batch measure.Batch) error {
	if err := r.DB.Append(batch); err != nil {
		return err
	}
	if r.stream != nil {
		_ = r.stream.Append(batch)
	}
	if r.tell != nil {
		r.tell.Append(batch)
	}
	return nil
}

// warned puts into the record what somebody who was to hear of the run did not,
// as a warning of each phase, and judges again.
func warned(db *store.DB, doc report.Document, who string, why error) (report.Document, error) {
	var events []measure.Event
	for n, v := range doc.Phases {
		events = append(events, measure.Event{
			Source: who, Seq: uint64(n), At: time.Now().UnixNano(), Kind: measure.EventWarning, Phase: v.Phase, Name: who,
			Attrs: map[string]string{"detail": why.Error()},
		})
	}
	err := db.Append(measure.Batch{Events: events})
	again, judging := document(db, nil)
	if err = errors.Join(err, judging); err != nil {
		return doc, err
	}
	return again, saveVerdicts(db, again)
}

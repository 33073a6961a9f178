package store

import (
	"errors"
	"time"
)

// Steps of pruning: how many rows and pages go at a time, so that commits wait
// for some milliseconds at most.
const (
	pruneRows  = 1000
	prunePages = 256
)

// Prune removes what is older than it is to be kept: attempts that began, and
// windows that ended, so long before now (Unix nanoseconds). Commits go on
// meanwhile. Room that is free is used again; where it is more than a third of
// the file, the file shrinks.
func (s *State) Prune(now int64) error {
	if err := s.pruneTable("attempts", "at", now-int64(s.keep.Attempts)); err != nil {
		return err
	}
	for i, keep := range []time.Duration{s.keep.Minutes, s.keep.Hours, s.keep.Hours} {
		l := levels[i]
		if err := s.pruneTable(l.table, "number", divide(now-int64(keep), int64(l.width))); err != nil {
			return err
		}
	}
	return s.shrink()
}

// pruneTable removes the rows whose key begins with less than the end, the
// least first.
func (s *State) pruneTable(table, key string, end int64) error {
	for more := true; more; {
		err := s.change("prune", false, func(w *stateWriter) error {
			result, err := w.conn.ExecContext(background, "DELETE FROM "+table+" WHERE "+key+" < ?1 AND "+key+
				" <= (SELECT coalesce(max("+key+"), ?1) FROM (SELECT "+key+" FROM "+table+" ORDER BY "+key+" LIMIT ?2))", end, pruneRows)
			if err != nil {
				return err
			}
			gone, err := result.RowsAffected()
			more = gone >= pruneRows
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// shrink gives free pages back while there are many.
func (s *State) shrink() error {
	for {
		var free, all int64
		err := errors.Join(
			s.read.QueryRow("PRAGMA freelist_count").Scan(&free), s.read.QueryRow("PRAGMA page_count").Scan(&all),
		)
		if err != nil {
			return s.failed("prune", err)
		}
		if free <= max(prunePages, all/3) {
			return nil
		}
		if err := s.vacuum(); err != nil {
			return err
		}
	}
}

func (s *State) vacuum() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.write == nil {
		return s.failed("prune", errStateClosed)
	}
	// Each row that is read of it frees a page.
	rows, err := s.write.conn.QueryContext(background, "PRAGMA incremental_vacuum(256)")
	if err != nil {
		return s.failed("prune", err)
	}
	for rows.Next() {
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return s.failed("prune", err)
	}
	return nil
}

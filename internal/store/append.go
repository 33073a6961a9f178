package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"resilience/internal/measure"
)

const (
	insertWindow = `INSERT OR IGNORE INTO windows
		(section, start, series, source, part, width, count, failed, unfinished, dropped, sum, min, max, sketch)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	selectWindow = `SELECT width, count, failed, unfinished, dropped, sum, min, max, sketch FROM windows
		WHERE section = ? AND start = ? AND series = ? AND source = ? AND part = ?`
	insertEvent = `INSERT OR IGNORE INTO events (section, at, source, seq, kind, phase, test, arm, name, attrs)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertExample = `INSERT OR IGNORE INTO examples (phase, test, kind, at, arm, request, status, message, trace_id)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
		WHERE (SELECT count(*) FROM examples WHERE phase = ?1 AND test = ?2 AND kind = ?3) < ?10`
)

// errConflict says that a window differs from one of the same source, series,
// start and part that was appended before.
var errConflict = errors.New("another window with the same source, series, start and part is in the record")

// Append adds a batch, all of it or, with an error, nothing. What was appended
// before is ignored, so that a batch may be sent again: windows by source,
// series, start and part, events by source, number, time, kind and name,
// examples by all they say. A window that has the key of another and not its
// content is refused. Of the examples of one phase, test and
// kind the first measure.MaxExamples are kept, their messages cut to
// measure.MaxMessage bytes.
func (d *DB) Append(batch measure.Batch) error {
	return d.change("batch", func(w *writer) error {
		for i := range batch.Windows {
			if err := w.appendWindow(section{phase: batch.Windows[i].Series.Phase}, &batch.Windows[i]); err != nil {
				return fmt.Errorf("window %d: %w", i, err)
			}
		}
		for i, e := range batch.Events {
			if err := w.appendEvent(0, e); err != nil {
				return fmt.Errorf("event %d: %w", i, err)
			}
		}
		for i, e := range batch.Examples {
			if err := w.appendExample(e); err != nil {
				return fmt.Errorf("example %d: %w", i, err)
			}
		}
		return nil
	})
}

func (w *writer) appendWindow(in section, m *measure.Window) error {
	if math.IsNaN(m.Sum) || math.IsNaN(m.Min) || math.IsNaN(m.Max) {
		return errors.New("sum, min or max is not a number")
	}
	key, err := w.key(in, m)
	if err != nil {
		return err
	}
	var sketch []byte
	if m.Sketch != nil {
		if sketch, err = m.Sketch.MarshalBinary(); err != nil {
			return err
		}
	}
	result, err := w.insertWindow.Exec(key[0], key[1], key[2], key[3], key[4],
		m.Width, int64(m.Count), int64(m.Failed), int64(m.Unfinished), int64(m.Dropped), m.Sum, m.Min, m.Max, sketch)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return w.same(key, m, sketch)
}

// key gives the numbers that stand for the key of a window.
func (w *writer) key(in section, m *measure.Window) (key [5]any, err error) {
	sectionID, err := w.section(in)
	if err != nil {
		return key, err
	}
	seriesID, err := w.series(m.Series)
	if err != nil {
		return key, err
	}
	sourceID, err := w.source(m.Source)
	return [5]any{sectionID, m.Start, seriesID, sourceID, int64(m.Part)}, err
}

// same makes sure that the window in the file is the one at hand.
func (w *writer) same(key [5]any, m *measure.Window, sketch []byte) error {
	var width int64
	var counts [4]int64
	var values [3]float64
	var stored []byte
	err := w.selectWindow.QueryRow(key[:]...).Scan(&width, &counts[0], &counts[1], &counts[2], &counts[3],
		&values[0], &values[1], &values[2], &stored)
	if err != nil {
		return err
	}
	if width == m.Width && values == [3]float64{m.Sum, m.Min, m.Max} && bytes.Equal(stored, sketch) &&
		counts == [4]int64{int64(m.Count), int64(m.Failed), int64(m.Unfinished), int64(m.Dropped)} {
		return nil
	}
	return fmt.Errorf("source %q, series %+v, start %d, part %d: %w", m.Source, m.Series, m.Start, m.Part, errConflict)
}

func (w *writer) appendEvent(sectionID int64, e measure.Event) error {
	var attrs []byte
	if len(e.Attrs) > 0 {
		var err error
		if attrs, err = json.Marshal(e.Attrs); err != nil {
			return err
		}
	}
	_, err := w.insertEvent.Exec(sectionID, e.At, e.Source, int64(e.Seq), e.Kind, e.Phase, e.Test, e.Arm, e.Name, attrs)
	return err
}

func (w *writer) appendExample(e measure.Example) error {
	_, err := w.insertExample.Exec(e.Phase, e.Test, e.Kind, e.At, e.Arm, e.Request, e.Status,
		cut(e.Message, measure.MaxMessage), e.TraceID, measure.MaxExamples)
	return err
}

// cut shortens a text to at most n bytes of whole characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.Clone(text[:n])
}

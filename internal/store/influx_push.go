package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/influxdata/influxdb-client-go/v2/api/write"

	"resilience/gates"
	"resilience/internal/measure"
)

// pushedAtOnce is how many windows are put into the spool together.
const pushedAtOnce = 500

// phaseGates are the gates of a phase, as they are kept in InfluxDB.
type phaseGates struct {
	Phase string       `json:"phase"`
	Gates []gates.Gate `json:"gates"`
}

// describe gives the points that say which run this is.
func (s *Stream) describe() ([]*write.Point, error) {
	data, err := json.Marshal(s.run)
	return documentPoints(s.run, kindRun, "", data), err
}

// Record sends all of a record but the examples of failures: again what was
// sent before, which makes no difference, and what was not.
func (s *Stream) Record(d *DB) error {
	sections, err := d.sections()
	if err != nil {
		return err
	}
	for _, one := range sections {
		if one.at.baseline > 0 {
			continue // Finish sends those
		}
		if err := s.windows("", d, one.at); err != nil {
			return err
		}
	}
	return s.Finish(d)
}

// Finish sends what a record holds beside the batches that were appended to it
// and to the stream: what the run was, its gates and documents, what it is
// compared with, and last of all how much there is, so that whoever collects the run
// knows whether it is complete. Verdicts are sent by [Stream.Verdict].
func (s *Stream) Finish(d *DB) error {
	var err error
	if s.run, err = d.Run(); err != nil {
		return err
	}
	events, err := d.events(0)
	if err != nil {
		return err
	}
	documents, err := s.documents(d)
	if err != nil {
		return err
	}
	if err := s.append("", nil, events); err != nil {
		return err
	}
	n := totals{events: int64(len(events)), documents: documents}
	if err := s.baselines(d, &n); err != nil {
		return err
	}
	if n.windows, err = d.countWindows(); err != nil {
		return err
	}
	return s.put([]*write.Point{totalsPoint(s.run, n)})
}

// documents sends those of a record, and gives their number.
func (s *Stream) documents(d *DB) (n int64, err error) {
	points, err := s.describe()
	if err != nil {
		return 0, err
	}
	phases, err := d.Phases()
	if err != nil {
		return 0, err
	}
	list := make([]phaseGates, len(phases))
	for i, phase := range phases {
		list[i].Phase = phase
		if list[i].Gates, err = d.Gates(phase); err != nil {
			return 0, err
		}
	}
	data, err := json.Marshal(list)
	if err != nil {
		return 0, err
	}
	points, n = append(points, documentPoints(s.run, kindPhases, "", data)...), 2
	err = each(d.read, "SELECT name, data FROM documents ORDER BY name", func(rows *sql.Rows) error {
		var name string
		var data sql.RawBytes
		err := rows.Scan(&name, &data)
		points, n = append(points, documentPoints(s.run, kindDocument, name, data)...), n+1
		return err
	})
	if err != nil {
		return 0, d.damaged("documents", err)
	}
	return n, s.put(points)
}

// baselines sends what a record is compared with.
func (s *Stream) baselines(d *DB, n *totals) error {
	sections, err := d.sections()
	if err != nil {
		return err
	}
	for _, one := range sections {
		if one.at.baseline == 0 {
			continue
		}
		origin := originOf(one.at)
		events, err := d.events(one.id)
		if err != nil {
			return err
		}
		if err := s.append(origin, nil, events); err != nil {
			return err
		}
		if err := s.windows(origin, d, one.at); err != nil {
			return err
		}
		if err := s.put(documentPoints(s.run, kindBaseline, origin, one.run)); err != nil {
			return err
		}
		n.events, n.documents = n.events+int64(len(events)), n.documents+1
	}
	return nil
}

func (s *Stream) windows(origin string, d *DB, of section) error {
	var some []measure.Window
	for w, err := range d.windows(of) {
		if err != nil {
			return err
		}
		if some = append(some, w); len(some) == pushedAtOnce {
			if err := s.append(origin, some, nil); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return s.append(origin, some, nil)
}

// originOf names a baseline in the tag origin.
func originOf(s section) string { return strconv.Itoa(s.baseline) + " " + s.phase }

// sectionRow is a section of a record as it is in the file.
type sectionRow struct {
	id  int64
	at  section
	run []byte // of a baseline
}

// sections are those of the run itself and of the baselines that count.
func (d *DB) sections() ([]sectionRow, error) {
	var list []sectionRow
	err := each(d.read, "SELECT id, baseline, phase, run FROM sections WHERE baseline = 0 OR run IS NOT NULL ORDER BY id", func(rows *sql.Rows) error {
		var one sectionRow
		err := rows.Scan(&one.id, &one.at.baseline, &one.at.phase, &one.run)
		list = append(list, one)
		return err
	})
	if err != nil {
		return nil, d.damaged("sections", err)
	}
	return list, nil
}

// countWindows counts those of all that sections gives.
func (d *DB) countWindows() (n int64, err error) {
	err = d.read.QueryRow(`SELECT count(*) FROM windows JOIN sections ON sections.id = windows.section
		WHERE sections.baseline = 0 OR sections.run IS NOT NULL`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the windows of %s: %w", d.path, err)
	}
	return n, nil
}

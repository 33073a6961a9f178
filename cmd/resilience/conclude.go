package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"resilience/gates"
	"resilience/internal/report"
	conduct "resilience/internal/run"
	"resilience/internal/store"
)

// documentEnding is where a record keeps how its run ended.
const documentEnding = "ending"

// ending is what a record says of how its run ended, beside what was measured.
type ending struct {
	Codes  []int  `json:"codes,omitempty"`
	Reason string `json:"reason,omitempty"` // "" when it came to its end

	unfinished bool // the run did not write it itself
	fresh      bool // the run has just ended: nobody has lifted anything since
}

// endingOf sorts what ended a run into exit codes. What else goes wrong while
// an interrupted run is stopped is told, and no more: it was interrupted.
func endingOf(err error) (e ending) {
	if err == nil {
		return e
	}
	if errors.Is(err, conduct.ErrFaultLeft) {
		e.Codes = append(e.Codes, gates.ExitFault)
	}
	switch {
	case errors.Is(err, context.Canceled):
		e.Codes = append(e.Codes, gates.ExitInterrupted)
	case isUsage(err):
		e.Codes = append(e.Codes, gates.ExitUsage)
	default:
		e.Codes = append(e.Codes, gates.ExitError)
	}
	e.Reason = strings.Join(reasons(err), "\n")
	return e
}

// reasons are the messages of joined errors, without bare interrupts.
func reasons(err error) (list []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			list = append(list, reasons(one)...)
		}
		return list
	}
	if err == context.Canceled {
		return nil
	}
	return []string{err.Error()}
}

// readEnding gives how the run ended. A record without it belongs to a run
// that was killed, or goes on.
func readEnding(db *store.DB) (end ending, err error) {
	text, err := db.Document(documentEnding)
	if errors.Is(err, fs.ErrNotExist) {
		return unfinished(db.Path())
	}
	if err != nil {
		return end, err
	}
	if err := json.Unmarshal(text, &end); err != nil {
		return end, fmt.Errorf("record %s: %w", db.Path(), err)
	}
	return end, nil
}

// unfinished is the ending of a run that did not write one.
func unfinished(record string) (ending, error) {
	end := ending{unfinished: true, Codes: []int{gates.ExitError}, Reason: "the run was killed"}
	base := strings.TrimSuffix(record, store.Extension)
	left, err := conduct.LeftBehind(base + conduct.JournalExtension)
	switch {
	case errors.Is(err, conduct.ErrAlive):
		end.Reason, err = "the run is not over yet", nil
	case errors.Is(err, fs.ErrNotExist):
		end.Reason, err = signOfLife(record), nil
	case err != nil:
		end.Codes = append(end.Codes, gates.ExitFault)
		end.Reason = "the run was killed, and what it left is not known"
	case len(left) > 0:
		end.Codes = append(end.Codes, gates.ExitFault)
		end.Reason = fmt.Sprintf("the run was killed and left %s: undo it with: resilience lift %s", strings.Join(left, ", "), filepath.Base(base))
	}
	return end, err
}

// lifted is the ending of a run whose faults were lifted later, as far as the
// verdicts know.
func (e ending) lifted(verdicts []gates.Verdict) ending {
	active := slices.ContainsFunc(verdicts, func(v gates.Verdict) bool { return v.FaultActive })
	if active || e.unfinished || e.fresh || !slices.Contains(e.Codes, gates.ExitFault) {
		return e
	}
	e.Codes = slices.DeleteFunc(slices.Clone(e.Codes), func(code int) bool { return code == gates.ExitFault })
	e.Reason = "a fault that the run could not lift was lifted later"
	return e
}

// conclude finishes the record, judges it, writes every report and gives the
// exit code, on every path.
func conclude(s *streams, db *store.DB, stream *streaming, tell *telling, info gates.Run, out string, runErr error) error {
	end := endingOf(runErr)
	end.fresh = true
	errs := finish(db, info, end)
	doc, err := documentOf(db, nil, end) // which may not have got into the record
	if err != nil {                      // the record can not be read: tell at least how the run ended
		errs = errors.Join(errs, err)
		doc = report.NewDocument(info, nil, nil, gates.Worst(append(end.Codes, gates.ExitError)...))
	}
	errs = errors.Join(errs, saveVerdicts(db, doc))
	if why := stream.finish(s, db, doc.Phases, end); why != nil {
		doc, err = stream.missed(db, info, end, doc, why)
		errs = errors.Join(errs, err)
	}
	if why := tell.finish(s, doc.Phases, end); why != nil {
		doc, err = warned(db, doc, "otlp", why)
		errs = errors.Join(errs, err)
	}
	errs = errors.Join(errs, writeReports(s, db, out, doc))
	if strings.Contains(end.Reason, "\n") { // the report has the first line
		fmt.Fprintln(s.err, end.Reason)
	}
	errs = errors.Join(errs, report.Write(s.out, "text", doc, report.OptionsFor(s.out, os.Getenv)), db.Close())
	if errs != nil {
		fmt.Fprintln(s.err, errs)
		return &exitError{gates.Worst(doc.ExitCode, gates.ExitError)}
	}
	return &exitError{doc.ExitCode}
}

// finish says in the record how and when the run ended.
func finish(db *store.DB, info gates.Run, end ending) error {
	text, err := json.Marshal(end)
	if err != nil {
		return err
	}
	info.Ended = time.Now().UTC()
	return errors.Join(db.SaveDocument(documentEnding, text), db.Finish(info))
}

// saveVerdicts keeps what was judged, for the list of runs.
func saveVerdicts(db *store.DB, doc report.Document) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return db.SaveVerdicts(text)
}

// writeReports writes all reports into a folder, with the record if there is
// one, and tells GitHub's runner what it wants to know where there is one.
func writeReports(s *streams, db *store.DB, out string, doc report.Document) (err error) {
	if os.Getenv("GITHUB_STEP_SUMMARY") != "" || os.Getenv("GITHUB_OUTPUT") != "" {
		err = report.Write(s.out, "github", doc, report.Options{Env: os.Getenv})
	}
	if out == "" {
		return err
	}
	err = errors.Join(err, report.WriteAll(out, doc))
	if db == nil {
		return err
	}
	return errors.Join(err, db.CopyTo(filepath.Join(out, "record.db")))
}

// firstLine is what a message says before it goes into details.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(line, ":")
}

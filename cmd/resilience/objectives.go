package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"resilience/gates"
	"resilience/internal/plan"
	"resilience/internal/store"
)

// Where a record keeps the objectives and the model of its plan.
const (
	documentObjectives = "objectives"
	documentModel      = "model"
)

// objectives are those of a plan, by name, as a verdict wants them.
func objectives(p plan.Plan) []gates.Objective {
	var all []gates.Objective
	for name, o := range p.Objectives {
		one := gates.Objective{Name: name, Share: nearest(o.Share), Over: time.Duration(o.Over), Of: o.Of, Queried: o.Queried()}
		if o.Revenue != nil {
			one.Revenue = &gates.Revenue{PerMinute: o.Revenue.PerMinute, Currency: o.Revenue.Currency}
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b gates.Objective) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// nearest is the number nearest to a percentage: 0.999 for 99.9%, without what
// dividing it by 100 adds.
func nearest(p plan.Percent) float64 { return math.Round(float64(p)*1e12) / 1e12 }

// model is that of a plan, nil when it has none.
func model(p plan.Plan) *gates.Part {
	if p.Model == nil {
		return nil
	}
	whole := modelPart(*p.Model)
	return &whole
}

func modelPart(p plan.Part) gates.Part {
	part := gates.Part{Name: p.Name, Dependency: p.Dependency, Transaction: p.Transaction, Series: modelParts(p.Series)}
	if p.Promised > 0 {
		promised := nearest(p.Promised)
		part.Promised = &promised
	}
	if p.Parallel != nil {
		part.Parallel = &gates.Parallel{
			Need: p.Parallel.Need, Of: modelParts(p.Parallel.Of), Copies: p.Parallel.Copies, Common: nearest(p.Parallel.Common),
		}
	}
	return part
}

func modelParts(parts []plan.Part) []gates.Part {
	var all []gates.Part
	for _, p := range parts {
		all = append(all, modelPart(p))
	}
	return all
}

// saveObjectives keeps the objectives and the model of a plan, so that judging
// the record again gives the same verdict.
func saveObjectives(db *store.DB, p plan.Plan) error {
	var errs error
	if all := objectives(p); len(all) > 0 {
		errs = saveDocument(db, documentObjectives, all)
	}
	if whole := model(p); whole != nil {
		errs = errors.Join(errs, saveDocument(db, documentModel, whole))
	}
	return errs
}

func saveDocument(db *store.DB, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return db.SaveDocument(name, text)
}

// addObjectives puts into a record what was promised and what the system is
// made of: as the record has it, or another plan.
func addObjectives(rec *gates.Record, db *store.DB, other *plan.Plan) error {
	if other != nil {
		rec.Objectives, rec.Model = objectives(*other), model(*other)
		return nil
	}
	return errors.Join(readDocument(db, documentObjectives, &rec.Objectives), readDocument(db, documentModel, &rec.Model))
}

// readDocument reads a document that a record may be without.
func readDocument(db *store.DB, name string, to any) error {
	text, err := db.Document(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		return fmt.Errorf("record %s: %s: %w", db.Path(), name, err)
	}
	return nil
}

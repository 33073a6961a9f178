package canary

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

//go:embed status.html
var pageText string

//go:embed status.css
var styleText string

// page is the status page.
type page struct {
	template  *template.Template
	styleHash string // of its style sheet, which is all that a browser may use
}

func newPage() *page {
	digest := sha256.Sum256([]byte(styleText))
	return &page{
		styleHash: "sha256-" + base64.StdEncoding.EncodeToString(digest[:]),
		template: template.Must(template.New("status").Funcs(template.FuncMap{
			"style":  func() template.CSS { return template.CSS(styleText) }, // ours, and as it is, or its digest would not fit
			"moment": minute, "machine": func(ns int64) string { return rfc3339(at(ns)) },
			"plain": plain, "plural": func(n int, noun string) string { return plural(uint64(max(0, n)), noun) },
			"grouped": grouped,
		}).Parse(pageText)),
	}
}

// Days that the page shows, and incidents on a page of it.
const (
	shownDays   = 90
	pastPerPage = 20
)

// pageView is what the page shows, in words.
type pageView struct {
	Title    string
	Location string
	At       int64
	Mood     string // good, doubt, bad, planned or none
	Headline string
	Broken   bool // the state can not be written
	Open     []incidentView
	Tasks    []taskView
	Health   *UnitStatus // of the health endpoint; nil without one
	Planned  []PlannedTime
	Past     []incidentView
	Page     int
	Pages    int
	MayWrite bool
	Trouble  []string // with receivers, for who has the token
	Probes   Probes
	Since    int64
}

// Newer is the page before, of incidents that are newer.
func (v pageView) Newer() int { return v.Page - 1 }

// Older is the page after.
func (v pageView) Older() int { return v.Page + 1 }

// incidentView is an incident in words.
type incidentView struct {
	Incident
	Lasted string
	Units  string
	Common string
}

// taskView is a transaction or heartbeat.
type taskView struct {
	Name  string
	Mood  string
	State string // in words
	Share string // of good attempts over all days
	Days  []dayView
	Cells []cellView
}

type dayView struct{ Mood, Text string }

type cellView struct {
	kind    string // failing, recovering, doubt, planned, none or good
	Name    string
	Mood    string
	State   string
	Last    int64
	Message string
}

func (s *face) showPage(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := onlyKeys(q, "page"); err != nil {
		return err
	}
	number, err := whole(q, "page", 1, 1<<30)
	if err != nil {
		return err
	}
	status, broken := s.ask(r.Context())
	if status.At == 0 {
		return broken
	}
	view, err := s.view(status, number)
	if err != nil {
		return err
	}
	view.Broken = broken != nil
	if s.trusted(r) {
		view.MayWrite = true
		view.Trouble = s.trouble()
	}
	var b bytes.Buffer
	if err := s.page.template.Execute(&b, view); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // whoever went away does not want it
	return nil
}

// view says in words what is known.
func (s *face) view(status Status, number int) (pageView, error) {
	all, err := s.incidents.all()
	if err != nil {
		return pageView{}, err
	}
	days, start, err := s.days.last(shownDays)
	if err != nil {
		return pageView{}, err
	}
	v := pageView{
		Title: s.serving().Title, Location: status.Location, At: status.At, Planned: s.planned(), Probes: status.Probes, Since: status.Since,
	}
	if v.Title == "" {
		v.Title = status.Plan
	}
	for _, i := range status.Open {
		v.Open = append(v.Open, words(i, status.At))
	}
	for n, u := range status.Units {
		if u.Transaction == healthName && u.Last != 0 {
			v.Health = &status.Units[n]
		}
	}
	v.Tasks = tasks(status, all, days, start)
	v.Mood, v.Headline = headlineOf(status, v.Tasks)
	past := slices.DeleteFunc(slices.Clone(all), Incident.Open)
	var some []Incident
	some, v.Page, v.Pages = paged(past, number, pastPerPage)
	for _, i := range some {
		v.Past = append(v.Past, words(i, status.At))
	}
	return v, nil
}

func words(i Incident, now int64) incidentView {
	return incidentView{Incident: i, Lasted: span(i.lasted(now)), Units: unitsText(i.Units), Common: commonText(i.Common())}
}

// headlineOf is how it is, in one line.
func headlineOf(status Status, tasks []taskView) (mood, text string) {
	count := map[string]int{}
	for _, t := range tasks {
		count[t.Mood]++
	}
	switch {
	case len(status.Open) > 0:
		return "bad", plural(uint64(len(status.Open)), "incident") + " open"
	case len(tasks) == 0 || count["none"] == len(tasks):
		return "none", "Nothing has been tried yet"
	case count["doubt"] > 0:
		return "doubt", "No incident; the last attempt failed of " + plural(uint64(count["doubt"]), "transaction")
	case count["planned"] > 0:
		return "planned", "Planned maintenance"
	}
	return "good", "All is well"
}

// tasks says how it is with each transaction and heartbeat.
func tasks(status Status, incidents []Incident, days []map[string]tally, start int64) []taskView {
	var all []taskView
	for _, u := range status.Units {
		if u.Transaction == healthName {
			continue
		}
		if n := len(all); n == 0 || all[n-1].Name != u.Transaction {
			all = append(all, taskView{Name: u.Transaction})
		}
		t := &all[len(all)-1]
		t.Cells = append(t.Cells, cellOf(u, status.Open))
	}
	for n := range all {
		t := &all[n]
		t.Mood, t.State = stateOf(t.Cells)
		t.fillDays(incidents, days, start, status.At)
	}
	return all
}

// cellOf says how it is with a unit.
func cellOf(u UnitStatus, open []Incident) cellView {
	c := cellView{Name: u.Value, Last: u.Last, Message: u.Message}
	within := slices.ContainsFunc(open, func(i Incident) bool { return i.touches(u.Unit) })
	switch {
	case u.Planned != "":
		c.kind, c.Mood, c.State = "planned", "planned", "Planned maintenance: "+u.Planned
	case u.Last == 0:
		c.kind, c.Mood, c.State = "none", "none", "Not tried yet"
	case within && !u.Good:
		c.kind, c.Mood, c.State = "failing", "bad", "Failing"
	case within:
		c.kind, c.Mood, c.State = "recovering", "doubt", "Recovering"
	case !u.Good:
		c.kind, c.Mood, c.State = "doubt", "doubt", "The last attempt failed"
	default:
		c.kind, c.Mood, c.State = "good", "good", "Works"
	}
	return c
}

// touches reports whether an incident is one of a unit. Where it gathered its
// evidence in other ways, such as by tenant, the cells of its bad attempts tell.
func (i Incident) touches(u Unit) bool {
	return slices.ContainsFunc(i.Units, func(bad Unit) bool {
		switch {
		case bad.Transaction != u.Transaction:
			return false
		case bad.Key == "" || u.Key == "":
			return true
		case bad.Key == u.Key:
			return bad.Value == u.Value
		}
		return i.BadBy[u.Key][u.Value] > 0
	})
}

// states of a transaction, the worst first: when all of its cells are in it, and
// when some are.
var states = []struct{ kind, mood, all, some string }{
	{"failing", "bad", "Failing", "Failing in %d of %d cells"},
	{"recovering", "doubt", "Recovering", "Recovering in %d of %d cells"},
	{"doubt", "doubt", "The last attempt failed", "The last attempt failed in %d of %d cells"},
	{"planned", "planned", "Planned maintenance", "Planned maintenance in %d of %d cells"},
	{"none", "none", "Not tried yet", "Not tried yet in %d of %d cells"},
}

// stateOf says how it is with all cells of a transaction together.
func stateOf(cells []cellView) (mood, text string) {
	for _, state := range states {
		n := 0
		for _, c := range cells {
			if c.kind == state.kind {
				n++
			}
		}
		switch n {
		case 0:
		case len(cells):
			return state.mood, state.all
		default:
			return state.mood, fmt.Sprintf(state.some, n, len(cells))
		}
	}
	return "good", "Works"
}

// fillDays says what became of each day.
func (t *taskView) fillDays(incidents []Incident, days []map[string]tally, start, now int64) {
	var sum tally
	for n, by := range days {
		from := start + int64(n)*day
		count := by[t.Name]
		sum.good, sum.total = sum.good+count.good, sum.total+count.total
		had := 0
		for _, i := range incidents {
			of := slices.ContainsFunc(i.Units, func(u Unit) bool { return u.Transaction == t.Name })
			if of && i.Start < from+day && i.ended(now) >= from {
				had++
			}
		}
		t.Days = append(t.Days, dayOf(from, count, had))
	}
	t.Share = "no attempts"
	if sum.total > 0 {
		t.Share = percent(sum) + " good"
	}
}

func dayOf(from int64, count tally, incidents int) dayView {
	d := dayView{Mood: "good", Text: at(from).Format("2 January 2006") + ": "}
	switch {
	case incidents > 0:
		d.Mood = "bad"
	case count.total == 0:
		d.Mood = "none"
	case count.good < count.total:
		d.Mood = "doubt"
	}
	if count.total == 0 {
		d.Text += "no attempts"
	} else {
		d.Text += fmt.Sprintf("%s good, %s of %s failed", percent(count), grouped(count.total-count.good), plural(count.total, "attempt"))
	}
	if incidents > 0 {
		d.Text += ", " + plural(uint64(incidents), "incident")
	}
	return d
}

// percent writes a share that is never rounded to all or nothing.
func percent(t tally) string {
	share := float64(t.good) / float64(t.total) * 100
	for decimals := 2; decimals < 6; decimals++ {
		shift := math.Pow10(decimals)
		text := strconv.FormatFloat(math.Floor(share*shift)/shift, 'f', -1, 64)
		if (text == "0") == (t.good == 0) {
			return text + " %"
		}
	}
	return "< 0.00001 %"
}

// trouble says which receivers do not get what they should.
func (s *face) trouble() []string {
	var all []string
	for _, r := range s.Receivers() {
		if r.Waiting == 0 && r.Error == "" {
			continue
		}
		text := fmt.Sprintf("Receiver %s: %s", r.Receiver, plural(uint64(r.Waiting), "notice")+" waiting")
		if r.Oldest != 0 {
			text += ", the oldest since " + moment(r.Oldest)
		}
		if r.Error != "" {
			text += "; it " + r.Error
		}
		all = append(all, text)
	}
	return all
}

func at(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// minute writes a time to people, without its seconds.
func minute(ns int64) string { return at(ns).Format("2006-01-02 15:04 UTC") }

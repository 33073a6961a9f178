package canary

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// StatusAnswer is what /api/v1/status answers.
type StatusAnswer struct {
	Status
	Works bool `json:"works"` // the daemon does, and its state can be written

	Planned   []PlannedTime    `json:"maintenance,omitempty"` // that goes on or is to come
	Receivers []ReceiverStatus `json:"receivers,omitempty"`   // for who has the token
}

// PlannedTime is a planned maintenance.
type PlannedTime struct {
	From   int64    `json:"from"`
	To     int64    `json:"to"`
	Reason string   `json:"reason"`
	Of     []string `json:"of,omitempty"` // all, when it is left out
	Cell   string   `json:"cell,omitempty"`
}

func (s *face) showStatus(w http.ResponseWriter, r *http.Request) error {
	status, err := s.ask(r.Context())
	if status.At == 0 {
		return err
	}
	answer := StatusAnswer{Status: status, Works: err == nil, Planned: s.planned()}
	if s.trusted(r) {
		answer.Receivers = s.Receivers()
	}
	answerJSON(w, http.StatusOK, answer)
	return nil
}

// planned gives the maintenance that goes on or is to come, the first first.
func (s *face) planned() []PlannedTime {
	var all []PlannedTime
	for _, m := range s.Canary.Maintenance {
		if s.Now().Before(time.Time(m.To)) {
			all = append(all, PlannedTime{
				From: time.Time(m.From).UnixNano(), To: time.Time(m.To).UnixNano(), Reason: m.Reason, Of: m.Of, Cell: m.Cell,
			})
		}
	}
	slices.SortStableFunc(all, func(a, b PlannedTime) int { return int(min(1, max(-1, a.From-b.From))) })
	return all
}

// showHealth tells nothing but whether the daemon works.
func (s *face) showHealth(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.ask(r.Context()); err != nil {
		return answered(http.StatusServiceUnavailable, "the canary does not work")
	}
	answerJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// incidentsAnswer is a page of incidents, the newest first.
type incidentsAnswer struct {
	Incidents []Incident `json:"incidents"`
	Page      int        `json:"page"` // from 1
	Pages     int        `json:"pages"`
	Total     int        `json:"total"`
}

// Incidents on a page, unless asked otherwise, and at most.
const (
	perPage    = 50
	maxPerPage = 500
)

func (s *face) showIncidents(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := onlyKeys(q, "state", "page", "per"); err != nil {
		return err
	}
	number, err1 := whole(q, "page", 1, 1<<30)
	per, err2 := whole(q, "per", perPage, maxPerPage)
	all, err3 := s.incidents.all()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err3 != nil {
		return err3
	}
	switch state := q.Get("state"); state {
	case "":
	case "open", "closed":
		all = slices.DeleteFunc(slices.Clone(all), func(i Incident) bool { return i.Open() != (state == "open") })
	default:
		return answered(http.StatusBadRequest, "state is open or closed")
	}
	some, number, pages := paged(all, number, per)
	answerJSON(w, http.StatusOK, incidentsAnswer{Incidents: some, Page: number, Pages: pages, Total: len(all)})
	return nil
}

// paged cuts a page out of a list; beyond the last it is empty.
func paged[T any](all []T, number, per int) (some []T, page, pages int) {
	pages = max(1, (len(all)+per-1)/per)
	if number > pages {
		return []T{}, number, pages
	}
	from := (number - 1) * per
	return append([]T{}, all[from:min(len(all), from+per)]...), number, pages
}

func (s *face) showIncident(w http.ResponseWriter, r *http.Request) error {
	i, err := s.incident(r)
	if err != nil {
		return err
	}
	answerJSON(w, http.StatusOK, i)
	return nil
}

// incident gives the one that a path names.
func (s *face) incident(r *http.Request) (Incident, error) {
	all, err := s.incidents.all()
	if err != nil {
		return Incident{}, err
	}
	at := slices.IndexFunc(all, func(i Incident) bool { return i.ID == r.PathValue("id") })
	if at < 0 {
		return Incident{}, answered(http.StatusNotFound, "there is no such incident")
	}
	return all[at], nil
}

// maxName is the longest name of somebody, in bytes.
const maxName = 100

// takeAck acknowledges an incident. A form of the status page goes back there.
func (s *face) takeAck(w http.ResponseWriter, r *http.Request) error {
	by, form, err := whoAcks(r)
	if err != nil {
		return err
	}
	s.incidents.forget() // what is decided on must not be old
	i, err := s.incident(r)
	if err != nil {
		return err
	}
	if !i.Open() {
		return answered(http.StatusConflict, "incident "+i.ID+" is closed already")
	}
	if i.Acked != 0 {
		return answered(http.StatusConflict, i.AckedBy+" has acknowledged incident "+i.ID+" already")
	}
	if err := s.Ack(i.ID, by); err != nil {
		return answered(http.StatusConflict, "incident "+i.ID+" can not be acknowledged now: look at its state")
	}
	s.incidents.forget()
	if form {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	answerJSON(w, http.StatusOK, map[string]string{"acknowledged": i.ID, "by": by})
	return nil
}

// formType is what a browser calls a form.
const formType = "application/x-www-form-urlencoded"

// whoAcks reads who acknowledges, from JSON or a form.
func whoAcks(r *http.Request) (by string, form bool, err error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", false, badBody(err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) && kind == formType {
		kind = "application/json" // curl -d calls everything a form
	}
	switch kind {
	case formType:
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return "", true, answered(http.StatusBadRequest, "this is no form")
		}
		by, form = values.Get("by"), true
	case "application/json", "":
		var said struct {
			By string `json:"by"`
		}
		if err := json.Unmarshal(body, &said); err != nil {
			return "", false, answered(http.StatusBadRequest, `this wants JSON such as {"by": "ann"}`)
		}
		by = said.By
	default:
		return "", false, answered(http.StatusUnsupportedMediaType, "this wants application/json")
	}
	if by = plain(by); by == "" || len(by) > maxName {
		return "", form, answered(http.StatusBadRequest, fmt.Sprintf(`"by" is who acknowledges, in 1 to %d bytes`, maxName))
	}
	return by, form, nil
}

// badBody is the answer to a body that can not be read.
func badBody(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	return answered(http.StatusBadRequest, "the body can not be read")
}

// takeBeat notes that a job has reported; what it sends along is not looked at.
func (s *face) takeBeat(w http.ResponseWriter, r *http.Request) error {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return badBody(err)
	}
	job := r.PathValue("job")
	if _, known := s.Canary.Heartbeats[job]; !known {
		return answered(http.StatusNotFound, "the plan has no such heartbeat")
	}
	if err := s.Beat(job); err != nil {
		return err
	}
	answerJSON(w, http.StatusOK, map[string]string{"heard": job})
	return nil
}

// showBeat tells how it is with a job.
func (s *face) showBeat(w http.ResponseWriter, r *http.Request) error {
	job := r.PathValue("job")
	if _, known := s.Canary.Heartbeats[job]; !known {
		return answered(http.StatusNotFound, "the plan has no such heartbeat")
	}
	status, err := s.known(r.Context())
	if err != nil {
		return err
	}
	found := UnitStatus{Unit: Unit{Transaction: job}, Good: true} // before it reported first
	for _, u := range status.Units {
		if u.Transaction == job {
			found = u
		}
	}
	answerJSON(w, http.StatusOK, found)
	return nil
}

// maxFigures is the longest span that figures are computed of.
const maxFigures = 400 * 24 * time.Hour

func (s *face) showFigures(w http.ResponseWriter, r *http.Request) error {
	if s.Figures == nil {
		return answered(http.StatusNotFound, "there is no such page")
	}
	q := r.URL.Query()
	if err := onlyKeys(q, "from", "to"); err != nil {
		return err
	}
	from, to, err := askedSpan(q, s.Now(), 30*24*time.Hour)
	if err != nil {
		return err
	}
	if to.Sub(from) > maxFigures {
		return answered(http.StatusBadRequest, "this is more than 400 days: ask for less")
	}
	done, err := s.read(r.Context())
	if err != nil {
		return err
	}
	defer done()
	figures, err := s.Figures(from.UnixNano(), to.UnixNano())
	if err != nil {
		return err
	}
	answerJSON(w, http.StatusOK, figures)
	return nil
}

// onlyKeys refuses what is not known, as it would be ignored.
func onlyKeys(q url.Values, known ...string) error {
	for key, values := range q {
		if !slices.Contains(known, key) {
			return answered(http.StatusBadRequest, fmt.Sprintf("there is no %q here; there are %q", shorten(key, maxName), known))
		}
		if len(values) > 1 {
			return answered(http.StatusBadRequest, "give "+key+" once")
		}
	}
	return nil
}

// whole reads a number from 1 to most.
func whole(q url.Values, key string, otherwise, most int) (int, error) {
	text := q.Get(key)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, answered(http.StatusBadRequest, fmt.Sprintf("%s is a number from 1 to %d", key, most))
	}
	return n, nil
}

// Times that can be asked for: beyond them nanoseconds do not fit.
var (
	firstTime = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// askedSpan reads from and to; by default it ends now and is so long.
func askedSpan(q url.Values, now time.Time, length time.Duration) (from, to time.Time, err error) {
	read := func(key string, otherwise time.Time) time.Time {
		text := q.Get(key)
		if text == "" {
			return otherwise
		}
		t, e := time.Parse(time.RFC3339Nano, text)
		if e != nil || t.Before(firstTime) || t.After(lastTime) {
			err = answered(http.StatusBadRequest, key+" is a time such as 2026-01-02T15:04:05Z")
		}
		return t
	}
	to = read("to", now)
	from = read("from", to.Add(-length))
	if err == nil && !from.Before(to) {
		err = answered(http.StatusBadRequest, "from has to be before to")
	}
	return from, to, err
}

package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"resilience/gates"
	"resilience/internal/measure"
)

// collectedAtOnce is how many windows are put into a record together.
const collectedAtOnce = 2000

// Collect reads a run back from InfluxDB and makes a record of it in dir, whose
// path it gives. It has all that judging needs; examples of failures are not
// there. A run that InfluxDB does not have all of is an error: to judge what
// is left of it would be to guess.
func Collect(ctx context.Context, from Influx, run, dir string) (path string, err error) {
	if err := from.Validate(); err != nil {
		return "", err
	}
	c := &collector{ctx: ctx, from: from, http: from.httpClient(), run: run}
	c.http.Timeout = 0 // an answer may be long; the context ends it
	defer c.http.CloseIdleConnections()
	d, err := c.collect(dir)
	if err != nil {
		return "", fmt.Errorf("collect run %s from InfluxDB: %w", run, err)
	}
	return d.Path(), d.Close()
}

// collector reads the points of one run.
type collector struct {
	ctx  context.Context
	from Influx
	http *http.Client
	run  string
	got  totals
}

func (c *collector) collect(dir string) (d *DB, err error) {
	want, err := c.totals()
	if err != nil {
		return nil, err
	}
	documents, err := c.documents()
	if err != nil {
		return nil, err
	}
	var run gates.Run
	if err := json.Unmarshal(documents[document{kindRun, ""}], &run); err != nil {
		return nil, fmt.Errorf("the description of the run: %w", err)
	}
	if run.ID != c.run {
		return nil, fmt.Errorf("it says that it is run %s: %w", run.ID, errRow)
	}
	if d, err = Create(dir, run); err != nil {
		return nil, err
	}
	err = errors.Join(c.fill(d, documents), d.Finish(run))
	if err == nil && c.got != want {
		err = fmt.Errorf("%d of its %d windows, %d of %d events and %d of %d documents are there: send it again with: resilience runs push %s --influx %s",
			c.got.windows, want.windows, c.got.events, want.events, c.got.documents, want.documents, c.run, c.from.URL)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close(), os.Remove(d.Path()))
	}
	return d, nil
}

func (c *collector) totals() (n totals, err error) {
	found := false
	for r, err := range c.rows(influxTotals, "") {
		if err != nil {
			return n, err
		}
		if n, err = totalsOf(r); err != nil {
			return n, err
		}
		found = true
	}
	if !found {
		return n, fmt.Errorf("the bucket %s does not have all of it: there is no such run, it is not over, or it was killed; where its record is, send it with: resilience runs push %s --influx %s",
			c.from.Bucket, c.run, c.from.URL)
	}
	return n, nil
}

// document names a document in InfluxDB.
type document struct{ kind, name string }

// documents puts the parts of all documents together.
func (c *collector) documents() (map[document][]byte, error) {
	pieces := map[document][]piece{}
	for r, err := range c.rows(influxDocuments, "") {
		if err != nil {
			return nil, err
		}
		p, err := pieceOf(r)
		if err != nil {
			return nil, err
		}
		pieces[document{p.kind, p.name}] = append(pieces[document{p.kind, p.name}], p)
	}
	whole := map[document][]byte{}
	for name, parts := range pieces {
		data, err := joined(parts)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", name.kind, name.name, err)
		}
		whole[name] = data
	}
	c.got.documents = int64(len(whole))
	return whole, nil
}

// joined joins the parts of a document. Those that a longer one left behind
// before it was replaced are passed over.
func joined(parts []piece) ([]byte, error) {
	slices.SortFunc(parts, func(a, b piece) int { return int(a.part - b.part) })
	data, first := []byte{}, parts[0]
	for i, p := range parts[:min(int64(len(parts)), first.parts)] {
		if p.part != int64(i) {
			return nil, errors.New("a part of it is missing")
		}
		data = append(data, p.data...)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != first.digest {
		return nil, errors.New("its parts do not fit together")
	}
	return data, nil
}

// fill puts everything into an empty record.
func (c *collector) fill(d *DB, documents map[document][]byte) error {
	var phases []phaseGates
	if err := json.Unmarshal(documents[document{kindPhases, ""}], &phases); err != nil {
		return fmt.Errorf("the gates: %w", err)
	}
	for _, one := range phases {
		if err := d.SaveGates(one.Phase, one.Gates); err != nil {
			return err
		}
	}
	for name, data := range documents {
		if name.kind != kindDocument {
			continue
		}
		if err := d.SaveDocument(name.name, data); err != nil {
			return err
		}
	}
	events, err := c.events()
	if err != nil {
		return err
	}
	if err := d.Append(measure.Batch{Events: events[""]}); err != nil {
		return err
	}
	if err := c.windows(d); err != nil {
		return err
	}
	return c.baselines(d, documents, events)
}

// events are those of the run and of what it is compared with, by origin.
func (c *collector) events() (map[string][]measure.Event, error) {
	events := map[string][]measure.Event{}
	for r, err := range c.rows(influxEvents, "") {
		if err != nil {
			return nil, err
		}
		e, origin, err := eventOf(r)
		if err != nil {
			return nil, err
		}
		c.got.events++
		events[origin] = append(events[origin], e)
	}
	return events, nil
}

func (c *collector) windows(d *DB) error {
	var some []measure.Window
	for w, err := range c.windowsOf("") {
		if err != nil {
			return err
		}
		if some = append(some, w); len(some) == collectedAtOnce {
			if err := d.Append(measure.Batch{Windows: some}); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return d.Append(measure.Batch{Windows: some})
}

// windowsOf reads those of the run, or of a baseline.
func (c *collector) windowsOf(origin string) iter.Seq2[measure.Window, error] {
	return func(yield func(measure.Window, error) bool) {
		for r, err := range c.rows(influxWindows, ` AND "origin" = `+quoted(escapeTag(origin))) {
			var w measure.Window
			if err == nil {
				w, _, err = windowOf(r)
			}
			c.got.windows++
			if !yield(w, err) || err != nil {
				return
			}
		}
	}
}

// baselines saves what each phase is compared with.
func (c *collector) baselines(d *DB, documents map[document][]byte, events map[string][]measure.Event) error {
	recs := map[string]map[int]gates.Record{}
	for name, data := range documents {
		if name.kind != kindBaseline {
			continue
		}
		text, phase, _ := strings.Cut(name.name, " ")
		number, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("baseline %q: %w", name.name, errRow)
		}
		rec := gates.Record{Phase: phase, Events: events[name.name], Windows: c.windowsOf(name.name)}
		if err := json.Unmarshal(data, &rec.Run); err != nil {
			return fmt.Errorf("baseline %q: %w", name.name, err)
		}
		if recs[phase] == nil {
			recs[phase] = map[int]gates.Record{}
		}
		recs[phase][number] = rec
	}
	for phase, of := range recs {
		var list []gates.Record
		for _, number := range slices.Sorted(maps.Keys(of)) {
			list = append(list, of[number])
		}
		if err := d.SaveBaselines(phase, list...); err != nil {
			return err
		}
	}
	return nil
}

// rows asks for the points of the run in a measurement, and reads them one by
// one.
func (c *collector) rows(measurement, and string) iter.Seq2[row, error] {
	return c.query(`SELECT * FROM "` + measurement + `" WHERE "run" = ` + quoted(escapeTag(c.run)) + and)
}

// query gives the rows that answer a question, with the tags they are grouped by.
func (c *collector) query(question string) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		body, err := c.ask(question)
		if err != nil {
			yield(nil, err)
			return
		}
		defer body.Close()
		decoder := json.NewDecoder(body)
		decoder.UseNumber()
		for more := true; more; {
			var chunk influxChunk
			if err := decoder.Decode(&chunk); err != nil {
				yield(nil, fmt.Errorf("InfluxDB broke off its answer: %w", err))
				return
			}
			if err := chunk.problem(); err != nil {
				yield(nil, err)
				return
			}
			if more = chunk.Results[0].Partial; !chunk.each(yield) {
				return
			}
		}
	}
}

// influxChunk is a part of an answer of /query.
type influxChunk struct {
	Error   string `json:"error"`   // of versions 1 and 3
	Message string `json:"message"` // of version 2
	Results []struct {
		Error   string `json:"error"`
		Partial bool   `json:"partial"` // there is another chunk
		Series  []struct {
			Tags    map[string]string `json:"tags"`
			Columns []string          `json:"columns"`
			Values  [][]any           `json:"values"`
			Partial bool              `json:"partial"`
		} `json:"series"`
	} `json:"results"`
}

func (c influxChunk) problem() error {
	said := c.Error + c.Message
	if said == "" && len(c.Results) == 1 {
		said = c.Results[0].Error
	}
	switch {
	case said != "":
		return fmt.Errorf("InfluxDB answers: %s", cut(oneLine(said), 300))
	case len(c.Results) != 1:
		return fmt.Errorf("InfluxDB gives %d results where one is wanted", len(c.Results))
	}
	return nil
}

func (c influxChunk) each(yield func(row, error) bool) bool {
	for _, series := range c.Results[0].Series {
		for _, v := range series.Values {
			r := row{}
			for key, value := range series.Tags {
				r[key] = value
			}
			for i := range min(len(v), len(series.Columns)) {
				r[series.Columns[i]] = v[i]
			}
			if !yield(r, nil) {
				return false
			}
		}
	}
	return true
}

// ask puts a question in InfluxQL, which versions 1.8, 2 and 3 understand; the
// client's own query API speaks Flux only.
func (c *collector) ask(query string) (io.ReadCloser, error) {
	database, policy, _ := strings.Cut(c.from.Bucket, "/")
	form := url.Values{"db": {database}, "epoch": {"ns"}, "chunked": {"true"}, "chunk_size": {"2000"}, "q": {query}}
	if policy != "" {
		form.Set("rp", policy)
	}
	req, err := http.NewRequestWithContext(c.ctx, http.MethodGet, strings.TrimRight(c.from.URL, "/")+"/query?"+form.Encode(), http.NoBody)
	if err != nil {
		return nil, errors.New("the URL of InfluxDB can not be called")
	}
	req.Header.Set("Accept", "application/json")
	if c.from.Token != "" {
		req.Header.Set("Authorization", "Token "+c.from.Token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, refusalOf(err, c.from)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return nil, errors.Join(fmt.Errorf("InfluxDB answers %d: %s", resp.StatusCode, cut(oneLine(string(said)), 300)), err)
}

// quoted is a string of InfluxQL.
func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

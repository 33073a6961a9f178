package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// influxDB asks an InfluxDB in InfluxQL, which versions 1.8, 2 and 3 understand.
type influxDB struct {
	*client
	database string
}

// after: GROUP BY time gives the beginning of a step.
func (*influxDB) after() bool { return true }

// influxAnswer is what /query answers; times are milliseconds.
type influxAnswer struct {
	Error   string `json:"error"`   // of versions 1 and 3
	Message string `json:"message"` // of version 2
	Results []struct {
		Error   string `json:"error"`
		Partial bool   `json:"partial"`
		Series  []struct {
			Name    string            `json:"name"`
			Tags    map[string]string `json:"tags"`
			Columns []string          `json:"columns"`
			Values  [][]*float64      `json:"values"`
			Partial bool              `json:"partial"`
		} `json:"series"`
	} `json:"results"`
}

// ask runs the one SELECT, which says by itself which time it is about.
func (i *influxDB) ask(ctx context.Context, text string, s stretch, _ int64) ([]series, error) {
	form := url.Values{"db": {i.database}, "epoch": {"ms"}, "q": {text}}
	var answer influxAnswer
	status, err := i.call(ctx, http.MethodGet, "/query", form, &answer)
	if err != nil {
		return nil, err
	}
	said := answer.Error
	if said == "" {
		said = answer.Message
	}
	switch {
	case status != http.StatusOK || said != "":
		return nil, fmt.Errorf("answers %d: %s", status, shorten(said))
	case len(answer.Results) != 1:
		return nil, fmt.Errorf("gives %d results where one is wanted", len(answer.Results))
	case answer.Results[0].Error != "":
		return nil, fmt.Errorf("answers: %s", shorten(answer.Results[0].Error))
	case answer.Results[0].Partial:
		return nil, errors.New("gives a part of its answer only: aggregate in the query")
	}
	return i.read(answer, s)
}

func (i *influxDB) read(answer influxAnswer, s stretch) ([]series, error) {
	var all []series
	for _, r := range answer.Results[0].Series {
		switch {
		case r.Partial:
			return nil, errors.New("gives a part of its answer only: aggregate in the query")
		case len(r.Columns) != 2 || r.Columns[0] != "time":
			return nil, fmt.Errorf("gives the columns %s: select one value", shorten(fmt.Sprint(r.Columns)))
		}
		one := series{labels: map[string]string{"": r.Name}}
		for key, value := range r.Tags {
			one.labels[key] = value
		}
		for _, v := range r.Values {
			if len(v) != 2 || v[0] == nil {
				return nil, errors.New("gives a row without a time and a value")
			}
			if v[1] != nil { // null: nothing in this step
				one.points = append(one.points, point{int64(*v[0]) * 1e6, *v[1]})
			}
		}
		all = append(all, one)
	}
	return checked(all, s)
}

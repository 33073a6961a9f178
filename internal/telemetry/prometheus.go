package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// prometheus asks what speaks the HTTP API of Prometheus: query_range.
type prometheus struct {
	*client
	lookback lookback
}

// after: what a PromQL range looks at ends at the moment of its point.
func (*prometheus) after() bool { return false }

// promAnswer is what the API answers.
type promAnswer struct {
	Status   string   `json:"status"`
	Error    string   `json:"error"`
	Warnings []string `json:"warnings"`
	Data     struct {
		Type   string `json:"resultType"`
		Result []struct {
			Metric map[string]string `json:"metric"`
			Values []promPoint       `json:"values"`
		} `json:"result"`
	} `json:"data"`
}

// promPoint is [seconds, "value"].
type promPoint struct {
	seconds float64
	value   float64
}

func (p *promPoint) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	var text string
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return errors.New("a point has no time and value")
	}
	err := errors.Join(json.Unmarshal(pair[0], &p.seconds), json.Unmarshal(pair[1], &text))
	if err != nil {
		return err
	}
	p.value, err = strconv.ParseFloat(text, 64)
	return err
}

// ask evaluates the query at each step. A value that is older than stale is
// none; see fresh. What the server warns about, such as that a part of the data
// is missing, is no answer.
func (p *prometheus) ask(ctx context.Context, text string, s stretch, stale int64) ([]series, error) {
	form := url.Values{
		"query": {text}, "start": {seconds(s.from)}, "end": {seconds(s.to - s.step)}, "step": {seconds(s.step)},
		"timeout": {answerTimeout.String()},
	}
	if err := p.fresh(ctx, stale); err != nil {
		return nil, err
	}
	if stale > 0 {
		form.Set("lookback_delta", seconds(stale))
	}
	var answer promAnswer
	status, err := p.call(ctx, http.MethodPost, "/api/v1/query_range", form, &answer)
	switch {
	case err != nil:
		return nil, err
	case status != http.StatusOK || answer.Status != "success":
		return nil, fmt.Errorf("answers %d: %s", status, shorten(answer.Error))
	case len(answer.Warnings) > 0:
		return nil, fmt.Errorf("does not vouch for its answer: %s", shorten(strings.Join(answer.Warnings, "; ")))
	case answer.Data.Type != "matrix":
		return nil, fmt.Errorf("answers with a %s instead of a matrix", shorten(answer.Data.Type))
	}
	all := make([]series, 0, len(answer.Data.Result))
	for _, r := range answer.Data.Result {
		one := series{labels: r.Metric}
		for _, v := range r.Values {
			if math.IsNaN(v.value) || math.IsInf(v.value, 0) {
				one.odd++
				continue
			}
			one.points = append(one.points, point{int64(math.Round(v.seconds*1e3)) * 1e6, v.value})
		}
		all = append(all, one)
	}
	return checked(all, s)
}

// seconds writes nanoseconds as seconds.
func seconds(ns int64) string {
	return strconv.FormatFloat(float64(ns/1e6)/1e3, 'f', -1, 64)
}

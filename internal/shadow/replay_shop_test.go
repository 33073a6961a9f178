package shadow

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// played gives the answers that a front of the shop once gave, in the time of the
// test: request number n, which a header tells, has its own.
type played struct {
	answers [][]Response
	front   int
	slow    func(n int) time.Duration
}

func (p played) RoundTrip(req *http.Request) (*http.Response, error) {
	n, err := strconv.Atoi(req.Header.Get("X-Number"))
	if err != nil {
		return nil, err
	}
	<-time.After(5*time.Millisecond + p.slow(n))
	answer := p.answers[n][p.front]
	h := answer.Header.Clone()
	h.Del("Content-Encoding") // it was undone, which has to show otherwise
	if answer.Body.Encoding != "" {
		h.Set("X-Encoding", answer.Body.Encoding)
	}
	return &http.Response{StatusCode: answer.Status, Header: h, Body: io.NopCloser(bytes.NewReader(answer.Body.Data)), ContentLength: -1}, nil
}

// TestReplayOfTheShop replays what users of the shop asked against its second
// version: what was changed is told by route and field, the slower tail by the
// latency of its route, and nothing else is.
func TestReplayOfTheShop(t *testing.T) {
	urls := fronts(t, "", "", "all")
	requests := shopMix(rand.New(rand.NewPCG(2026, 8)), 3000, stock(t, urls[0]))
	answers := askAll(t, urls, requests)
	var exchanges []Exchange
	for i, r := range requests {
		e := recordedGet(time.Duration(i)*20*time.Millisecond, "", r.target)
		e.Route = r.route
		e.Request.Header.Set("X-Number", strconv.Itoa(i))
		exchanges = append(exchanges, e)
	}
	never := func(int) time.Duration { return 0 }
	tail := func(n int) time.Duration { // as the shop's own change
		if requests[n].route == "GET /history" && n%10 == 0 {
			return 100 * time.Millisecond
		}
		return 0
	}
	synctest.Test(t, func(t *testing.T) {
		s := staged{
			test: shadowTest(), tape: tape{exchanges: exchanges},
			baseline: played{answers, 0, never}, again: played{answers, 1, never}, candidate: played{answers, 2, tail},
		}
		s.test.Noise, s.test.Compare.Headers = plan.NoiseTwice, plan.Names{"X-Encoding"}
		all := s.run(t, t.Context())
		var found []string
		for _, e := range happened(all, measure.EventDifference) {
			if e.Attrs["class"] == string(Regression) {
				found = append(found, e.Name+" "+e.Attrs["place"]+" "+e.Attrs["kind"])
			}
		}
		var want []string
		for _, planted := range plantedInShop {
			switch planted {
			case "GET /orders body.orders changed": // so few wrong answers take more traffic
			case "GET /products/{id} header content-encoding encoding":
				want = append(want, "GET /products/{id} header x-encoding added")
			default:
				want = append(want, planted)
			}
		}
		require.ElementsMatch(t, want, found)
		slow := map[string]float64{}
		for _, w := range all.Windows {
			if w.Series.Metric == measure.MetricRequest && w.Series.Step == "GET /history" {
				slow[w.Series.Arm] = max(slow[w.Series.Arm], w.Max)
			}
		}
		require.EqualValues(t, map[string]float64{measure.Candidate: 105, measure.Baseline: 5}, slow)
	})
}

package shadow

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// counted answers with what a function says of the number of the request.
func counted(body func(n int) string) *standIn {
	var mu sync.Mutex
	n := 0
	return &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		n++
		return 200, nil, body(n), time.Millisecond
	}}
}

// TestReplayFindsRegressions wants what differs by noise not to mismatch, what
// differs more often to, and what was seen too seldom to be told as such.
func TestReplayFindsRegressions(t *testing.T) {
	noisy := func(price string) func(int) string {
		return func(n int) string { return fmt.Sprintf(`{"load":%d,"price":%s}`, n*7919%13, price) }
	}
	for name, c := range map[string]struct {
		candidate                            func(int) string
		n                                    int
		noise                                string
		found                                []string
		mismatched, undecided, changedStatus uint64
		pairs                                uint64
	}{
		"alike":         {candidate: noisy("5"), n: 2000, noise: plan.NoiseTwice, found: []string{"body.load changed noise"}, pairs: 2000},
		"a regression":  {candidate: noisy("6"), n: 2000, noise: plan.NoiseTwice, found: []string{"body.price changed regression", "body.load changed noise"}, pairs: 2000, mismatched: 2000},
		"too seldom":    {candidate: func(n int) string { return noisy(strconv.Itoa(5 + max(0, n-1998)))(n) }, n: 2000, noise: plan.NoiseTwice, found: []string{"body.price changed undecided", "body.load changed noise"}, pairs: 2000, undecided: 2},
		"without noise": {candidate: func(int) string { return `{"load":1,"price":5}` }, n: 100, noise: plan.NoNoise, found: []string{"body.load changed undecided"}, pairs: 100, mismatched: 92},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(c.n, 10*time.Millisecond)}, candidate: counted(c.candidate), baseline: counted(noisy("5"))}
				s.test.Noise = c.noise
				if c.noise == plan.NoiseTwice {
					s.again = counted(func(n int) string { return noisy("5")(n + 5) })
				}
				all := s.run(t, t.Context())
				var found []string
				for _, e := range happened(all, measure.EventDifference) {
					require.Equal(t, "GET /items", e.Name)
					found = append(found, e.Attrs["place"]+" "+e.Attrs["kind"]+" "+e.Attrs["class"])
				}
				require.Equal(t, c.found, found)
				pairs := replaySummed(all, measure.MetricComparison)[measure.Candidate]
				require.Equal(t, c.pairs, pairs.Count)
				require.InDelta(t, c.mismatched, pairs.Failed, 4)
				require.Equal(t, c.undecided, replaySummed(all, measure.MetricUndecided)[measure.Candidate].Count)
				require.Equal(t, c.changedStatus, replaySummed(all, measure.MetricStatusChange)[measure.Candidate].Failed)
				require.Equal(t, c.pairs, replaySummed(all, measure.MetricStatusChange)[measure.Candidate].Count)
				require.NotContains(t, replaySummed(all, measure.MetricRequest), "", "what tells noise is no arm")
			})
		})
	}
}

// TestReplayAgainstRecorded compares with the answers of the recording.
func TestReplayAgainstRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchanges := recordedMany(50, 10*time.Millisecond)
		exchanges[7].Response = Response{} // nobody knows what it was
		s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: answering(`{"ok":false}`, 0)}
		s.test.Baseline = plan.Recorded
		all := s.run(t, t.Context())
		pairs := replaySummed(all, measure.MetricComparison)[measure.Candidate]
		require.EqualValues(t, 49, pairs.Count)
		require.EqualValues(t, 49, pairs.Failed)
		e := happened(all, measure.EventDifference)[0]
		require.Equal(t, "true", e.Attrs["baseline"])
		require.Equal(t, "false", e.Attrs["candidate"])
		require.Equal(t, "GET /items", e.Attrs["request"])
		require.Len(t, happened(all, measure.EventTest), 1, "no baseline was asked")
	})
}

// TestReplayComparesPages part by part: a nonce in each page is noise, and the wrong
// price beside it a mismatch.
func TestReplayComparesPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := func(price, from int) *standIn {
			return counted(func(n int) string {
				return fmt.Sprintf(`<html><head><script nonce="n%d">go()</script></head><body><b>%d EUR</b></body></html>`, (n+from)*7919, price)
			})
		}
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(1000, 10*time.Millisecond)}, candidate: page(99, 0), baseline: page(10, 5), again: page(10, 9)}
		s.test.Noise = plan.NoiseTwice
		all := s.run(t, t.Context())
		found := []string{}
		for _, e := range happened(all, measure.EventDifference) {
			found = append(found, fmt.Sprint(e.Attrs["place"], " ", e.Attrs["class"], ": ", e.Attrs["baseline"], " -> ", e.Attrs["candidate"]))
		}
		require.Len(t, found, 2)
		require.Equal(t, "body.html.body.b regression: 10 -> 99", found[0])
		require.Contains(t, found[1], "body.html.head.script.@nonce noise: ")
		require.EqualValues(t, 1000, replaySummed(all, measure.MetricComparison)[measure.Candidate].Failed)
	})
}

// TestReplayComparesLongBodies by field, as far as the test keeps them, and else says
// that they differ as a whole, and that nothing in them was compared where they do anyway.
func TestReplayComparesLongBodies(t *testing.T) {
	list := func(last string) string { return "[" + strings.Repeat(`{"name":"a mug"},`, 100_000) + last + "]" }
	for name, c := range map[string]struct {
		keep        plan.Size
		place, warn string
	}{
		"by field":   {3 << 20, "body[].at", ""},
		"as a whole": {0, "body", "GET /items: nothing in these bodies was compared: they could only be compared as a whole, and two answers of the baseline differ in 5 of 5"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(5, 10*time.Millisecond)}}
				s.test.MaxBody, s.test.Noise = c.keep, plan.NoiseTwice
				s.baseline = counted(func(n int) string { return list(fmt.Sprintf(`{"at":%d}`, n)) })
				s.again = counted(func(n int) string { return list(fmt.Sprintf(`{"at":%d}`, n+100)) })
				s.candidate = counted(func(n int) string { return list(fmt.Sprintf(`{"at":%d}`, n+1000)) })
				all := s.run(t, t.Context())
				require.Equal(t, c.place, happened(all, measure.EventDifference)[0].Attrs["place"])
				warned := fmt.Sprint(happened(all, measure.EventWarning))
				require.Equal(t, c.warn != "", strings.Contains(warned, "nothing in these bodies"), warned)
				require.Contains(t, warned, c.warn)
			})
		})
	}
}

// TestReplayWarmsUp wants what differs while both warm up not to be compared.
func TestReplayWarmsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(50, 100*time.Millisecond)}, baseline: answering(`{"ok":true}`, 0)}
		s.candidate = counted(func(n int) string { return fmt.Sprintf(`{"ok":%t}`, n > 20) })
		s.test.Warmup = plan.Duration(2 * time.Second)
		all := s.run(t, t.Context())
		pairs := replaySummed(all, measure.MetricComparison)[measure.Candidate]
		require.EqualValues(t, 30, pairs.Count)
		require.Zero(t, pairs.Failed)
		require.EqualValues(t, 50, replaySummed(all, measure.MetricRequest)[measure.Candidate].Count)
		require.Equal(t, "2s", happened(all, measure.EventTest)[0].Attrs["warmup"])
	})
}

// TestReplayKeepsSecretsOut wants values of secret fields in no event.
func TestReplayKeepsSecretsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(20, 10*time.Millisecond)}, candidate: answering(`{"user":{"access_token":"secret-1"},"link":"https://u:pw@x.test/a?sig=secret-2"}`, 0), baseline: answering(`{"user":{"access_token":"other"},"link":"https://x.test/b"}`, 0)}
		all := s.run(t, t.Context())
		require.Len(t, happened(all, measure.EventDifference), 3)
		require.NotContains(t, fmt.Sprint(all.Events), "secret-")
		require.NotContains(t, fmt.Sprint(all.Events), "pw@")
	})
}

// TestReplayHidesItsOwnSecrets wants what a target gives as a secret, or is sent as
// one, in no event, wherever an answer repeats it: whole, or cut as examples are.
func TestReplayHidesItsOwnSecrets(t *testing.T) {
	long := "secret-" + strings.Repeat("0123456789", 20)
	for name, c := range map[string]struct{ header, cookie, body string }{
		"a cookie that is set":     {cookie: "sid=secret-12345678; Path=/", body: `{"debug":"sid is secret-12345678"}`},
		"a token that is given":    {body: `{"access_token":"secret-12345678","debug":"use secret-12345678"}`},
		"what was sent":            {header: "Bearer secret-12345678", body: `{"debug":["Bearer secret-12345678"]}`},
		"what was sent, of a lot":  {header: "Bearer " + long, body: `{"debug":"` + strings.Repeat("x", 60) + long + `"}`},
		"text":                     {header: "Bearer secret-12345678", body: "you are secret-12345678"},
		"a name that tells of one": {body: `{"pwd":"secret-1","x_auth_key":"secret-2"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(20, 10*time.Millisecond)}, baseline: answering(`{"debug":"no","pwd":"a","x_auth_key":"b"}`, 0)}
				s.candidate = &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) {
					return 200, map[string]string{"Set-Cookie": c.cookie}, c.body, 0
				}}
				if c.header != "" {
					s.candidate = credentialed{s.candidate, c.header}
				}
				all := s.run(t, t.Context())
				require.NotEmpty(t, happened(all, measure.EventDifference))
				require.NotContains(t, fmt.Sprint(all.Events), "secret-")
				require.NotContains(t, fmt.Sprint(all.Examples), "secret-")
			})
		})
	}
}

// credentialed adds credentials to a copy of a request, as what sends to a target does.
type credentialed struct {
	next   http.RoundTripper
	header string
}

func (c credentialed) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", c.header)
	resp, err := c.next.RoundTrip(req)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// TestReplayDecidesNothingOfOurs wants answers of the baseline that were given up to
// be undecided, whatever the candidate answered.
func TestReplayDecidesNothingOfOurs(t *testing.T) {
	for name, after := range map[string]time.Duration{"the candidate answers": 0, "none answers": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(10, 10*time.Millisecond)}, candidate: answering("{}", after), baseline: answering("{}", time.Hour)}
				all := s.run(t, t.Context())
				pairs := replaySummed(all, measure.MetricComparison)[measure.Candidate]
				require.EqualValues(t, 10, pairs.Count)
				require.Zero(t, pairs.Failed)
				require.EqualValues(t, 10, replaySummed(all, measure.MetricUndecided)[measure.Candidate].Count)
				require.Contains(t, happened(all, measure.EventWarning)[0].Attrs["detail"], "10 exchanges are undecided, so that no gate passes that they could break: the baseline had not answered")
			})
		})
	}
}

// TestRulesOfPlan reads what a plan says of comparing.
func TestRulesOfPlan(t *testing.T) {
	rules, err := rulesOf(plan.Comparison{
		Ignore: plan.Names{"header x-cache", "body.at of GET /orders"}, Headers: plan.Names{"Cache-Control"},
		Expect:   []plan.Intended{{Field: "body.title of GET /products/{id}", Kind: "added", From: "a", To: "b", By: "jane", Reason: "renamed"}},
		Tolerate: map[string]string{"body.total": "1%"}, Keys: map[string]string{"body.items of GET /orders": "sku, line"},
	})
	require.NoError(t, err)
	require.Equal(t, Rules{
		Ignore:   []Where{{Place: "header x-cache"}, {Place: "body.at", Route: "GET /orders"}},
		Expect:   []Expectation{{Where: Where{Route: "GET /products/{id}", Place: "body.title", Kind: Added}, From: "a", To: "b", By: "jane", Why: "renamed"}},
		Tolerate: []Tolerance{{Where: Where{Place: "body.total"}, Relative: 0.01}},
		Keys:     []ListKey{{Route: "GET /orders", Place: "body.items", Fields: []string{"sku", "line"}}},
		Headers:  HeaderRules{Compare: []string{"Cache-Control"}},
	}, rules)
	for text, want := range map[string]Tolerance{"0.01": {Absolute: 0.01}, "5s": {Within: 5 * time.Second}, "any order": {Order: true}} {
		got, err := toleranceOf(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err = toleranceOf("some")
	require.Error(t, err)
	_, err = NewReplay(plan.Stream{Test: plan.Test{Name: "users", Shadow: &plan.Shadow{Compare: plan.Comparison{Ignore: plan.Names{"total"}}}}}, Outside{})
	require.ErrorContains(t, err, `test users: compare: ignore 1: there is no place "total"`)
}

// TestReplayReadsOnPastDamage wants a damaged part of a recording to be told, and
// the rest to be replayed.
func TestReplayReadsOnPastDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), candidate: answering("{}", 0), baseline: answering("{}", 0)}
		r, err := NewReplay(s.stream(), s.outside())
		require.NoError(t, err)
		r.outside.Open = func(string) (Recording, error) {
			return &damagedTape{tape: tape{exchanges: recordedMany(3, time.Millisecond)}}, nil
		}
		var all measure.Batch
		require.NoError(t, r.Run(t.Context(), func(b measure.Batch) error {
			all.Events, all.Windows = append(all.Events, b.Events...), append(all.Windows, b.Windows...)
			return nil
		}))
		require.EqualValues(t, 3, replaySummed(all, measure.MetricRequest)[measure.Candidate].Count)
		require.Contains(t, happened(all, measure.EventWarning)[0].Attrs["detail"], "a part of the recording is left out: users.rec: damaged at byte 100")
		require.Equal(t, "true", happened(all, measure.EventTestEnd)[0].Attrs["complete"])
	})
}

type damagedTape struct {
	tape
	told bool
}

func (s *damagedTape) Next() (Exchange, error) {
	if s.next == 1 && !s.told {
		s.told = true
		return Exchange{}, &DamageError{Path: "users.rec", Offset: 100, Lost: 10, Why: "bits"}
	}
	return s.tape.Next()
}

// TestReplayPassesNothingUndecidable wants two answers that both are damaged, of which
// nobody knows whether they are the same, not to be taken for a match.
func TestReplayPassesNothingUndecidable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := func() *standIn {
			return &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) {
				return 200, map[string]string{"Content-Encoding": "gzip"}, "no gzip at all", 0
			}}
		}
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(20, 10*time.Millisecond)}, candidate: broken(), baseline: broken(), again: broken()}
		s.test.Noise = plan.NoiseTwice
		all := s.run(t, t.Context())
		require.EqualValues(t, 20, replaySummed(all, measure.MetricComparison)[measure.Candidate].Count)
		require.EqualValues(t, 20, replaySummed(all, measure.MetricUndecided)[measure.Candidate].Count)
		require.Equal(t, "undecidable", happened(all, measure.EventDifference)[0].Attrs["kind"])
	})
}

// TestReplayDecidesNoErrorsAlike wants two versions that fail alike, where users were
// answered, not to be taken for two that match; and answers that may be meant, to be
// compared to their bodies.
func TestReplayDecidesNoErrorsAlike(t *testing.T) {
	const begin = "20 exchanges are undecided, so that no gate passes that they could break: both versions failed ("
	const told, again, ignore = "), and the recording does not say that users were answered so; ", "see why they failed, and replay again", "; where they are meant to answer so, say ignore: [status of ROUTE]"
	const alone = "20 exchanges are undecided, so that no gate passes that they could break: the baseline alone failed (500: 20), and users did not; it may be asked more than it allows, as with noise: twice: see why it failed, replay slower, or name another instance under noise:"
	const auth = "a recording has no credentials: give the targets auth:, or carry: the token or cookie that an answer gave and that was not carried"
	for name, c := range map[string]struct {
		recorded, baseline, candidate int
		ignore                        string
		undecided, mismatched         uint64
		warning                       string
	}{
		"down":                      {recorded: 200, undecided: 20, warning: begin + "no answer: 20" + told + again},
		"down, whatever is ignored": {recorded: 200, ignore: "status", undecided: 20, warning: begin + "no answer: 20" + told + again},
		"was down, too":             {undecided: 20, warning: begin + "no answer: 20" + told + again},
		"let nobody in":             {recorded: 200, baseline: 401, candidate: 401, undecided: 20, warning: begin + "401: 20" + told + auth + ignore},
		"lead to a login":           {recorded: 200, baseline: 302, candidate: 302, undecided: 20, warning: begin + "302: 20" + told + "see where they lead: to a login (give the targets auth:) or from http to https" + ignore},
		"led there before":          {recorded: 302, baseline: 302, candidate: 302},
		"broken":                    {recorded: 302, baseline: 500, candidate: 500, undecided: 20, warning: begin + "500: 20" + told + again},
		"broken for users, too":     {recorded: 500, baseline: 500, candidate: 500},
		"broken, gone for users":    {recorded: 404, baseline: 503, candidate: 503, undecided: 20, warning: begin + "503: 20" + told + again},
		"gone since":                {recorded: 200, baseline: 404, candidate: 404, undecided: 20, warning: begin + "404: 20" + told + "replay against the data that was there when it was recorded" + ignore},
		"meant to be gone":          {recorded: 200, baseline: 404, candidate: 404, ignore: "status of GET /items"},
		"gone for users":            {recorded: 404, baseline: 404, candidate: 404},
		"gone in another way":       {recorded: 404, baseline: 410, candidate: 410},
		"gone, nobody knows":        {baseline: 404, candidate: 404},
		"broken, nobody knows":      {baseline: 503, candidate: 503, undecided: 20, warning: begin + "503: 20" + told + again},
		"too many, nobody knows":    {baseline: 429, candidate: 429, undecided: 20, warning: begin + "429: 20" + told + again},
		"the candidate fails":       {recorded: 200, baseline: 200, candidate: 500, mismatched: 20},
		"the baseline fails":        {recorded: 200, baseline: 500, candidate: 200, undecided: 20, warning: alone},
		"the baseline is meant to":  {recorded: 200, baseline: 500, candidate: 200, ignore: "status of GET /items"},
		"fail differently":          {recorded: 200, baseline: 404, candidate: 500, mismatched: 20, warning: begin + "404 and 500: 20" + told + again},
		"one is down":               {recorded: 200, baseline: 500, mismatched: 20, warning: begin + "500 and no answer: 20" + told + again},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exchanges := recordedMany(20, 10*time.Millisecond)
				for i := range exchanges {
					exchanges[i].Response.Status = c.recorded
				}
				s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: answeringAll(c.candidate, "{}"), baseline: answeringAll(c.baseline, "{}")}
				if c.ignore != "" {
					s.test.Compare.Ignore = plan.Names{c.ignore}
				}
				got := s.run(t, t.Context())
				pairs := replaySummed(got, measure.MetricComparison)[measure.Candidate]
				require.EqualValues(t, 20, pairs.Count)
				require.Equal(t, c.mismatched, pairs.Failed)
				require.Equal(t, c.undecided, replaySummed(got, measure.MetricUndecided)[measure.Candidate].Count)
				require.EqualValues(t, 20, replaySummed(got, measure.MetricStatusChange)[measure.Candidate].Count)
				require.Equal(t, c.undecided, replaySummed(got, measure.MetricUndecidedStatus)[measure.Candidate].Count)
				var warnings []string
				for _, e := range happened(got, measure.EventWarning) {
					warnings = append(warnings, e.Attrs["detail"])
				}
				if c.warning == "" {
					require.Empty(t, warnings)
					return
				}
				require.Equal(t, []string{c.warning}, warnings)
			})
		})
	}
}

// answeringAll answers all with a status, 0 for none, and a body.
func answeringAll(status int, body string) *standIn {
	return &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) { return status, nil, body, 0 }}
}

// TestReplayComparesErrorsThatAreMeant wants bodies of errors to be compared where the
// recording does not tell that users were answered otherwise.
func TestReplayComparesErrorsThatAreMeant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchanges := recordedMany(20, 10*time.Millisecond)
		for i := range exchanges {
			exchanges[i].Response = Response{}
		}
		s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: answeringAll(404, `{"error":"no"}`), baseline: answeringAll(404, `{"error":"none"}`)}
		all := s.run(t, t.Context())
		require.EqualValues(t, 20, replaySummed(all, measure.MetricComparison)[measure.Candidate].Failed)
		require.Equal(t, "body.error", happened(all, measure.EventDifference)[0].Attrs["place"])
	})
}

// TestReplayMeasuresTenants wants what tenants were answered to be told apart where a
// gate asks for it, as far as there is room, and nowhere else.
func TestReplayMeasuresTenants(t *testing.T) {
	for name, c := range map[string]struct {
		asked   bool
		tenants int
		want    map[string][2]uint64 // compared, of these mismatched
		warned  bool
	}{
		"nobody asks": {false, 2, map[string][2]uint64{"": {120, 60}}, false},
		"two":         {true, 2, map[string][2]uint64{"t0": {60, 60}, "t1": {60, 0}}, false},
		"too many":    {true, 60, map[string][2]uint64{"t0": {2, 2}, "t1": {2, 0}, "t49": {2, 0}, "(other)": {20, 10}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exchanges := recordedMany(120, 10*time.Millisecond)
				for i := range exchanges {
					exchanges[i].Tenant = fmt.Sprintf("t%d", i%c.tenants)
					exchanges[i].Route = fmt.Sprintf("GET /%d", i%2) // a set of differences is of its route
					exchanges[i].Request.Target = fmt.Sprintf("/%d", i%2)
				}
				s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, baseline: answering(`{"a":1}`, 0)}
				s.candidate = &standIn{answer: func(r asked) (int, map[string]string, string, time.Duration) {
					return 200, nil, map[string]string{"/0": `{"a":2}`, "/1": `{"a":1}`}[r.target], 0
				}}
				stream := s.stream()
				stream.ByTenant = c.asked
				r, err := NewReplay(stream, s.outside())
				require.NoError(t, err)
				compared, requests, warnings := map[string][2]uint64{}, map[string]uint64{}, 0
				require.NoError(t, r.Run(t.Context(), func(b measure.Batch) error {
					warnings += len(happened(b, measure.EventWarning))
					for _, w := range b.Windows {
						switch of := w.Series.Tenant; w.Series.Metric {
						case measure.MetricComparison:
							compared[of] = [2]uint64{compared[of][0] + w.Count, compared[of][1] + w.Failed}
						case measure.MetricRequest:
							requests[of] += w.Count
						}
					}
					return nil
				}))
				for tenant, want := range c.want {
					require.Equal(t, want, compared[tenant], tenant)
					require.Equal(t, 2*want[0], requests[tenant], "of both arms")
				}
				require.Equal(t, c.warned, warnings > 0)
				require.LessOrEqual(t, len(compared), replayTenants+1)
			})
		})
	}
}

// TestReplayLearnsNoNoiseOfErrors wants errors that are not compared to tell no noise:
// what differs in these is not what differs in answers.
func TestReplayLearnsNoNoiseOfErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(20, 10*time.Millisecond)}, candidate: answeringAll(503, `{"a":1}`), baseline: answeringAll(503, `{"a":1}`), again: answeringAll(503, `{"a":2}`)}
		s.test.Noise = plan.NoiseTwice
		all := happened(s.run(t, t.Context()), measure.EventDifference)
		require.Len(t, all, 1)
		require.Equal(t, []string{"status", "undecidable", "0"}, []string{all[0].Attrs["place"], all[0].Attrs["kind"], all[0].Attrs["noise pairs"]})
	})
}

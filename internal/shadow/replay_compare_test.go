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
		require.Len(t, happened(all, measure.EventDifference), 2)
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

// TestReplayComparesNothingOfOurs wants requests that were given up, or never left
// this machine, not to be taken for answers.
func TestReplayComparesNothingOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(10, 10*time.Millisecond)}, candidate: answering("{}", 0), baseline: answering("{}", time.Hour)}
		all := s.run(t, t.Context())
		require.Zero(t, replaySummed(all, measure.MetricComparison)[measure.Candidate].Count)
		require.Empty(t, happened(all, measure.EventDifference))
	})
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

// TestReplayComparesNoErrorsAlike wants two versions that fail alike, where users
// were answered, not to be taken for two that match.
func TestReplayComparesNoErrorsAlike(t *testing.T) {
	all := func(status int) *standIn {
		return &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) { return status, nil, "{}", 0 }}
	}
	for name, c := range map[string]struct {
		recorded, baseline, candidate int
		pairs                         uint64
		warning                       string
	}{
		"down":                {200, 0, 0, 0, "20 exchanges were not compared: both versions failed (no answer: 20) where the recording has no error"},
		"was down, too":       {0, 0, 0, 0, "20 exchanges were not compared: both versions failed (no answer: 20) where the recording has no error"},
		"let nobody in":       {200, 401, 401, 0, "20 exchanges were not compared: both versions failed (401: 20) where the recording has no error; a recording has no credentials: give the targets auth:"},
		"broken":              {302, 500, 500, 0, "20 exchanges were not compared: both versions failed (500: 20) where the recording has no error"},
		"nobody knows":        {0, 404, 404, 0, "20 exchanges were not compared: both versions failed (404: 20) where the recording has no error"},
		"failed for users":    {404, 404, 404, 20, ""},
		"the candidate fails": {200, 200, 500, 20, ""},
		"the baseline fails":  {200, 500, 200, 20, ""},
		"fail differently":    {200, 404, 500, 20, ""},
		"one is down":         {200, 500, 0, 20, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exchanges := recordedMany(20, 10*time.Millisecond)
				for i := range exchanges {
					exchanges[i].Response.Status = c.recorded
				}
				s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: all(c.candidate), baseline: all(c.baseline), again: all(c.baseline)}
				s.test.Noise = plan.NoiseTwice
				got := s.run(t, t.Context())
				require.Equal(t, c.pairs, replaySummed(got, measure.MetricComparison)[measure.Candidate].Count)
				require.Equal(t, c.pairs, replaySummed(got, measure.MetricStatusChange)[measure.Candidate].Count)
				warnings := happened(got, measure.EventWarning)
				if c.warning == "" {
					require.Empty(t, warnings)
					return
				}
				require.Len(t, warnings, 1)
				require.Equal(t, c.warning, warnings[0].Attrs["detail"])
				require.Empty(t, happened(got, measure.EventDifference))
			})
		})
	}
}

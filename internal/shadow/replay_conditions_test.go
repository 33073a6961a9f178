package shadow

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// versioned answers with an ETag and a time of its own, and 304 or 412 to who asks by
// them.
func versioned(tag, modified string) *standIn {
	return &standIn{answer: func(r asked) (int, map[string]string, string, time.Duration) {
		own := map[string]string{"Etag": tag, "Last-Modified": modified}
		match := r.header.Get("If-Match")
		since := r.header.Get("If-Modified-Since")
		switch {
		case match != "" && match != tag && match != "*":
			return 412, own, "", 0
		case slices.Contains(entityTags(r.header.Get("If-None-Match")), tag), since == modified:
			return 304, own, "", 0
		case r.header.Get("Range") != "" && (r.header.Get("If-Range") == "" || r.header.Get("If-Range") == tag):
			return 206, own, `{"o`, 0
		}
		return 200, own, `{"ok":true}`, 0
	}}
}

const (
	recordedTime = "Thu, 01 Jan 2026 00:00:00 GMT"
	deployedTime = "Fri, 02 Jan 2026 00:00:00 GMT"
)

// conditional is a request of a browser that has an answer already, as a recording
// has it: out of the redactor.
func conditional(after time.Duration, session, name, value string, status int) Exchange {
	e := recordedGet(after, "", "/items")
	e.Request.Header.Set(name, value)
	if session != "" {
		e.Request.Header.Set("Cookie", "sid="+session)
	}
	e.Response.Status = status
	e.Response.Header.Set("Etag", `"v1"`)
	e.Response.Header.Set("Last-Modified", recordedTime)
	r, err := NewRedactor(RedactionRules{})
	if err != nil {
		panic(err)
	}
	e = r.Redact(e)
	if session != "" {
		e.Session = session // each has a key of its own here
	}
	return e
}

// TestReplayAsksEachByItsOwn: what a browser had in its cache is nothing that the
// candidate gave. Both are asked alike, and each by what it has given itself.
func TestReplayAsksEachByItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		header, recorded string
		candidate, basis string // what the second request of a session is asked by
	}{
		"an etag":         {"If-None-Match", `"v1"`, `"v2"`, `"v1"`},
		"of several":      {"If-None-Match", `"v0,1", "v1"`, `"v2"`, `"v1"`},
		"a time":          {"If-Modified-Since", recordedTime, deployedTime, recordedTime},
		"another etag":    {"If-None-Match", `"v0"`, "", ""},
		"whatever it has": {"If-None-Match", "*", "*", "*"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := staged{test: shadowTest(), candidate: versioned(`"v2"`, deployedTime), baseline: versioned(`"v1"`, recordedTime), again: versioned(`"v1"`, recordedTime)}
				for i := range 3 {
					s.tape.exchanges = append(s.tape.exchanges, conditional(time.Duration(i)*time.Second, "anna", c.header, c.recorded, 304))
				}
				s.test.Noise = plan.NoiseTwice
				all := s.run(t, t.Context())
				require.Empty(t, happened(all, measure.EventDifference))
				require.EqualValues(t, 3, replaySummed(all, measure.MetricComparison)[measure.Candidate].Count)
				for _, side := range []struct {
					of   http.RoundTripper
					want string
				}{{s.candidate, c.candidate}, {s.baseline, c.basis}} {
					seen := side.of.(*standIn).seen
					require.Equal(t, side.want, seen[1].header.Get(c.header))
					require.Equal(t, side.want, seen[2].header.Get(c.header))
					if c.recorded != "*" {
						require.Empty(t, seen[0].header.Get(c.header), "nothing was given before")
					}
				}
			})
		})
	}
}

// TestReplayLeavesOutConditionsOfNobody: 1,200 requests of which nobody knows whose
// they are, and parts of what the candidate has otherwise.
func TestReplayLeavesOutConditionsOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), candidate: versioned(`"v2"`, deployedTime), baseline: versioned(`"v1"`, recordedTime)}
		s.test.Noise = plan.Recorded
		for i := range 1200 {
			e := conditional(time.Duration(i)*10*time.Millisecond, "", "If-None-Match", `"v1"`, 304)
			if i%2 == 0 {
				e = conditional(time.Duration(i)*10*time.Millisecond, "", "If-Range", `"v1"`, 206)
				e.Request.Header.Set("Range", "bytes=0-2")
			}
			s.tape.exchanges = append(s.tape.exchanges, e)
		}
		all := s.run(t, t.Context())
		require.Empty(t, happened(all, measure.EventDifference))
		require.EqualValues(t, 1200, replaySummed(all, measure.MetricComparison)[measure.Candidate].Count)
		for _, r := range s.candidate.(*standIn).seen {
			require.Empty(t, r.header.Get("If-None-Match")+r.header.Get("If-Range")+r.header.Get("Range"))
		}
	})
}

// TestReplayAgainstRecordedConditions: a candidate that says it anew is not compared
// with what users were not told again, and that is said.
func TestReplayAgainstRecordedConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), candidate: versioned(`"v2"`, deployedTime)}
		for i := range 4 {
			s.tape.exchanges = append(s.tape.exchanges, conditional(time.Duration(i)*time.Second, "", "If-None-Match", `"v1"`, 304))
		}
		all := s.run(t, t.Context())
		require.Empty(t, happened(all, measure.EventDifference))
		require.Zero(t, replaySummed(all, measure.MetricComparison)[measure.Candidate].Count)
		require.Contains(t, happened(all, measure.EventWarning)[0].Attrs["detail"], "4 exchanges were not compared")
	})
}

// TestReplayOfWritesThatDependOnAnAnswer sends them by what each version has given, and
// not without, or by what users had.
func TestReplayOfWritesThatDependOnAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		before bool // the session had asked for it
		rules  []plan.Carry
		want   []string // If-Match, as the candidate has seen it
	}{
		"of an answer":    {before: true, want: []string{`"v2"`}},
		"of none":         {},
		"of one, by rule": {before: true, rules: []plan.Carry{{From: "header Etag of GET /items", To: "header If-Match of PUT /items", As: "W/{}"}}, want: []string{`W/"v2"`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := staged{test: shadowTest(), candidate: versioned(`"v2"`, deployedTime), baseline: versioned(`"v1"`, recordedTime)}
				s.test.Writes = &plan.Writes{Routes: plan.Names{"PUT /items"}}
				s.test.Carry = c.rules
				if c.before {
					s.tape.exchanges = append(s.tape.exchanges, conditional(0, "anna", "Accept", "*/*", 200))
				}
				write := recordedWrite(time.Second, "anna", "PUT", "/items", `{}`, `{}`)
				write.Request.Header.Set("If-Match", `"v1"`)
				s.tape.exchanges = append(s.tape.exchanges, write)
				all := s.run(t, t.Context())
				var seen []string
				for _, r := range s.candidate.(*standIn).seen {
					if r.method == "PUT" {
						seen = append(seen, r.header.Get("If-Match"))
					}
				}
				require.Equal(t, c.want, seen)
				told := happened(all, measure.EventReplay)[0].Attrs
				require.Equal(t, c.want == nil, told["withheld"] == "1")
				require.Equal(t, c.want == nil, told["sent"] == "0")
				if c.want == nil {
					require.Contains(t, happened(all, measure.EventWithheld)[0].Attrs["reason"], "If-Match")
				}
			})
		})
	}
}

// TestConditionsAreOfOneAnswer: versions that count have the same ETags for other things.
func TestConditionsAreOfOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tags := map[string]string{"/a": `"2"`, "/b": `"3"`}
		candidate := &standIn{answer: func(r asked) (int, map[string]string, string, time.Duration) {
			return 200, map[string]string{"Etag": tags[r.target]}, `{"ok":true}`, 0
		}}
		s := staged{test: shadowTest(), candidate: candidate}
		for i, target := range []string{"/a", "/b", "/a", "/b"} {
			e := recordedGet(time.Duration(i)*time.Second, "anna", target)
			tag := map[string]string{"/a": `"1"`, "/b": `"2"`}[target]
			e.Response.Header.Set("Etag", tag)
			if i >= 2 {
				e.Request.Header.Set("If-None-Match", tag)
			}
			s.tape.exchanges = append(s.tape.exchanges, e)
		}
		s.run(t, t.Context())
		require.Equal(t, `"2"`, candidate.seen[2].header.Get("If-None-Match"))
		require.Equal(t, `"3"`, candidate.seen[3].header.Get("If-None-Match"))
	})
}

// TestMirrorOfConditions: a user's 304 tells nothing of what a candidate with other ETags
// answers; a sink asks both for the whole.
func TestMirrorOfConditions(t *testing.T) {
	serving := func(tag string) string {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", tag)
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("hello"))
		}))
		t.Cleanup(web.Close)
		return web.URL
	}
	v1, v2 := serving(`"v1"`), serving(`"v2"`)
	request := strings.Replace(plainRequest, "Host:", "If-None-Match: \"v1\"\r\nHost:", 1)
	for name, c := range map[string]struct {
		options MirrorOptions
		want    Mirrored
	}{
		"another etag":   {MirrorOptions{Primary: v1, Candidate: v2}, Mirrored{Seen: 1, Conditions: 1}},
		"the same":       {MirrorOptions{Primary: v1, Candidate: v1, Noise: v2}, Mirrored{Seen: 1, Compared: 1}},
		"it has changed": {MirrorOptions{Primary: v2, Candidate: v1}, Mirrored{Seen: 1, Conditions: 1}},
		"mirrored":       {MirrorOptions{Baseline: v1, Candidate: v2, Noise: v1}, Mirrored{Seen: 1, Compared: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var got Answers
			c.options.Compare = func(a Answers) bool {
				got = a
				return false
			}
			m, _ := startMirror(t, c.options)
			require.NotEmpty(t, rawAnswer(t, m.URL(), request))
			m.Close(closing(t))
			require.Equal(t, c.want, m.Counts())
			switch name {
			case "the same":
				require.Nil(t, got.Noise, "who was not asked the same tells no noise")
			case "mirrored":
				require.Equal(t, []int{200, 200, 200}, []int{got.Response.Status, got.Candidate.Status, got.Noise.Status})
			}
		})
	}
}

func TestApart(t *testing.T) {
	for _, c := range []struct {
		header string
		a, b   int
		want   bool
	}{
		{"If-None-Match", 200, 304, true},
		{"If-Modified-Since", 304, 200, true},
		{"If-Match", 200, 412, true},
		{"If-Range", 206, 200, true},
		{"If-None-Match", 206, 200, false},
		{"If-None-Match", 304, 304, false},
		{"If-None-Match", 304, 500, false},
		{"If-None-Match", 304, 404, false},
		{"If-None-Match", 0, 304, false},
		{"Accept", 200, 304, false},
	} {
		require.Equal(t, c.want, apart(http.Header{c.header: {`"a"`}}, c.a, c.b), "%+v", c)
	}
}

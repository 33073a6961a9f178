package canary

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// theatre plays attempts to a Watcher with one rule, a second for each letter:
// "g" is good and "b" bad, of one unit; "." is a second without an attempt.
type theatre struct {
	*testing.T
	w   *Watcher
	now int64
}

func aRule() plan.CanaryRule {
	return plan.CanaryRule{
		By: "cell", Open: []plan.Trigger{{Row: 3}}, Close: plan.Trigger{Row: 2}, Quiet: plan.Duration(5 * time.Second),
		Severity: "page", Owner: "team", Runbook: "https://runbooks/orders", To: plan.Names{"ops", "chat"},
	}
}

func newStage(t *testing.T, r plan.CanaryRule, change func(*WatchOptions)) *theatre {
	o := WatchOptions{
		Plan: "shop", Canary: plan.Canary{Alerts: map[string]plan.CanaryRule{"orders": r}},
		Known: func(u Unit) bool { return u.Value != "gone" },
	}
	if change != nil {
		change(&o)
	}
	return &theatre{t, NewWatcher(o), time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC).UnixNano()}
}

func (s *theatre) attempt(cell string, good bool) measure.Attempt {
	a := measure.Attempt{Series: measure.Series{Transaction: "order", Cell: cell, Tenant: "t1"}, At: s.now, Found: measure.Accepted}
	if !good {
		a.Found, a.Message = 0, "status 503"
	}
	return a
}

// play gives the seconds, from the start of the script, at which people are told
// something, and what.
func (s *theatre) play(script, cell string) (told map[int]string) {
	told = map[int]string{}
	for second, letter := range script {
		if letter != '.' {
			s.w.Observe(s.attempt(cell, letter == 'g'), s.now)
		}
		s.w.Tick(s.now)
		_, notices := s.w.Take()
		for _, n := range notices {
			if n.Receiver == "ops" {
				told[second] += n.Kind
			}
		}
		require.Zero(s, len(notices)%2, "each receiver is told")
		s.now += int64(time.Second)
	}
	return told
}

func TestIncidents(t *testing.T) {
	of := aRule()
	of.Open = []plan.Trigger{{Some: 3, Of: 6}}
	remind := aRule()
	remind.Remind = plan.Duration(4 * time.Second)
	for name, test := range map[string]struct {
		rule   plan.CanaryRule
		script string
		want   map[int]string
	}{
		"all is well":             {aRule(), "ggggggg", map[int]string{}},
		"noise":                   {aRule(), "gbgbbggbbgb", map[int]string{}},
		"three in a row":          {aRule(), "ggbbbbgggggggg", map[int]string{4: Opened, 10: Closed}},
		"a bad one while it ends": {aRule(), "bbbgggbggggggggg", map[int]string{2: Opened, 11: Closed}},
		"quiet is not good":       {aRule(), "bbb..........g.g", map[int]string{2: Opened, 15: Closed}},
		"three of six":            {of, "gbggbgbggggggg", map[int]string{6: Opened, 11: Closed}},
		"three, but of seven":     {of, "bggbgggbgg", map[int]string{}},
		"reminded":                {remind, "bbbbbbbbbbbbggggggg", map[int]string{2: Opened, 6: Reminder, 10: Reminder, 14: Reminder, 16: Closed}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, newStage(t, test.rule, nil).play(test.script, "eu")) })
	}
}

// What begins and ends is the users' time, not that in which it was noticed.
func TestWhatAnIncidentSays(t *testing.T) {
	s := newStage(t, aRule(), nil)
	began := s.now
	at := func(second int) int64 { return began + int64(second)*int64(time.Second) }
	s.play("ggbbbb", "eu")
	i := s.w.Open()[0]
	require.Equal(t, Incident{
		ID: "20260102T030002Z-orders", Rule: "orders", Severity: "page", Owner: "team", Runbook: "https://runbooks/orders",
		Start: at(2), Detected: at(4), Told: at(4), Evidence: "3 in a row: order in cell eu",
		Units: []Unit{{"order", "cell", "eu"}}, Bad: 4, Total: 4, Messages: []string{"status 503"},
		BadBy: map[string]map[string]uint64{"tenant": {"t1": 2}, "class": {"": 2}, "cell": {"eu": 2}, "region": {"": 2}},
	}, i)
	require.Empty(t, s.play("bbb", "us"), "another cell is no incident of its own")
	require.Len(t, s.w.Open()[0].Units, 2)
	require.Equal(t, map[string]string{"tenant": "t1"}, s.w.Open()[0].Common())

	_, err := s.w.Ack("another", "me", s.now)
	require.ErrorContains(t, err, "no incident another is open")
	_, err = s.w.Ack(i.ID, "me", s.now)
	require.NoError(t, err)
	_, err = s.w.Ack(i.ID, "you", s.now)
	require.ErrorContains(t, err, "me has acknowledged")
	changed, notices := s.w.Take()
	require.Len(t, changed, 1)
	require.Len(t, notices, 2)
	require.Equal(t, i.ID+"/acknowledged/ops", notices[0].ID)
	require.Equal(t, "shop/"+i.ID, notices[0].Key)

	require.Empty(t, s.play("ggggggggg", "eu"), "the other cell is still bad")
	for range 7 {
		s.w.Observe(s.attempt("us", true), s.now)
		s.now += int64(time.Second)
		s.w.Tick(s.now)
	}
	require.Empty(t, s.w.Open())
	changed, _ = s.w.Take()
	require.Equal(t, at(18), changed[i.ID].End)
	require.EqualValues(t, 7, changed[i.ID].Bad)
}

// An attempt counts by when it began, not when it ended.
func TestAttemptsThatArriveLate(t *testing.T) {
	s := newStage(t, aRule(), nil)
	hung := []measure.Attempt{s.attempt("eu", false), s.attempt("eu", false), s.attempt("eu", false)}
	began := s.now
	s.now += int64(10 * time.Second)
	good := s.attempt("eu", true)
	s.w.Observe(good, s.now)
	for _, a := range hung {
		s.w.Observe(a, s.now+1)
	}
	require.Len(t, s.w.Open(), 1)
	require.Equal(t, began, s.w.Open()[0].Start)
	s.w.Observe(s.attempt("eu", true), s.now+2)
	s.w.Tick(s.now + 3)
	require.Empty(t, s.w.Open(), "good since ten seconds")
	changed, _ := s.w.Take()
	for _, i := range changed {
		require.Equal(t, good.At, i.End)
	}
}

// A rule that flaps is held open for longer and longer.
func TestFlapping(t *testing.T) {
	s := newStage(t, aRule(), nil)
	told := s.play("bbbggggggbbbggggggggggggbbbgggggggggggggggggggggggggbbb", "eu")
	require.Equal(t, map[int]string{2: Opened, 7: Closed, 11: Opened, 21: Closed, 26: Opened, 46: Closed, 54: Opened}, told)
}

func TestMaintenance(t *testing.T) {
	s := newStage(t, aRule(), nil)
	for range 5 {
		a := s.attempt("eu", false)
		a.Planned = true
		s.w.Observe(a, s.now)
	}
	require.Empty(t, s.w.Open())
}

// Where there are several locations people are told once enough agree, and by
// one of them.
func TestQuorum(t *testing.T) {
	for name, test := range map[string]struct {
		says func(second int) Agreement
		want map[int]string
	}{
		"nobody else sees it":        {func(int) Agreement { return Agreement{Need: 2} }, map[int]string{}},
		"all see it, we come first":  {func(int) Agreement { return Agreement{Names: []string{"us"}, Need: 2} }, map[int]string{2: Opened, 75: Closed}},
		"another sees it later":      {func(n int) Agreement { return agreeing(n > 5, "us") }, map[int]string{6: Opened, 75: Closed}},
		"another tells":              {func(int) Agreement { return Agreement{Names: []string{"af"}, Need: 2, Told: true} }, map[int]string{}},
		"another should, and is mum": {func(int) Agreement { return Agreement{Names: []string{"af"}, Need: 2} }, map[int]string{32: Opened, 75: Closed}},
	} {
		t.Run(name, func(t *testing.T) {
			second := 0
			began := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC).UnixNano()
			s := newStage(t, aRule(), func(o *WatchOptions) {
				o.Canary.Location = &plan.Location{Name: "eu"}
				o.Agree = func(rule string, now int64) Agreement {
					require.Equal(t, "orders", rule)
					second = int((now - began) / int64(time.Second))
					return test.says(second)
				}
			})
			script := ""
			for len(script) < 71 {
				script += "b"
			}
			require.Equal(t, test.want, s.play(script+"ggggggg", "eu"))
		})
	}
}

func agreeing(is bool, name string) Agreement {
	if is {
		return Agreement{Names: []string{name}, Need: 2}
	}
	return Agreement{Need: 2}
}

// A daemon that starts again knows what was, and tells nobody twice.
func TestRestore(t *testing.T) {
	s := newStage(t, aRule(), nil)
	var attempts []measure.Attempt
	incidents := map[string]Incident{}
	told := 0
	for n, letter := range "ggbbbggggggggbbgggbbbbgggggggggggg" {
		a := s.attempt("eu", letter == 'g')
		attempts = append(attempts, a)
		s.w.Observe(a, s.now)
		s.w.Tick(s.now)
		changed, notices := s.w.Take()
		for id, i := range changed {
			incidents[id] = i
		}
		told += len(notices)
		if n%3 == 0 { // it is killed and starts again
			var all []Incident
			for _, i := range incidents {
				all = append(all, i)
			}
			next := newStage(t, aRule(), nil)
			next.w.Restore(all, attempts)
			s.w = next.w
		}
		s.now += int64(time.Second)
	}
	require.Len(t, incidents, 2)
	require.Equal(t, 8, told)
	for _, i := range incidents {
		require.False(t, i.Open())
		require.Equal(t, i.Bad, map[string]uint64{"20260102T030002Z-orders": 3, "20260102T030018Z-orders": 4}[i.ID])
	}
}

// Units that the plan does not know any more keep no incident open.
func TestRestoreWithAnotherPlan(t *testing.T) {
	s := newStage(t, aRule(), nil)
	s.w.Restore([]Incident{{ID: "a", Rule: "orders", Units: []Unit{{"order", "cell", "gone"}}, Told: 1}}, nil)
	require.Equal(t, map[int]string{0: Closed}, s.play("g", "eu"))
	s = newStage(t, aRule(), nil)
	s.w.Restore([]Incident{{ID: "a", Rule: "orders", Units: []Unit{{"order", "cell", "eu"}}, Told: 1, Detected: s.now}}, nil)
	require.Equal(t, map[int]string{5: Closed}, s.play("gggggg", "eu"))
}

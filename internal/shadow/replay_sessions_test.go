package shadow

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is remembered of all sessions together is bounded: those not heard of for the
// longest time make room for those that go on.
func TestSessionsForgetTheOldest(t *testing.T) {
	s := newSessions(nil)
	const each = 400
	recorded, own := `[`, `[`
	for i := range each / 2 { // carryValues of one answer
		if i > 0 {
			recorded, own = recorded+",", own+","
		}
		recorded += fmt.Sprintf(`{"id":"recorded-%06d-x"}`, i)
		own += fmt.Sprintf(`{"id":"replayed-%06d-x"}`, i)
	}
	recorded, own = recorded+"]", own+"]"
	first := s.of("first")
	for n := range 2*valuesAll/each + 1 {
		known := s.of(fmt.Sprint(n))
		s.of("first")
		s.learn(&job{Exchange: Exchange{Response: Response{Status: 200, Body: jsonBody(recorded)}}, session: known, answers: []answer{
			{Response: Response{Status: 200, Body: jsonBody(own)}}, {Response: Response{Status: 200, Body: jsonBody(own)}},
		}})
		require.LessOrEqual(t, s.values, valuesAll)
	}
	require.Equal(t, valuesAll, s.values)
	require.Equal(t, valuesAll/each+1, len(s.byName))
	require.Equal(t, len(s.byName), s.recent.Len())
	require.Same(t, first, s.of("first"), "it goes on")
	require.Nil(t, s.byName["0"])
}

// TestSessionsAreFew: whoever makes up sessions does not fill the memory, nor does one
// session.
func TestSessionsAreFew(t *testing.T) {
	s := newSessions(nil)
	for n := range sessionsMost + 10 {
		s.of(fmt.Sprint(n))
	}
	require.Len(t, s.byName, sessionsMost)
	require.Nil(t, s.byName["9"])
	require.NotNil(t, s.byName["10"])

	s = newSessions(nil)
	only := s.of("only")
	s.holds(only, valuesAll+1)
	require.Same(t, only, s.of("only"), "one that goes on is not forgotten")
	s.forget()
	s.holds(only, 10)
	require.Zero(t, s.values, "of one that was forgotten nothing is counted")

	c := only.lane(0)
	for n := range valuesMost + 3 {
		c.set(fmt.Sprint(n), "own", valuesMost)
		c.set(fmt.Sprint(n), "own again", valuesMost)
		c.bake(&http.Cookie{Name: fmt.Sprint(n), Value: "own"})
	}
	require.Len(t, c.values, valuesMost)
	require.Len(t, c.order, valuesMost)
	require.NotContains(t, c.values, "2", "the oldest goes first")
	require.Equal(t, "own again", c.values["3"])
	require.Len(t, c.cookies, valuesMost)
	c.bake(&http.Cookie{Name: "1", Value: "newer"})
	require.Equal(t, "newer", c.cookies["1"])
}

// TestLanesKeepTheirOwn wants what one target gave to be sent to no other.
func TestLanesKeepTheirOwn(t *testing.T) {
	s := newSessions(nil)
	known := s.of("a")
	e := recordedGet(0, "a", "/orders")
	e.Request.Header.Set("X-Order", "recorded-1")
	p := &replaying{Replay: &Replay{ladder: &ladder{}}}
	j := &job{Exchange: e, session: known, replaying: p}
	for lane, own := range []string{"candidates-1", "baselines-1"} {
		known.lane(lane).set("recorded-1", own, valuesMost)
	}
	first, _ := s.put(j, 0)
	second, _ := s.put(j, 1)
	third, _ := s.put(j, 2)
	require.Equal(t, "candidates-1", first.Header.Get("X-Order"))
	require.Equal(t, "baselines-1", second.Header.Get("X-Order"))
	require.Equal(t, "recorded-1", third.Header.Get("X-Order"), "who gave nothing is asked as was recorded")
	require.Equal(t, "recorded-1", e.Request.Header.Get("X-Order"))
}

// TestLearnsOfAnswers alone, and does not forget who wrote.
func TestLearnsOfAnswers(t *testing.T) {
	s := newSessions(nil)
	known := s.of("a")
	given := Response{Status: 200, Header: http.Header{"Set-Cookie": {"sid=1"}}}
	j := &job{Exchange: recordedGet(0, "a", "/login"), session: known, rung: rungTenant, answers: []answer{{Response: given}, {Response: given, err: "timeout"}}}
	s.learn(j)
	require.Equal(t, map[string]string{"sid": "1"}, known.lane(0).cookies)
	require.Empty(t, known.lane(1).cookies)
	j.rung = rungSafe
	s.learn(j)
	require.True(t, s.wrote(known))
	require.False(t, s.wrote(s.of("b")))
}

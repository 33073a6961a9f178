package shadow

import (
	"fmt"
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

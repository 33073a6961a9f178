package disrupt

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// lateFault takes effect after it was lifted, and is slow to be looked for.
type lateFault struct {
	foreign
	shows time.Time
	lifts int
}

func (l *lateFault) lift(context.Context) error {
	l.lifts++
	if !time.Now().Before(l.shows) {
		l.shows = time.Now().Add(time.Hour)
	}
	return nil
}

func (l *lateFault) verify(context.Context) (inEffect, known bool, err error) {
	inEffect = !time.Now().Before(l.shows)
	<-time.After(2 * lateLimit)
	return inEffect, true, nil
}

// TestSettlingLooksAfterTheEnd: a look that takes longer than what shows late is waited for
// is followed by one more, which finds what showed meanwhile.
func TestSettlingLooksAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := &lateFault{}
		f := &foreignDisruption{d: plan.Disruption{Name: "flag"}, how: late}
		late.shows = time.Now().Add(3 * lateLimit) // while it is looked for the first time
		require.NoError(t, f.settle(t.Context()))
		require.Equal(t, 2, late.lifts)
	})
}

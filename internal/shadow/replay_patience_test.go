package shadow

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPatienceIsOfEachRequestAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flight, cut := context.WithCancel(t.Context())
		p := &patience{flight: flight, limit: time.Second}
		defer p.close()
		for range 3 { // together they take longer than one may
			ctx := p.begin()
			require.Equal(t, ctx, p.request().Context())
			time.Sleep(900 * time.Millisecond)
			require.NoError(t, ctx.Err())
			p.end()
		}
		time.Sleep(time.Hour) // nothing is under way

		slow := p.begin()
		time.Sleep(2 * time.Second)
		require.Equal(t, context.DeadlineExceeded, context.Cause(slow))
		p.end()

		next := p.begin()
		require.NoError(t, next.Err(), "one that ran out must not end the one after it")
		require.NoError(t, p.request().Context().Err())
		cut()
		require.Equal(t, context.Canceled, context.Cause(next))
		p.end()
	})
}

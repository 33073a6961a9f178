package measure

import (
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestResending(t *testing.T) {
	fresh, inUse := httptrace.GotConnInfo{}, httptrace.GotConnInfo{Reused: true, WasIdle: true, IdleTime: keptAlive / 2}
	idle := httptrace.GotConnInfo{Reused: true, WasIdle: true, IdleTime: time.Minute}
	for name, c := range map[string]struct {
		connected []httptrace.GotConnInfo
		proto     int
		happened  bool
	}{
		"answered on a new connection":            {[]httptrace.GotConnInfo{fresh}, 1, false},
		"answered on one that was in use":         {[]httptrace.GotConnInfo{inUse}, 1, false},
		"one in use ended, then a new one":        {[]httptrace.GotConnInfo{inUse, fresh}, 1, true},
		"two in use ended":                        {[]httptrace.GotConnInfo{inUse, inUse, fresh}, 1, true},
		"one in use ended, then one idle":         {[]httptrace.GotConnInfo{inUse, idle, fresh}, 1, true},
		"one ended that was idle for too long":    {[]httptrace.GotConnInfo{idle, fresh}, 1, false},
		"one idle for too long, then one in use":  {[]httptrace.GotConnInfo{idle, inUse}, 1, false},
		"HTTP/2 knows which nobody has looked at": {[]httptrace.GotConnInfo{inUse, fresh}, 2, false},
		"no connection was had":                   {nil, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			var again Resending
			ctx := again.Watch(t.Context())
			for _, info := range c.connected {
				httptrace.ContextClientTrace(ctx).GotConn(info)
			}
			require.Equal(t, c.happened, again.Happened(&http.Response{ProtoMajor: c.proto}))
		})
	}
}

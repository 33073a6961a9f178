package shadow

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKeptCookies wants cookies that are no secrets to be sent as users sent them, to all
// versions alike, and no others.
func TestKeptCookies(t *testing.T) {
	rules := RedactionRules{KeepCookies: []string{"lang", "ab"}}
	r, err := NewRedactor(rules)
	require.NoError(t, err)
	recording := &declaredTape{declared: rules.Declared()}
	for i, cookie := range []string{"sid=secret-1; lang=de; theme=dark; ab=B", "lang=fr", "sid=secret-1; lang=de"} {
		e := recordedGet(time.Duration(i)*time.Second, "", "/items")
		e.Request.Header.Set("Cookie", cookie)
		recording.exchanges = append(recording.exchanges, r.Redact(e))
	}
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), candidate: &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) {
			return 200, map[string]string{"Set-Cookie": "lang=xx"}, "{}", 0
		}}}
		outside := s.outside()
		outside.Open = func(string) (Recording, error) {
			again := *recording
			return &again, nil
		}
		replayWith(t, s.stream(), outside)
		var got []string
		for _, seen := range s.candidate.(*standIn).seen {
			got = append(got, seen.header.Get("Cookie"))
		}
		require.Equal(t, []string{"lang=de; ab=B", "lang=fr", "lang=de"}, got)
	})
}

func TestKeptCookiesAreNoSecrets(t *testing.T) {
	r, err := NewRedactor(RedactionRules{KeepCookies: []string{"lang"}})
	require.NoError(t, err)
	e := recordedGet(0, "", "/")
	e.Request.Header.Set("Cookie", "lang=de; LANG=x; sid=abc")
	e.Response.Header.Set("Set-Cookie", "lang=fr; Path=/")
	got := r.Redact(e)
	require.Equal(t, "lang=de; LANG="+r.Pseudonym("x")+"; sid="+r.Pseudonym("abc"), got.Request.Header.Get("Cookie"))
	require.Equal(t, "lang=fr; Path=/", got.Response.Header.Get("Set-Cookie"))
	for _, name := range []string{"", "sid", "PHPSESSID", "csrf_token", "auth"} {
		_, err := NewRedactor(RedactionRules{KeepCookies: []string{name}})
		require.ErrorContains(t, err, "can not be kept", name)
	}
}

package shadow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoiseHidesNothingBesideIt: what differs whenever one asks is a place of its own, so
// that what is wrong beside it is one that noise never shows.
func TestNoiseHidesNothingBesideIt(t *testing.T) {
	head := func(header string) func(string) Response {
		return func(noise string) Response {
			return answered(302, "", strings.Split(fmt.Sprintf(header, noise), "|")...)
		}
	}
	body := func(text string) func(string) Response {
		return func(noise string) Response { return jsonAnswer(fmt.Sprintf(text, noise)) }
	}
	two := func(first string, rest ...string) func(string) Response {
		return func(noise string) Response { return answered(200, "x", append(rest, fmt.Sprintf(first, noise))...) }
	}
	for name, c := range map[string]struct {
		right, wrong func(noise string) Response
		want         []string // what the candidate differs in that noise does not show
	}{
		"a redirection elsewhere":           {head("Location: /login?sid=%s"), head("Location: /admin?sid=%s"), []string{"changed header location"}},
		"a redirection to another host":     {head("Location: https://shop.example/login?sid=%s"), head("Location: https://evil.example/login?sid=%s"), []string{"changed header location"}},
		"a parameter is gone":               {head("Location: /login?sid=%s&next=/cart"), head("Location: /login?sid=%s"), []string{"missing header location?next"}},
		"another parameter":                 {body(`{"next":"/items?page=2&cursor=%s"}`), body(`{"next":"/items?page=3&cursor=%s"}`), []string{"changed body.next?page"}},
		"a link elsewhere":                  {body(`{"next":"/items?cursor=%s"}`), body(`{"next":"/orders?cursor=%s"}`), []string{"changed body.next"}},
		"scripts from elsewhere":            {head("Content-Security-Policy: script-src 'self' 'nonce-%s'; frame-ancestors 'none'"), head("Content-Security-Policy: script-src 'self' 'nonce-%s'"), []string{"changed header content-security-policy"}},
		"kept for others":                   {head("Cache-Control: private, max-age=%s"), head("Cache-Control: public, max-age=%s"), []string{"changed header cache-control"}},
		"a cookie is lost beside one":       {two("Set-Cookie: ab=1; Max-Age=%s", "Set-Cookie: session=1; HttpOnly"), two("Set-Cookie: ab=1; Max-Age=%s"), []string{"missing header set-cookie.session"}},
		"a cookie can be read":              {two("Set-Cookie: ab=1; Max-Age=%s", "Set-Cookie: session=1; HttpOnly"), two("Set-Cookie: ab=1; Max-Age=%s", "Set-Cookie: session=1"), []string{"changed header set-cookie.session"}},
		"a list is shorter, and random":     {body(`[{"id":"a%[1]s"},{"id":"k"},{"id":"b%[1]s"}]`), body(`[{"id":"a%s"},{"id":"k"}]`), []string{"length body[]"}},
		"less is behind the head of a page": {head("Content-Length: 1234|X-Now: %s"), head("Content-Length: 0|X-Now: %s"), []string{"changed header content-length"}},
	} {
		compare := newComparer(t, Rules{})
		baseline := c.right("11")
		noise := map[string]bool{}
		for _, d := range compare.Compare("GET /a", baseline, c.right("22")) {
			noise[fmt.Sprint(d.Kind, " ", d.Place)] = true
		}
		var found []string
		for _, d := range compare.Compare("GET /a", baseline, c.wrong("33")) {
			if at := fmt.Sprint(d.Kind, " ", d.Place); !noise[at] {
				found = append(found, at)
			}
		}
		require.Equal(t, c.want, found, name)
	}
}

// TestPlacesOfParametersAndCookies: what is shown of parameters is a number or a word;
// rules choose them by the place of the URL, or by theirs.
func TestPlacesOfParametersAndCookies(t *testing.T) {
	for place, c := range map[string][2]string{
		"body.next?page":                 {"3", "3"},
		"body.next?lang":                 {"en", "en"},
		"body.next?cursor":               {"eyJhIjoxfQ", redactedText},
		"header location?token":          {"abc", redactedText},
		"header set-cookie.session":      {"session; httponly", "session; httponly"},
		"header location":                {"https://a:b@shop.example/x?y=1", "https://shop.example/x"},
		"header content-security-policy": {"default-src 'self'", "default-src 'self'"},
	} {
		require.Equal(t, c[1], Shown(place, c[0]), place)
	}
	redactor, err := NewRedactor(RedactionRules{Query: []string{"who"}, Headers: []string{"X-Who"}})
	require.NoError(t, err)
	for place, want := range map[string]bool{
		"header location?who": true, "body.next?who": true, "header location?page": false, "header x-who?page": true, "header set-cookie.session": false, "header x-session-token": true,
	} {
		_, all := redactor.hides(place)
		require.Equal(t, want, all, place)
	}
	for _, rule := range []string{"header location", "header location?sid", "header *", "header location?s*"} {
		compare := newComparer(t, Rules{Ignore: []Where{{Place: rule}}})
		require.Empty(t, compare.Compare("GET /a", answered(302, "", "Location: /a?sid=1"), answered(302, "", "Location: /a?sid=2")), rule)
	}
}

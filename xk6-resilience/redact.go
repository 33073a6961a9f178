package xk6resilience

import (
	"net/url"
	"regexp"
	"strings"

	"resilience/internal/measure"
)

// redacted is a URL without user, query values and fragment.
func redacted(u *url.URL) string {
	var b strings.Builder
	b.WriteString(u.Scheme + "://" + u.Host + u.EscapedPath())
	if u.RawQuery != "" {
		b.WriteString("?…")
	}
	return b.String()
}

var urls = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'<>)]+`)

// said is a message that may be kept: URLs in it are redacted, credentials of
// the plan hidden, and it is one line of at most measure.MaxMessage bytes.
func (s *surroundings) said(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	message = urls.ReplaceAllStringFunc(message, func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			return "(URL)"
		}
		return redacted(u)
	})
	return bounded(s.hide.Replace(message))
}

// bounded cuts a message to what an example may hold, between characters.
func bounded(message string) string {
	if len(message) <= measure.MaxMessage {
		return message
	}
	const more = "..."
	return strings.ToValidUTF8(message[:measure.MaxMessage-len(more)], "") + more
}

// minSecret is how long a header's value is before it is worth hiding: shorter
// ones are words.
const minSecret = 6

// hider replaces the values of headers, and what follows a scheme in them such
// as Bearer.
func hider(headers map[string]string) *strings.Replacer {
	var pairs []string
	for _, value := range headers {
		_, token, _ := strings.Cut(value, " ")
		for _, secret := range []string{value, token} {
			if len(secret) >= minSecret {
				pairs = append(pairs, secret, "***")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

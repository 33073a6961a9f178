package shadow

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSendable wants nothing of a recording to be sent that stands in the place of a
// secret, nor what belongs to another connection.
func TestSendable(t *testing.T) {
	pseudonym := pseudonymMark + strings.Repeat("0a", 16)
	for name, c := range map[string]struct {
		header, value string
		sent, secret  bool
	}{
		"plain":                             {"X-Feature", "on", true, false},
		"a secret by its name":              {"X-Api-Key", "k", false, true},
		"credentials":                       {"Authorization", "Bearer k", false, true},
		"credentials for a proxy":           {"Proxy-Authorization", "Basic k", false, true},
		"cookies":                           {"Cookie", "theme=dark", false, true},
		"a pseudonym":                       {"X-Trace", pseudonym, false, true},
		"a pseudonym within":                {"Referer", "/a?sid=" + pseudonym + "&b", false, true},
		"the end of a pseudonym is missing": {"X-Trace", pseudonym[:len(pseudonym)-1], true, false},
		"none, though it begins as one":     {"X-Trace", pseudonymMark + strings.Repeat("xy", 16), true, false},
		"the version that is meant":         {"If-Match", `"v1"`, true, false},
		"the key of a write":                {"X-Write-Token", pseudonym, true, false},
		"of HTTP/2":                         {":authority", "shop", false, false},
		"the host":                          {"Host", "shop", false, false},
		"the connection":                    {"Connection", "close", false, false},
		"the connection is kept":            {"Keep-Alive", "timeout=5", false, false},
		"the connection to a proxy":         {"Proxy-Connection", "close", false, false},
		"an upgrade":                        {"Upgrade", "h2c", false, false},
		"settings of an upgrade":            {"HTTP2-Settings", "AA", false, false},
		"chunks":                            {"Transfer-Encoding", "chunked", false, false},
		"what comes behind chunks":          {"Trailer", "X-Sum", false, false},
		"whether that is taken":             {"TE", "trailers", false, false},
		"the length":                        {"Content-Length", "5", false, false},
		"the encoding":                      {"Content-Encoding", "gzip", false, false},
		"a wish to be asked for the body":   {"Expect", "100-continue", false, false},
		"marks of others":                   {"Baggage", "user=1", false, false},
		"the mark of a copy":                {ShadowHeader, "1", false, false},
	} {
		headers, secrets := sendable(http.Header{c.header: {c.value}}, "x-write-token")
		canonical := http.CanonicalHeaderKey(c.header)
		require.Equal(t, c.sent, headers[canonical] != nil, name)
		require.Equal(t, c.secret, secrets[canonical] != nil, name)
		require.Equal(t, "identity", headers.Get("Accept-Encoding"), name)
	}
}

// TestAnswersWithoutABody: what says how another answer is encoded says nothing of
// this one.
func TestAnswersWithoutABody(t *testing.T) {
	for method, status := range map[string]int{"HEAD": 200, "GET": 304} {
		resp := &http.Response{StatusCode: status, ContentLength: 100, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: http.NoBody}
		b, err := readReplayed(method, resp, replayKept)
		require.NoError(t, err)
		require.Equal(t, Body{}, b)
	}
}

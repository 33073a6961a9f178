package measure

import "fmt"

// Resent is the warning that a client sent so many requests again by itself. What
// changes nothing is sent again, by net/http as by browsers, where a connection that
// was just in use ends without an answer.
func Resent(requests uint64) string {
	return fmt.Sprintf("%d requests got no answer, because the target ended connections that were in use, and were sent again by the HTTP client, as browsers do: each counts by its later answer", requests)
}

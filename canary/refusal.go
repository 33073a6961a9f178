package canary

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Waits between two tries of a delivery.
const (
	firstWait   = time.Second
	longestWait = 5 * time.Minute
	lastingWait = 15 * time.Minute // where only a human can mend it
	longestAsk  = time.Hour        // that a receiver may ask for by Retry-After
)

// refusal is why a delivery did not succeed.
type refusal struct {
	says    string
	lasting bool          // somebody has to mend something first
	ofOne   bool          // it is about what was sent, and others may get through
	after   time.Duration // what the receiver asked to wait; 0 when it did not
}

func (r *refusal) Error() string { return r.says }

// refused makes a refusal of an answer.
func refused(resp *http.Response, says string) *refusal {
	r := &refusal{says: "answers " + strconv.Itoa(resp.StatusCode)}
	switch status := resp.StatusCode; {
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500:
		r.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	case status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity:
		r.lasting, r.ofOne = true, true
	case status >= 400:
		r.lasting = true
	case status >= 300:
		r.lasting = true
		r.says += ", a redirect, which is not followed"
	default:
		r.says += ", but not as this kind of receiver does"
	}
	if says != "" {
		r.says += ": " + says
	}
	return r
}

// retryAfter reads the header (RFC 9110, 10.2.3): seconds or a date; 0 when
// there is none that can be read.
func retryAfter(header string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(strings.TrimSpace(header), 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(header); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), longestAsk)
}

// wait is how long to wait before a delivery is tried again that failed so many
// times: 1 s, doubled each time up to 5 min, of which jitter takes a part at
// random so that what failed together does not come back together.
func (r *refusal) wait(failures int, jitter func(time.Duration) time.Duration) time.Duration {
	if r.lasting {
		return lastingWait
	}
	longest := longestWait
	if doublings := failures - 1; doublings < 10 {
		longest = min(longestWait, firstWait<<max(0, doublings))
	}
	return r.after + jitter(longest)
}

// readUpTo reads so many bytes at most and leaves the rest.
func readUpTo(from io.Reader, most int64) ([]byte, error) {
	return io.ReadAll(io.LimitReader(from, most))
}

// quoted is a text as it stands within a string of JSON.
func quoted(text string) string {
	body, _ := json.Marshal(text) // a string always can be
	return string(bytes.Trim(body, `"`))
}

// asJSON is the body of a letter.
func asJSON(body any, header http.Header) (http.Header, []byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, nil, fmt.Errorf("can not be written as JSON: %w", err)
	}
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	return header, text, nil
}

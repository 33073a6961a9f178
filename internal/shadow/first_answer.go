package shadow

import (
	"fmt"
	"io"
	"net/http"

	"resilience/internal/measure"
)

// errDropped is what became of a request whose first attempt was not answered.
var errDropped = fmt.Errorf("the connection was closed without an answer: %w", io.EOF)

// firstAnswer gives an error where the answer is not one to the first attempt, which
// is given up then: each request of shadow traffic is asked once.
func firstAnswer(again *measure.Resending, resp *http.Response) error {
	if !again.Happened(resp) {
		return nil
	}
	_ = resp.Body.Close()
	return errDropped
}

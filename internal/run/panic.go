package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
)

// recovered turns a panic into an error, so that what is in effect is lifted
// and the run is reported all the same. It is deferred.
func recovered(err *error, where string) {
	if problem := recover(); problem != nil {
		*err = errors.Join(*err, panicked(where, problem))
	}
}

// guarded is recovered for a goroutine: the panic stops what goes on beside it.
func guarded(stop context.CancelCauseFunc, where string) {
	if problem := recover(); problem != nil {
		stop(panicked(where, problem))
	}
}

// panicked is a defect of this program as an error.
func panicked(where string, problem any) error {
	return &panicError{fmt.Sprintf("%s: panic: %v\n%s", where, problem, debug.Stack())}
}

type panicError struct{ text string }

func (e *panicError) Error() string { return e.text }

// firstLine is what an error says before it goes into details.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

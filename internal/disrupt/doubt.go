package disrupt

import (
	"context"
	"time"
)

const (
	// lookLimit bounds how long is looked whether a fault is still in effect:
	// lifting waits for it.
	lookLimit = time.Second
	// unhurried is how much time to lift there must be for that. A run that was
	// interrupted has less, and proves nothing anyway.
	unhurried = 10 * time.Second
)

// doubt looks just before a fault is lifted whether it still is in effect. What
// it gives is why the time in which it was can not be trusted, "" where nothing
// speaks against it. A look says what it missed, "" if nothing; one that could
// not be had is tried again.
func doubt(ctx context.Context, look func(context.Context) (missing string, err error)) string {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < unhurried || ctx.Err() != nil {
		return ""
	}
	missing := ""
	err := retry(ctx, lookLimit, func(ctx context.Context) (err error) {
		missing, err = look(ctx)
		return err
	})
	switch {
	case err != nil:
		return "whether it was in effect until it was lifted is not known: " + err.Error()
	case missing != "":
		return "it was gone before it was lifted, and since when is not known: " + missing
	}
	return ""
}

package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Prometheus answers with the last value that it has, if that is not too old:
// 5 minutes, unless it was started otherwise. From version 2.43 on a question
// can say what is too old (lookback_delta); others do not look at that, and say
// nothing.
const defaultLookback = 5 * time.Minute

// lookback finds out once how old values may be.
type lookback struct {
	mu     sync.Mutex
	known  bool
	obeys  bool          // what the question says
	within time.Duration // otherwise
}

// fresh makes sure that no value that is older than stale is taken for one of
// now.
func (p *prometheus) fresh(ctx context.Context, stale int64) error {
	if stale == 0 {
		return nil
	}
	l := &p.lookback
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known {
		if err := p.probe(ctx, l); err != nil {
			return err
		}
		l.known = true
	}
	if l.obeys || int64(l.within) <= stale {
		return nil
	}
	return fmt.Errorf("may answer with values that are %s old: say stale: %s, start it with --query.lookback-delta=%s, or use Prometheus 2.43 or later", l.within, l.within, time.Duration(stale))
}

// probe asks with what can not be obeyed: who knows it complains.
func (p *prometheus) probe(ctx context.Context, l *lookback) error {
	form := url.Values{"query": {"1"}, "start": {"1"}, "end": {"1"}, "step": {"1"}, "lookback_delta": {"never"}}
	var answer promAnswer
	status, err := p.call(ctx, http.MethodPost, "/api/v1/query_range", form, &answer)
	switch {
	case err != nil:
		return err
	case status == http.StatusBadRequest && strings.Contains(answer.Error, "lookback"):
		l.obeys = true
		return nil
	case status != http.StatusOK:
		return fmt.Errorf("answers %d: %s", status, shorten(answer.Error))
	}
	l.within = defaultLookback
	var flags struct{ Data map[string]string }
	if status, err := p.call(ctx, http.MethodGet, "/api/v1/status/flags", nil, &flags); err != nil || status != http.StatusOK {
		return nil // it does not tell
	}
	if d, err := time.ParseDuration(flags.Data["query.lookback-delta"]); err == nil {
		l.within = d
	}
	return nil
}

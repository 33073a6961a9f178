package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/servers"
	"resilience/internal/plan"
)

const alertmanagerConfig = `
route:
  receiver: test
  group_by: [alertname, key]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: test
    webhook_configs: [{url: %q}]
`

// humanPage is what Alertmanager says to a human, through a webhook.
type humanPage struct {
	Status      string
	GroupLabels map[string]string
	Alerts      []struct {
		Status              string
		Labels, Annotations map[string]string
		StartsAt, EndsAt    time.Time
	}
}

// TestRealAlertmanager pages once for each incident, however often it is told,
// and says when it is over.
func TestRealAlertmanager(t *testing.T) {
	pages := make(chan humanPage, 100)
	human := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var p humanPage
		body, _ := io.ReadAll(r.Body)
		if json.Unmarshal(body, &p) == nil {
			pages <- p
		}
	}))
	defer human.Close()
	base := servers.Alertmanager(t, fmt.Sprintf(alertmanagerConfig, human.URL))
	next := func() humanPage {
		select {
		case p := <-pages:
			require.Len(t, p.Alerts, 1, "each incident is an alert of its own")
			return p
		case <-time.After(20 * time.Second):
			require.Fail(t, "nobody was paged")
			return humanPage{}
		}
	}

	state := newHeldState()
	m, err := NewMailer(state, map[string]plan.Receiver{"am": {Alertmanager: &plan.Alertmanager{URL: base}}}, "",
		func(Notice, int64) {}, func(text string) { t.Error(text) })
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.Run(ctx)
	}()
	state.put(t, of("a", Opened, "am"), of("b", Opened, "am"))
	m.Wake()
	opened := []humanPage{next(), next()}
	slices.SortFunc(opened, func(x, y humanPage) int {
		return slices.Compare([]string{x.GroupLabels["key"]}, []string{y.GroupLabels["key"]})
	})
	for i, rule := range []string{"a", "b"} {
		n := of(rule, Opened, "am")
		require.Equal(t, "firing", opened[i].Status)
		require.Equal(t, newAlert(n, time.Now()).Labels, opened[i].Alerts[0].Labels)
		require.Equal(t, newAlert(n, time.Now()).Annotations, opened[i].Alerts[0].Annotations)
		require.Equal(t, n.Incident.Start, opened[i].Alerts[0].StartsAt.UnixNano())
	}

	state.put(t, of("a", Reminder, "am"), of("b", Acknowledged, "am"), of("b", Closed, "am"))
	m.Wake()
	over := next()
	require.Equal(t, "resolved", over.Status, "told again, it does not page again")
	require.Equal(t, "shop/20260102T150405Z-b", over.GroupLabels["key"])
	require.Contains(t, over.Alerts[0].Annotations["summary"], "closed: b, after")
	cancel()
	<-ended
	require.Equal(t, uint64(5), m.Receivers()[0].Delivered)
	require.Equal(t, []string{"shop/20260102T150405Z-a"}, activeKeys(t, base))
}

// activeKeys asks Alertmanager which alerts fire, and until when they would.
func activeKeys(t *testing.T, base string) (keys []string) {
	t.Helper()
	resp, err := http.Get(base + "/api/v2/alerts?active=true")
	require.NoError(t, err)
	defer resp.Body.Close()
	var alerts []struct {
		Labels map[string]string
		EndsAt time.Time
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&alerts))
	for _, a := range alerts {
		require.WithinDuration(t, time.Now().Add(alertGood), a.EndsAt, time.Minute)
		keys = append(keys, a.Labels["key"])
	}
	return keys
}

// TestRealAlertmanagerRefuses what has no label by an error that says so.
func TestRealAlertmanagerRefuses(t *testing.T) {
	base := servers.Alertmanager(t, fmt.Sprintf(alertmanagerConfig, "http://127.0.0.1:1/"))
	p, err := newPost(plan.Receiver{Alertmanager: &plan.Alertmanager{URL: base}}, "")
	require.NoError(t, err)
	err = p.send(t.Context(), letter{url: base + "/api/v2/alerts", header: http.Header{"Content-Type": {"application/json"}}, body: []byte(`[{"labels":{}}]`)})
	require.EqualError(t, err, "answers 400: at least one label pair required")
}

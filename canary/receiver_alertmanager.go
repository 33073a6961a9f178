package canary

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"resilience/internal/plan"
)

// Alertmanager forgets an alert whose endsAt has come. Open ones are posted again
// so often, each good for so long, whatever its resolve_timeout is.
const (
	alertAgain = time.Minute
	alertGood  = 5 * time.Minute
)

// alertmanager posts alerts by the API v2 of Prometheus's Alertmanager
// (github.com/prometheus/alertmanager, api/v2/openapi.yaml).
type alertmanager struct {
	url    string
	header http.Header
}

func newAlertmanager(r plan.Receiver) receiver {
	if r.Alertmanager == nil {
		return nil
	}
	a := &alertmanager{url: strings.TrimRight(r.Alertmanager.URL, "/") + "/api/v2/alerts", header: http.Header{}}
	if r.Alertmanager.Token != "" {
		a.header.Set("Authorization", "Bearer "+r.Alertmanager.Token)
	}
	return a
}

func alertmanagerSecrets(r plan.Receiver) []string {
	return []string{r.Alertmanager.Token}
}

// alert is one of the API v2.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    string            `json:"startsAt"`
	EndsAt      string            `json:"endsAt"`
}

// newAlert makes the alert of an incident. By its labels Alertmanager tells
// alerts apart, so they hold only what stays as it is: they are the same in all
// notices of an incident, from any location, and differ between incidents.
func newAlert(n Notice, now time.Time) alert {
	i := n.Incident
	title, text := Words(n)
	a := alert{
		Labels: filled(map[string]string{
			"alertname": "ResilienceIncident", "severity": i.Severity, "plan": n.Plan,
			"rule": i.Rule, "owner": i.Owner, "key": n.Key,
		}),
		Annotations: filled(map[string]string{
			"summary": title, "description": text, "runbook_url": i.Runbook, "evidence": i.Evidence, "incident": i.ID,
		}),
		EndsAt: rfc3339(now.Add(alertGood)),
	}
	begun := i.Start
	if n.Kind == Closed || !i.Open() {
		a.EndsAt = rfc3339(now)
		begun = min(begun, now.UnixNano()-1) // it wants one that is before the end
	}
	a.StartsAt = rfc3339(time.Unix(0, begun))
	return a
}

// filled leaves out what is empty, and makes the rest valid.
func filled(texts map[string]string) map[string]string {
	for name, text := range texts {
		if texts[name] = strings.ToValidUTF8(text, "\uFFFD"); text == "" {
			delete(texts, name)
		}
	}
	return texts
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (a *alertmanager) request(n Notice, now time.Time) (letter, error) {
	return a.again([]Notice{n}, now)
}

func (a *alertmanager) again(open []Notice, now time.Time) (letter, error) {
	alerts := make([]alert, 0, len(open))
	for _, n := range open {
		alerts = append(alerts, newAlert(n, now))
	}
	header, body, err := asJSON(alerts, a.header.Clone())
	return letter{url: a.url, header: header, body: body}, err
}

func (a *alertmanager) took(status int, body []byte) (ok bool, says string) {
	if status == http.StatusOK {
		return true, ""
	}
	var text string // what it says of a mistake is a string
	_ = json.Unmarshal(body, &text)
	return false, text
}

package canary

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"resilience/internal/plan"
)

// Limits of PagerDuty's events, in characters.
const (
	pagerDutySummary = 1024
	pagerDutyKey     = 255
)

// pagerDuty sends events by the Events API v2
// (developer.pagerduty.com, "Send an Alert Event").
type pagerDuty struct{ url, key string }

func newPagerDuty(r plan.Receiver) receiver {
	if r.PagerDuty == nil {
		return nil
	}
	base := cmp.Or(r.PagerDuty.URL, "https://events.pagerduty.com")
	return pagerDuty{url: strings.TrimRight(base, "/") + "/v2/enqueue", key: r.PagerDuty.Key}
}

func pagerDutySecrets(r plan.Receiver) []string { return []string{r.PagerDuty.Key} }

// pagerDutyActions is what each kind of notices asks for. A reminder is a trigger
// with the key of what is open already: that wakes nobody a second time, which
// is for PagerDuty's own escalation, but opens it anew if somebody resolved it
// there while users are still not served. Once acknowledged there are none.
var pagerDutyActions = map[string]string{
	Opened: "trigger", Reminder: "trigger", Acknowledged: "acknowledge", Closed: "resolve",
}

type pagerDutyEvent struct {
	RoutingKey string            `json:"routing_key"`
	Action     string            `json:"event_action"`
	DedupKey   string            `json:"dedup_key"`
	Client     string            `json:"client,omitempty"`
	Payload    *pagerDutyPayload `json:"payload,omitempty"`
	Links      []pagerDutyLink   `json:"links,omitempty"`
}

type pagerDutyPayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp string            `json:"timestamp"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group,omitempty"`
	Class     string            `json:"class,omitempty"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

type pagerDutyLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

func (p pagerDuty) request(n Notice, _ time.Time) (letter, error) {
	event := pagerDutyEvent{RoutingKey: p.key, Action: pagerDutyActions[n.Kind], DedupKey: dedupKey(n.Key), Client: "resilience"}
	if event.Action == "trigger" {
		event.Payload, event.Links = pagerDutyWords(n)
	}
	header, body, err := asJSON(event, nil)
	return letter{url: p.url, header: header, body: body}, err
}

func pagerDutyWords(n Notice) (*pagerDutyPayload, []pagerDutyLink) {
	i := n.Incident
	title, text := Words(n)
	payload := &pagerDutyPayload{
		Summary: shorten(title, pagerDutySummary), Source: cmp.Or(n.Location, n.Plan), Severity: "critical",
		Timestamp: rfc3339(time.Unix(0, i.Start)), Component: i.Rule, Group: n.Plan, Class: i.Severity,
		Details: filled(map[string]string{"text": text, "evidence": i.Evidence, "owner": i.Owner, "incident": i.ID}),
	}
	if i.Severity != "page" {
		payload.Severity = "warning"
	}
	var links []pagerDutyLink
	if i.Runbook != "" {
		links = []pagerDutyLink{{Href: i.Runbook, Text: "Runbook"}}
	}
	return payload, links
}

// dedupKey fits a key into what PagerDuty takes.
func dedupKey(key string) string {
	if len(key) <= pagerDutyKey {
		return key
	}
	digest := sha256.Sum256([]byte(key))
	return hex.EncodeToString(digest[:])
}

func (pagerDuty) took(status int, body []byte) (ok bool, says string) {
	if status == http.StatusAccepted {
		return true, ""
	}
	var answer struct {
		Message string   `json:"message"`
		Errors  []string `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return false, ""
	}
	return false, strings.Join(append([]string{answer.Message}, answer.Errors...), "; ")
}

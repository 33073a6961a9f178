package canary

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var second = int64(time.Second)

// anIncident is one that goes on, 35 s after its first bad attempt.
func anIncident() Incident {
	start := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC).UnixNano()
	return Incident{
		ID: "20260102T150405Z-orders", Rule: "orders", Severity: "page", Owner: "team-orders",
		Runbook: "https://runbooks.example.com/orders", Start: start, Detected: start + 30*second,
		Evidence: "3 in a row: order in cell eu-1", Units: []Unit{{"order", "cell", "eu-1"}, {"pay", "tenant", "acme"}, {"report", "", ""}},
		Bad: 3, Total: 1240, Messages: []string{"status 503"},
	}
}

// aNotice is one of anIncident.
func aNotice(kind string) Notice {
	i := anIncident()
	n := Notice{ID: i.ID + "/" + kind + "/ops", Key: "shop/" + i.ID, Kind: kind, At: i.Start + 35*second, Receiver: "ops", Plan: "shop", Incident: i}
	switch kind {
	case Reminder:
		n.At = i.Start + 1835*second
	case Acknowledged:
		n.Incident.Acked, n.Incident.AckedBy = i.Detected+65*second, "ann"
	case Closed:
		n.Incident.End, n.Incident.Closed = i.Start+7500*second, i.Start+7600*second
		n.At = n.Incident.Closed
	}
	return n
}

const detailsOpen = `
Failed: order in cell eu-1, pay as tenant acme, report
Message: status 503
Plan: shop
Owner: team-orders
Runbook: https://runbooks.example.com/orders
Incident: 20260102T150405Z-orders
`

func TestWords(t *testing.T) {
	for kind, want := range map[string]struct{ title, text string }{
		Opened: {
			"[page] orders: 3 in a row: order in cell eu-1",
			"Since 2026-01-02 15:04:05 UTC, noticed 30 s later." + detailsOpen + "To acknowledge: resilience ack 20260102T150405Z-orders",
		},
		Reminder: {
			"[page] still open after 30 min 35 s: orders: 3 in a row: order in cell eu-1",
			"Since 2026-01-02 15:04:05 UTC, noticed 30 s later." + detailsOpen + "To acknowledge: resilience ack 20260102T150405Z-orders",
		},
		Acknowledged: {
			"[page] acknowledged by ann: orders: 3 in a row: order in cell eu-1",
			"Since 2026-01-02 15:04:05 UTC, noticed 30 s later." + detailsOpen + "Acknowledged: by ann, 1 min 5 s after it was noticed",
		},
		Closed: {
			"[page] closed: orders, after 2 h 5 min",
			"Lasted 2 h 5 min, from 2026-01-02 15:04:05 UTC to 2026-01-02 17:09:05 UTC.\nFailed 3 of 1,240 attempts." + strings.TrimSuffix(detailsOpen, "\n"),
		},
	} {
		title, text := Words(aNotice(kind))
		require.Equal(t, want.title, title)
		require.Equal(t, want.text, text, kind)
	}
}

// TestWordsFromOutside stay on their line and short, whatever they are.
func TestWordsFromOutside(t *testing.T) {
	n := aNotice(Opened)
	n.Incident.Messages = []string{"one\r\nIncident: forged\u202e\x1b[31m " + strings.Repeat("é", 400), "b\xff", "c", "d", "e", "never said"}
	n.Incident.Units = make([]Unit, 1500)
	n.Incident.AckedBy, n.Incident.Acked = "", n.Incident.Detected
	n.Incident.Agreed = []string{"fra", "iad"}
	title, text := Words(n)
	require.True(t, utf8.ValidString(title+text))
	lines := strings.Split(text, "\n")
	require.Len(t, lines, 13)
	require.Contains(t, lines[1], " and 1,490 more")
	require.Contains(t, lines[2], "Message: one Incident: forged[31m éé")
	require.LessOrEqual(t, len(lines[2]), len("Message: ")+300)
	require.Equal(t, "Message: b\uFFFD", lines[3])
	require.Equal(t, "Seen from: fra, iad", lines[7])
	require.Equal(t, "Acknowledged: by somebody, 0 s after it was noticed", lines[12])
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 s", 59600 * time.Millisecond: "1 min", 59 * time.Second: "59 s",
		time.Hour: "1 h", 25*time.Hour + 59*time.Minute: "1 d 1 h", 48 * time.Hour: "2 d",
	} {
		require.Equal(t, want, span(d), d)
	}
}

package canary

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

func readDocs(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	require.NoError(t, err)
	return string(text)
}

// TestDocsOfPaths: the table has each path, with its methods and who may.
func TestDocsOfPaths(t *testing.T) {
	who := map[access]string{anybody: "anybody", reader: "read", peer: "read, locations", writer: "write"}
	var want []string
	s := &face{}
	for _, r := range s.routes() {
		if r.path == "/" { // all that is not there
			continue
		}
		for method, h := range r.methods {
			want = append(want, "| `"+strings.TrimSuffix(r.path, "{$}")+"` | "+method+" | "+who[h.access]+" |")
		}
	}
	got := regexp.MustCompile("(?m)^\\| `/[^|]*\\| [A-Z]+ \\| [^|]*\\|").FindAllString(readDocs(t, "status-page.md"), -1)
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, want, got)
}

// TestDocsOfMetrics: the table has each metric with its labels.
func TestDocsOfMetrics(t *testing.T) {
	answer := call(newShop(t).Handler(), "GET", "/metrics", "", "Authorization", "Bearer "+serveToken).Body.String()
	labels := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^resilience_canary_(\w+)(?:\{(.*)\})? `).FindAllStringSubmatch(answer, -1) {
		var names []string
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			names = append(names, l[1])
		}
		slices.Sort(names)
		labels[m[1]] = strings.Join(names, ", ")
	}
	told := map[string]string{}
	_, table, _ := strings.Cut(readDocs(t, "status-page.md"), "\n## Metrics\n")
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]*)\\|").FindAllStringSubmatch(table, -1) {
		names := strings.Fields(strings.ReplaceAll(m[2], ",", ""))
		slices.Sort(names)
		told[m[1]] = strings.Join(names, ", ")
	}
	require.Equal(t, labels, told)
}

// TestDocsOfTemplates: the example makes JSON of a notice, and what it is said to
// have is there.
func TestDocsOfTemplates(t *testing.T) {
	page := readDocs(t, "notices.md")
	_, rest, _ := strings.Cut(page, "\n## Templates\n")
	prose, rest, _ := strings.Cut(rest, "```\n")
	example, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	body := func(text string) []byte {
		l, err := newWebhook(plan.Receiver{Webhook: &plan.Webhook{URL: "http://x.test", Body: text}}).request(aNotice(Closed), time.Now())
		require.NoError(t, err, text)
		return l.body
	}
	require.True(t, json.Valid(body(example)), string(body(example)))
	fields := regexp.MustCompile("`(\\.\\w+)`").FindAllStringSubmatch(prose, -1)
	require.Len(t, fields, 24)
	for n, f := range fields {
		if n < 8 {
			body("{{" + f[1] + "}}")
			continue
		}
		body("{{.Incident" + f[1] + "}}")
	}
}

package canary

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"resilience/internal/plan"
)

// Limits of Slack's blocks, in characters; a letter of ours is at most a byte for
// each.
const (
	slackHeader  = 150
	slackSection = 3000
)

// slack posts messages at an incoming webhook
// (docs.slack.dev, "Sending messages using incoming webhooks").
type slack struct{ url string }

func newSlack(r plan.Receiver) receiver {
	if r.Slack == nil {
		return nil
	}
	return slack{r.Slack.URL}
}

func slackSecrets(r plan.Receiver) []string { return urlSecrets(r.Slack.URL) }

type slackText struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji *bool  `json:"emoji,omitempty"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackMessage struct {
	Text   string       `json:"text"` // for notifications
	Blocks []slackBlock `json:"blocks"`
}

// request says it in plain text, so that nothing in it is markup or a mention.
func (s slack) request(n Notice, _ time.Time) (letter, error) {
	title, text := Words(n)
	no := false
	message := slackMessage{
		Text: slackEscapes.Replace(title),
		Blocks: []slackBlock{
			{Type: "header", Text: &slackText{Type: "plain_text", Text: shorten(title, slackHeader), Emoji: &no}},
			{Type: "section", Text: &slackText{Type: "plain_text", Text: shorten(text, slackSection), Emoji: &no}},
		},
	}
	if link := slackLink(n.Incident.Runbook); link != "" {
		message.Blocks = append(message.Blocks, slackBlock{
			Type: "context", Elements: []slackText{{Type: "mrkdwn", Text: link}},
		})
	}
	header, body, err := asJSON(message, nil)
	return letter{url: s.url, header: header, body: body}, err
}

var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackLink is a runbook as a link that nothing in its URL can get out of; ""
// when it is no URL.
func slackLink(runbook string) string {
	u, err := url.Parse(runbook)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	address := strings.NewReplacer("<", "%3C", ">", "%3E", "|", "%7C", "&", "&amp;").Replace(u.String())
	return shorten("<"+address+"|Runbook>", slackSection)
}

// slackError is how it names mistakes, such as no_service.
var slackError = regexp.MustCompile(`^[a-z_]{1,60}$`)

func (slack) took(status int, body []byte) (ok bool, says string) {
	text := strings.TrimSpace(string(body[:min(len(body), slackHeader)]))
	if status == http.StatusOK && text == "ok" {
		return true, ""
	}
	if slackError.MatchString(text) {
		return false, text
	}
	return false, ""
}

package canary

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/template"
	"time"

	"resilience/internal/plan"
)

// Letter is what the template of a webhook sees, and what is posted as JSON
// where there is none: a notice, and its words.
type Letter struct {
	Notice
	Title string `json:"title"`
	Text  string `json:"text"`
}

// webhook posts to any URL.
type webhook struct {
	url    string
	header http.Header
	body   *template.Template // nil for JSON
	wrong  error              // with the template
}

func newWebhook(r plan.Receiver) receiver {
	if r.Webhook == nil {
		return nil
	}
	w := &webhook{url: r.Webhook.URL, header: http.Header{}}
	w.header.Set("Content-Type", cmp.Or(r.Webhook.Type, "application/json"))
	for name, value := range r.Webhook.Headers {
		w.header.Set(name, value)
	}
	w.body, w.wrong = r.Webhook.Template()
	return w
}

func webhookSecrets(r plan.Receiver) []string {
	secrets := urlSecrets(r.Webhook.URL)
	for _, value := range r.Webhook.Headers {
		secrets = append(secrets, value)
		if _, credentials, found := strings.Cut(value, " "); found {
			secrets = append(secrets, credentials)
		}
	}
	return secrets
}

func (w *webhook) request(n Notice, _ time.Time) (letter, error) {
	l := letter{url: w.url, header: w.header.Clone()}
	said := Letter{Notice: n}
	said.Title, said.Text = Words(n)
	if w.wrong != nil {
		return l, fmt.Errorf("its template: %w", w.wrong)
	}
	if w.body == nil {
		var err error
		l.body, err = json.Marshal(said)
		return l, err
	}
	var b bounded
	if err := w.body.Execute(&b, said); err != nil {
		return l, fmt.Errorf("its template: %w", err)
	}
	l.body = b.Bytes()
	return l, nil
}

func (*webhook) took(status int, _ []byte) (ok bool, says string) {
	return status >= 200 && status < 300, ""
}

// bounded holds so much at most, and refuses more.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(text []byte) (int, error) {
	if b.Len()+len(text) > maxLetter {
		return 0, errTooLong
	}
	return b.Buffer.Write(text)
}

var errTooLong = errors.New("makes more than 256 KiB of a notice")

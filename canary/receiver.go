package canary

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"resilience/internal/plan"
)

// Limits of what is exchanged with a receiver.
const (
	deliveryTimeout = 10 * time.Second // from the connection to the end of the answer
	maxAnswer       = 64 << 10         // bytes that are read of an answer
	maxLetter       = 256 << 10        // bytes that a template may make of a notice
)

// receiver speaks the language of one kind of receivers.
type receiver interface {
	// request is what tells it of a notice, as an incident is now.
	request(n Notice, now time.Time) (letter, error)
	// took reports whether an answer says that it has got it, and else what it
	// says, if that may be shown; it may be anything.
	took(status int, body []byte) (ok bool, says string)
}

// repeater is a receiver that forgets what is open unless it hears of it again.
type repeater interface {
	again(open []Notice, now time.Time) (letter, error)
}

// letter is a POST.
type letter struct {
	url    string
	header http.Header
	body   []byte
}

// kinds is how each kind of receivers is made; one that the plan does not give
// is nil. Names are for errors.
var kinds = []struct {
	name string
	of   func(plan.Receiver) receiver
	tls  func(plan.Receiver) *plan.TLS
	keep func(plan.Receiver) []string // what must never be shown
}{
	{"alertmanager", newAlertmanager, func(r plan.Receiver) *plan.TLS { return r.Alertmanager.TLS }, alertmanagerSecrets},
	{"slack", newSlack, func(plan.Receiver) *plan.TLS { return nil }, slackSecrets},
	{"pagerduty", newPagerDuty, func(plan.Receiver) *plan.TLS { return nil }, pagerDutySecrets},
	{"webhook", newWebhook, func(r plan.Receiver) *plan.TLS { return r.Webhook.TLS }, webhookSecrets},
}

// post is a receiver with the way to it.
type post struct {
	receiver
	http *http.Client
	hide *strings.Replacer // takes out what must never be shown
}

// newPost makes the way to a receiver of the plan; certificates are looked for
// from dir. It sends nothing, follows no redirects, and goes through the proxy
// of the environment, as receivers are often outside.
func newPost(r plan.Receiver, dir string) (*post, error) {
	for _, kind := range kinds {
		to := kind.of(r)
		if to == nil {
			continue
		}
		config, err := kind.tls(r).Config(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
		if err := rehearse(to); err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
		return &post{receiver: to, hide: hider(kind.keep(r)), http: &http.Client{
			Timeout: deliveryTimeout,
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
				MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
				MaxResponseHeaderBytes: maxAnswer,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}, nil
	}
	return nil, errors.New("is of no kind: give alertmanager, slack, pagerduty or webhook")
}

// rehearse writes a letter of each kind and sends none, so that a template that does
// not fit a notice is found before somebody has to be told.
func rehearse(r receiver) error {
	now := time.Now()
	i := Incident{
		ID: now.UTC().Format("20060102T150405Z") + "-rehearsal", Rule: "rehearsal", Severity: "page", Owner: "nobody", Runbook: "https://runbooks.example/",
		Start: now.UnixNano(), Detected: now.UnixNano(), Evidence: "3 in a row: rehearsal", Units: []Unit{{Transaction: "rehearsal"}},
		Bad: 3, Total: 3, Messages: []string{"status 503"}, Agreed: []string{"here"},
	}
	for _, kind := range []string{Opened, Reminder, Acknowledged, Closed} {
		if _, err := r.request(Notice{ID: i.ID + "/" + kind, Key: i.ID, Kind: kind, At: now.UnixNano(), Incident: i}, now); err != nil {
			return err
		}
	}
	return nil
}

// send delivers a letter. Its errors are a *refusal and show no secret.
func (p *post) send(ctx context.Context, l letter) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, strings.NewReader(string(l.body)))
	if err != nil {
		return &refusal{says: "its URL can not be called", lasting: true}
	}
	req.Header = l.header
	resp, err := p.http.Do(req)
	if err != nil {
		return &refusal{says: p.hide.Replace("can not be reached: " + unreached(err))}
	}
	defer resp.Body.Close()
	body, err := readUpTo(resp.Body, maxAnswer)
	if err != nil {
		return &refusal{says: p.hide.Replace("broke off its answer: " + unreached(err))}
	}
	if ok, says := p.took(resp.StatusCode, body); !ok {
		return refused(resp, p.hide.Replace(plain(says)))
	}
	return nil
}

// unreached says why there was no answer, without the URL.
func unreached(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		if wrapped.Timeout() {
			return fmt.Sprintf("no answer within %s", deliveryTimeout)
		}
		err = wrapped.Err
	}
	return plain(err.Error())
}

// hider takes texts out of others, the longest first: each as it is, and as it is
// written in URLs and JSON. What is very short tells nothing, and is a part of
// many words.
func hider(secrets []string) *strings.Replacer {
	const short = 4
	var hidden, pairs []string
	for _, secret := range secrets {
		if len(secret) >= short {
			hidden = append(hidden, secret, url.QueryEscape(secret), url.PathEscape(secret), quoted(secret))
		}
	}
	slices.SortFunc(hidden, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, text := range hidden {
		pairs = append(pairs, text, "(hidden)")
	}
	return strings.NewReplacer(pairs...)
}

// urlSecrets gives what of a URL nobody may see: all but its scheme and host.
func urlSecrets(address string) []string {
	secrets := []string{address}
	u, err := url.Parse(address)
	if err != nil {
		return secrets
	}
	secrets = append(secrets, u.RequestURI(), u.EscapedPath(), u.RawQuery, u.User.String())
	if password, ok := u.User.Password(); ok {
		secrets = append(secrets, password)
	}
	secrets = append(secrets, strings.Split(u.Path, "/")...)
	for _, values := range u.Query() {
		secrets = append(secrets, values...)
	}
	return secrets
}

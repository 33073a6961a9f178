package shadow

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// shape is what secrets of one kind are like, whatever their name.
type shape struct {
	marks   []string // each has one
	pattern *regexp.Regexp
}

// shapes are those of secrets that their makers begin with a mark of their own, so that
// they can be found where they do not belong. One that is cut off is as good as whole,
// where that can be told.
var shapes = []shape{
	{[]string{"eyJ"}, regexp.MustCompile(`eyJ[\w-]{8,}\.eyJ[\w-]+(\.[\w-]*)?`)}, // JSON Web Tokens (RFC 7519): a header, claims and a signature
	{[]string{"AIza"}, regexp.MustCompile(`\bAIza[\w-]{35}`)},                   // Google
	{[]string{"AKIA"}, regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`)},              // Amazon
	{[]string{"ghp_", "gho_", "ghs_", "ghu_", "ghr_"}, regexp.MustCompile(`\bgh[opsur]_[0-9A-Za-z]{30,}`)},
	{[]string{"github_pat_"}, regexp.MustCompile(`\bgithub_pat_\w{22,}`)},
	{[]string{"xox"}, regexp.MustCompile(`\bxox[abeoprs]-[0-9A-Za-z-]{10,}`)},                                                                                                      // Slack
	{[]string{"k_live_", "k_test_"}, regexp.MustCompile(`\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}`)},                                                                                 // Stripe
	{[]string{"PRIVATE KEY-----"}, regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[^"<]*?-----END [A-Z ]*PRIVATE KEY-----|-----BEGIN [A-Z ]*PRIVATE KEY-----[\w+/=\s\\]*`)}, // RFC 7468
}

// shaped replaces secrets that tell by what they are like that they are some, wherever
// they are.
func (w *redaction) shaped(x *Exchange) {
	for _, text := range []*string{&x.Request.Target, &x.Response.Failure, &x.Route} {
		*text = w.shapedText(*text)
	}
	for _, h := range []map[string][]string{x.Request.Header, x.Response.Header} {
		for _, values := range h { // a copy already
			for i, v := range values {
				values[i] = w.shapedText(v)
			}
		}
	}
	for _, b := range []*Body{&x.Request.Body, &x.Response.Body} {
		for _, s := range shapes {
			if slices.ContainsFunc(s.marks, func(mark string) bool { return bytes.Contains(b.Data, []byte(mark)) }) {
				*b = changed(*b, []byte(w.shapedText(string(b.Data))))
				break
			}
		}
	}
}

func (w *redaction) shapedText(text string) string {
	for _, s := range shapes {
		if slices.ContainsFunc(s.marks, func(mark string) bool { return strings.Contains(text, mark) }) {
			text = s.pattern.ReplaceAllStringFunc(text, w.hide)
		}
	}
	return text
}

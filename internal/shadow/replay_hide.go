package shadow

import (
	"mime"
	"slices"
	"strings"
)

// hideShort is how much of a secret is looked for: examples are cut, and half a
// token is worth hiding, too.
const hideShort = 16

// declared are the rules of what is shown nowhere: those of the plan, and those that
// the recording was made with.
func (p *replaying) declared() RedactionRules {
	rules := RedactionRules{Paths: slices.Clone(p.test.Redact)}
	if r, ok := p.source.(interface{ Declared() Declared }); ok {
		d := r.Declared()
		if d.Unknown {
			d.Paths = []string{"*", "[*]"} // all there is
		}
		rules.Paths, rules.Headers, rules.Query = append(rules.Paths, d.Paths...), d.Headers, d.Query
	}
	return rules
}

// hider gives what takes out of an example what is secret in its exchange: what stands
// where the plan or the recording declares it, or under the name of a secret, what was
// sent as credentials, also those of the target or the tenant, and what an answer gave
// as such. Secrets are looked for when there is an example, and once.
func (c *comparing) hider(j *job) func(place, value string) string {
	var secrets *redaction
	return func(place, value string) string {
		nodes, all := c.redactor.hides(place)
		if all || c.unplaced(j, place, value) {
			return redactedText
		}
		if secrets == nil {
			secrets = c.secretsOf(j)
		}
		return secrets.conceal(secrets.begun(value, nodes))
	}
}

// unplaced reports whether a value is a part of JSON of which nobody knows where in it
// it stands, so that it may be one that was declared: of bodies that were cut, or that
// can not be parsed, the first bytes or lines that differ are told.
func (c *comparing) unplaced(j *job, place, value string) bool {
	inText := strings.HasPrefix(place, "body") && strings.Contains(place, textMark)
	if !c.redactor.strict || !inText && (place != "body" || mayBeJSON([]byte(value))) {
		return false
	}
	return slices.ContainsFunc(j.answers, func(a answer) bool {
		media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
		return inText && a.unplaces(place) || !inText && isJSON(media, a.Body.Data)
	})
}

// secretsOf finds the secrets of an exchange in what was sent and answered.
func (c *comparing) secretsOf(j *job) *redaction {
	w := &redaction{r: c.redactor}
	for _, l := range c.p.lanes {
		w.rememberHeaders(l.target.Headers)
	}
	for i := range j.answers {
		a := &j.answers[i]
		w.header(a.sent.Header)
		w.header(a.Header)
		w.url(a.sent.Target)
	}
	for i := range j.answers {
		a := &j.answers[i]
		w.body(a.sent.Body, a.sent.Header.Get("Content-Type"))
		w.body(a.Body, a.Header.Get("Content-Type"))
	}
	return w
}

// rememberHeaders takes long values of a target's headers for secrets: some are secrets
// of the plan, under whatever name. Whoever takes those out of all that is measured
// finds none that was cut; a short one is not found here either unless it is whole.
func (w *redaction) rememberHeaders(headers map[string]string) {
	for _, value := range headers {
		if secret := credentialText(value); len(secret) > hideShort {
			w.remember(secret)
		}
	}
}

// conceal replaces secrets in a text, also those that the text has the beginning of.
func (w *redaction) conceal(text string) string {
	for _, secret := range w.secrets {
		pseudonym := w.r.Pseudonym(secret)
		for _, form := range echoForms(secret) {
			text = replaceBegun(text, form, pseudonym)
		}
	}
	return text
}

// replaceBegun replaces a secret in a text wherever at least its first bytes stand.
func replaceBegun(text, secret, by string) string {
	var out strings.Builder
	begin := secret[:min(len(secret), hideShort)]
	for {
		at := strings.Index(text, begin)
		if at < 0 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:at] + by)
		n := len(begin)
		for n < len(secret) && at+n < len(text) && text[at+n] == secret[n] {
			n++
		}
		text = text[at+n:]
	}
}

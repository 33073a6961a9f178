package shadow

import (
	"slices"
	"strings"
	"sync"
	"unicode"
)

// secretWords are words that make a name, of a header, a parameter, a field or a
// cookie, that of a secret: X-Auth-Key, user_pwd.
var secretWords = []string{"auth", "authorization", "jwt", "session", "sid", "sig", "pwd", "pw", "pass", "passwd", "password", "passcode", "otp", "totp", "pin", "pins", "cvv", "cvv2", "cvc", "cvc2", "ssn", "iban", "oidc", "bearer", "assertion"}

// secretParts do so wherever they are in a name, however it is written: apiKey,
// PHPSESSID, x-amz-security-token.
var secretParts = []string{
	"apikey", "accesskey", "secret", "privatekey", "subscriptionkey", "functionskey", "token", "passw", "passphrase", "credential", "authoriz",
	"sessionid", "sessid", "sessionkey", "signature", "csrf", "xsrf", "clientcert", "authkey", "xauth", "cardnumber", "ccnumber", "creditcard", "debitcard", "securitycode", "verificationcode", "onetimecode",
	"samlresponse", "samlrequest", "codeverifier", "devicecode", "authcode", "recoverykey", "recoverycode", "backupcode",
}

// secretNames are those of secrets when there is nothing else in them: a card, but not
// a card_type.
var secretNames = []string{"ticket", "card", "pan"}

// plainNames look like those of secrets and are not.
var plainNames = []string{
	"pagetoken", "nextpagetoken", "nexttoken", "continuationtoken", "synctoken", "tokentype", "tokens", "maxtokens", "totaltokens", "prompttokens", "completiontokens",
	"wwwauthenticate", "proxyauthenticate", "accesscontrolallowcredentials", "sessionid64", "author", "authority",
}

// plainWithin are names that tell no secret within an object that has the name of one:
// {"token": {"type": "bearer", "value": "..."}}; nor do plainEnds, as last words.
var (
	plainWithin = []string{"name", "kind", "state", "scheme", "scope", "scopes", "alg", "algorithm", "brand", "currency", "country", "method", "provider", "format", "label", "title", "description", "expires", "expiry"}
	plainEnds   = []string{"type", "status", "at", "date", "time", "until", "url"}
)

// isPlainWithin reports whether what has this name is no secret though the object that
// it is in has the name of one.
func isPlainWithin(name string) bool {
	words := wordsOf(name)
	return slices.Contains(plainWithin, joinedName(name)) || len(words) > 0 && slices.Contains(plainEnds, words[len(words)-1])
}

// isSecretName reports whether what has this name is a secret.
func isSecretName(name string) bool {
	joined := joinedName(name)
	if slices.Contains(plainNames, joined) {
		return false
	}
	if slices.Contains(secretNames, joined) {
		return true
	}
	if slices.ContainsFunc(secretParts, func(part string) bool { return strings.Contains(joined, part) }) {
		return true
	}
	return slices.ContainsFunc(wordsOf(name), func(word string) bool { return slices.Contains(secretWords, word) })
}

// joinedName is a name in lower case without what joins its words.
func joinedName(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// wordsOf splits "X-Auth-Key", "auth_key" and "authKey" into words.
func wordsOf(name string) []string {
	var words []string
	start, lower := 0, false
	add := func(end int) {
		if end > start {
			words = append(words, strings.ToLower(name[start:end]))
		}
	}
	for i, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			add(i)
			start, lower = i+len(string(r)), false
		case unicode.IsUpper(r) && lower:
			add(i)
			start, lower = i, false
		default:
			lower = unicode.IsLower(r)
		}
	}
	add(len(name))
	return words
}

// isSessionName reports whether a cookie of this name tells of a session.
func isSessionName(name string) bool {
	joined := joinedName(name)
	return strings.Contains(joined, "sess") || strings.HasSuffix(joined, "sid") || strings.Contains(joined, "auth") ||
		strings.Contains(joined, "token") && !strings.Contains(joined, "csrf") && !strings.Contains(joined, "xsrf")
}

// nameCache remembers which names are secret: there are few names and many
// exchanges.
type nameCache struct {
	mutex sync.RWMutex
	known map[string]nameSecrecy
}

// nameSecrecy says what is secret under a name.
type nameSecrecy struct {
	text           bool
	within         bool // not even in an object that has the name of a secret
	number, listed numberSecrecy
	role           pairRole // beside the name of a secret
}

func secrecyOf(name string) nameSecrecy {
	return nameSecrecy{isSecretName(name), isPlainWithin(name), secretNumbers(name, false), secretNumbers(name, true), pairRoles[joinedName(name)]}
}

// mostNames are remembered.
const mostNames = 4096

func (c *nameCache) isSecret(name string) bool { return c.of(name).text }

// isSecretText is isSecret of a name within a text, which is not copied where it is
// known.
func (c *nameCache) isSecretText(name []byte) bool {
	c.mutex.RLock()
	secret, known := c.known[string(name)]
	c.mutex.RUnlock()
	if known {
		return secret.text
	}
	return c.isSecret(string(name))
}

func (c *nameCache) of(name string) nameSecrecy {
	if len(name) > maxRoute {
		return secrecyOf(name[:maxRoute])
	}
	c.mutex.RLock()
	secret, known := c.known[name]
	c.mutex.RUnlock()
	if known {
		return secret
	}
	secret = secrecyOf(name)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.known == nil || len(c.known) >= mostNames {
		c.known = map[string]nameSecrecy{}
	}
	c.known[strings.Clone(name)] = secret
	return secret
}

// secretQuery reports whether a query parameter or a field of a form is a secret.
func (r *Redactor) secretQuery(name string) bool {
	return r.query[strings.ToLower(name)] || r.names.isSecret(name)
}

// secretHeader reports whether all values of a header are secrets.
func (r *Redactor) secretHeader(name string) bool {
	return r.headers[strings.ToLower(name)] || r.names.isSecret(name) // Authorization, too
}

package shadow

import (
	"bytes"
	"net/http"
	"strings"
)

// origins tell which session a session comes from. The name of a session is the
// pseudonym of the cookie or token by which a user asks, so that it changes where an
// answer gives another one: at a login, or where a service changes its cookies. What
// was learnt before has to go on in the new one.
type origins struct {
	known map[string]origin // by the credential that an answer gave
	order []string          // of the credentials, the oldest first
}

// origin is the session that a credential was given in, and the one that this began as.
type origin struct{ parent, root string }

// Bounds of what is remembered of credentials.
const (
	originsMost = 100_000
	originsEach = 8 // of one answer
)

// learn remembers which credentials the recorded answer gave.
func (o *origins) learn(e Exchange) {
	if e.Session == "" {
		return
	}
	for _, given := range givenCredentials(e.Response) {
		root := o.root(e.Session)
		if _, known := o.known[given]; known || root == given {
			continue
		}
		if o.known == nil {
			o.known = map[string]origin{}
		}
		if len(o.order) >= originsMost {
			delete(o.known, o.order[0])
			o.order = o.order[1:]
		}
		o.known[given] = origin{e.Session, root}
		o.order = append(o.order, given)
	}
}

// root is the session that a session began as.
func (o *origins) root(session string) string {
	if from, known := o.known[session]; known {
		return from.root
	}
	return session
}

// givenCredentials are the pseudonyms in a recorded answer that a user may ask by
// later: cookies that tell of a session, and headers and fields with the names of
// secrets.
func givenCredentials(r Response) (given []string) {
	for name, values := range r.Header {
		cookies := name == "Set-Cookie"
		if !cookies && !replaySecret(name) {
			continue
		}
		for _, value := range values {
			if cookies {
				pair, _, _ := strings.Cut(value, ";")
				cookie, secret, _ := strings.Cut(pair, "=")
				if !isSessionName(cookie) {
					continue
				}
				value = secret
			}
			if value = credentialText(value); hasPseudonym(value) && len(given) < originsEach {
				given = append(given, value)
			}
		}
	}
	for rest := r.Body.Data; len(given) < originsEach; {
		i := bytes.Index(rest, []byte(pseudonymMark))
		if i < 0 {
			break
		}
		before := rest[:i]
		rest = rest[i:]
		if name := memberBefore(before); name != "" && hasPseudonym(string(rest[:min(len(rest), pseudonymLength)])) && replayNames.isSecret(name) {
			given = append(given, string(rest[:pseudonymLength]))
		}
		rest = rest[len(pseudonymMark):]
	}
	return given
}

// pseudonymLength is that of a whole pseudonym, in bytes.
const pseudonymLength = len(pseudonymMark) + 32

// memberBefore is the name of the member of JSON whose value begins at the end of a
// text, perhaps with a scheme such as Bearer; "" where none does.
func memberBefore(text []byte) string {
	quote := bytes.LastIndexByte(text, '"')
	if quote < 0 || bytes.ContainsAny(bytes.TrimSuffix(text[quote+1:], []byte(" ")), " ,:{}[]") {
		return ""
	}
	name, is := bytes.CutSuffix(bytes.TrimRight(text[:quote], " \t\r\n"), []byte(":"))
	if !is {
		return ""
	}
	name, is = bytes.CutSuffix(bytes.TrimRight(name, " \t\r\n"), []byte(`"`))
	if !is {
		return ""
	}
	return string(name[bytes.LastIndexByte(name, '"')+1:])
}

// comesFrom has a session begin with what its parent, nil for none, has learnt by the
// time that it is asked for. Parents are older: they are locked in that order.
func (s *session) comesFrom(parent *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if parent != nil && parent.number < s.number && len(s.lanes) == 0 {
		s.parent = parent
	}
}

// inherit takes what the parent has learnt. The lock is held.
func (s *session) inherit() {
	parent := s.parent
	if parent == nil {
		return
	}
	s.parent = nil
	parent.mu.Lock()
	defer parent.mu.Unlock()
	parent.inherit()
	s.written = parent.written
	for i := range parent.lanes {
		own, theirs := s.lane(i), &parent.lanes[i]
		for _, key := range theirs.order {
			own.set(key, theirs.values[key], valuesMost)
		}
		for _, key := range theirs.validators.order {
			own.validators.set(key, theirs.validators.values[key], validatorsMost)
		}
		own.rule(theirs.ruled)
		for name, value := range theirs.cookies {
			own.bake(&http.Cookie{Name: name, Value: value})
		}
	}
}

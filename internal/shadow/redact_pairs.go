package shadow

import "strings"

// Secrets in pairs: an object that says how a value is called,
// {"name": "password", "value": "x"}, and lists of lists such as [["token", "x"]].

// pair is what is known of an object of JSON that may say how a value in it is called.
type pair struct {
	begin  int    // of its first member
	named  string // the name, if it is that of a secret
	firm   bool   // it is one of values of any kind
	looked bool   // for a name after the value
}

// pairRole is what a field is in such an object.
type pairRole byte

const (
	pairNone  pairRole = iota
	pairKind           // names what is called value: {"type": "password", "value": "x"}
	pairName           // names what any of the next two has
	pairOther          // may be the value, or a text that tells of something
	pairValue          // is the value
)

// pairRoles are those of the fields with these names, without what joins their words.
var pairRoles = map[string]pairRole{
	"type": pairKind, "id": pairKind,
	"name": pairName, "key": pairName, "field": pairName, "property": pairName, "header": pairName, "param": pairName, "parameter": pairName, "attribute": pairName, "variable": pairName, "k": pairName,
	"content": pairOther, "data": pairOther, "text": pairOther, "default": pairOther, "defaultvalue": pairOther,
	"value": pairValue, "values": pairValue, "val": pairValue, "v": pairValue, "stringvalue": pairValue,
}

// mayNameSecret reports whether a text is the name of a secret that stands beside its
// value: "csrf_token", "API key", but no sentence about one.
func (r *Redactor) mayNameSecret(text string) bool {
	text = lastName(text)
	if len(text) > maxName || strings.Count(text, " ") > 2 || text == "" {
		return false
	}
	known := r.names.of(text)
	return known.text && !known.within || len(r.query) > 0 && r.query[strings.ToLower(text)]
}

// lastName is what counts of a name with dots: auth.enabled is no secret; but api.key
// is one.
func lastName(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch strings.ToLower(last) {
	case "key", "id", "value":
		return name
	}
	return last
}

// member looks at a member of an object, whose value comes next, and gives the name of
// the secret that it is, "" for none.
func (j *jsonRedaction) member(p *pair, role pairRole) string {
	switch {
	case role == pairNone || j.next() == 0:
		return ""
	case role <= pairName:
		if j.in[j.at] == '"' && (p.named == "" || !p.firm && role == pairName) {
			if secret := j.secretAt(j.at); secret != "" {
				p.named, p.firm = secret, role == pairName
			}
		}
		return ""
	case !p.firm && !p.looked:
		p.looked = true
		j.nameIn(p)
	}
	if p.named == "" || role == pairOther && !p.firm || j.in[j.at] == '"' && j.plainAt(j.at) {
		return ""
	}
	return p.named
}

// plainAt tells strings that are no secrets, though they have the name of one: "required",
// "Your password".
func (j *jsonRedaction) plainAt(at int) bool {
	look := jsonRedaction{in: j.in, at: at}
	text, err := look.text()
	return err == nil && (isNoSecret([]byte(text)) || isSecretLabel([]byte(text)))
}

// secretAt gives the string at a place, if it is the name of a secret.
func (j *jsonRedaction) secretAt(at int) string {
	look := jsonRedaction{in: j.in, at: at}
	if text, err := look.text(); err == nil && j.w.r.mayNameSecret(text) {
		return text
	}
	return ""
}

// pairDepth is how deep values are looked through for a name that is after them, so that
// each byte is looked at a few times only, however deep all is.
const pairDepth = 4

// nameIn finds the name of a secret in the members of an object, from the first on.
func (j *jsonRedaction) nameIn(p *pair) {
	for look := (jsonRedaction{in: j.in, at: p.begin}); look.next() == '"' && !p.firm; look.at++ {
		name, err := look.text()
		if err != nil || look.next() != ':' {
			return
		}
		look.at++
		if role := j.w.r.names.of(name).role; (role == pairName || role == pairKind) && look.next() == '"' {
			if secret := j.secretAt(look.at); secret != "" {
				p.named, p.firm = secret, role == pairName
			}
		}
		if !look.skip(pairDepth) || look.next() != ',' {
			return
		}
	}
}

// skip passes a value, if it is not nested deeper than told.
func (j *jsonRedaction) skip(deep int) bool {
	for depth := 0; ; {
		switch c := j.next(); c {
		case 0:
			return false
		case '"':
			if _, err := j.text(); err != nil {
				return false
			}
		case '{', '[':
			if depth++; depth > deep {
				return false
			}
			j.at++
			continue
		case '}', ']':
			depth--
			j.at++
		case ',', ':':
			if depth == 0 {
				return false
			}
			j.at++
			continue
		default:
			for j.at < len(j.in) && strings.IndexByte(",:]}[{\" \t\r\n", j.in[j.at]) < 0 {
				j.at++
			}
		}
		if depth <= 0 {
			return depth == 0
		}
	}
}

// rowName gives the first string of a list that is in a list and has two values, if
// it is the name of a secret and the other one is not: ["token", "x"], but not
// ["password", "email address"]. The list begins at the next byte.
func (j *jsonRedaction) rowName() string {
	look := jsonRedaction{in: j.in, at: j.at + 1}
	if look.next() != '"' {
		return ""
	}
	secret := j.secretAt(look.at)
	if secret == "" || !look.skip(0) || look.next() != ',' {
		return ""
	}
	look.at++
	if look.next() == '"' && (j.secretAt(look.at) != "" || j.plainAt(look.at)) {
		return ""
	}
	if !look.skip(pairDepth) || look.next() != ']' {
		return ""
	}
	return secret
}

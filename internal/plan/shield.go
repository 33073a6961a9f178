package plan

import "strings"

// Inside of brackets YAML takes the brace of ${port} for one of its own, so
// that {command: ./shop -port ${port}} is no YAML. Plans may be written like
// that all the same: the signs inside of placeholders are replaced, one
// character for one, before YAML is parsed, and put back afterwards. What
// stands in for them are noncharacters, which no text may hold.
var (
	shield   = strings.NewReplacer("{", "\ufdd0", "}", "\ufdd1", ":", "\ufdd2", ",", "\ufdd3", "[", "\ufdd4", "]", "\ufdd5")
	unshield = strings.NewReplacer("\ufdd0", "{", "\ufdd1", "}", "\ufdd2", ":", "\ufdd3", ",", "\ufdd4", "[", "\ufdd5", "]")
)

// maxPlaceholder is the longest placeholder that is shielded, in bytes.
const maxPlaceholder = 1024

// shieldAll shields every placeholder that ends in the line in which it begins
// and holds no quotes.
func shieldAll(text string) string {
	var out strings.Builder
	for {
		before, _, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		text = text[len(before):]
		line := text[:min(len(text), maxPlaceholder)]
		if stop := strings.IndexAny(line, "\n\"'"); stop >= 0 {
			line = line[:stop]
		}
		if end := closing(line); end >= 0 {
			out.WriteString(shield.Replace(text[:end+1]))
			text = text[end+1:]
			continue
		}
		out.WriteString("${")
		text = text[2:]
	}
}

// nonCharacter reports whether a character is one of those that Unicode sets
// aside for uses such as this one.
func nonCharacter(r rune) bool { return r >= 0xfdd0 && r <= 0xfdef }

package shadow

import "strings"

// Every text that differs in two answers is looked at here: without expressions, which
// would take most of the time.

// idWords are what fields of names are called, alone or behind _ or -; idEnds as the end
// of a word in capitals and small letters.
var (
	idWords = setOf("id", "uuid", "guid", "token", "etag", "key", "ref", "reference", "cursor", "handle", "nonce", "csrf")
	idEnds  = [...]string{"Id", "ID", "Uuid", "UUID", "Token", "Key", "Ref", "Cursor"}
)

// isIDField reports whether a field is one of names of something, such as order_id or
// orderId.
func isIDField(field string) bool {
	if idWords[strings.ToLower(field[strings.LastIndexAny(field, "_-")+1:])] {
		return true
	}
	for _, end := range idEnds {
		if base, is := strings.CutSuffix(field, end); is && base != "" && 'a' <= base[len(base)-1] && base[len(base)-1] <= 'z' {
			return true
		}
	}
	return false
}

// isDay reports whether a text begins with a day: 2026-01-02.
func isDay(text string) bool {
	const day = "dddd-dd-dd"
	if len(text) < len(day) || len(text) > len(day) && text[len(day)] != 'T' && text[len(day)] != ' ' {
		return false
	}
	for i, c := range []byte(day) {
		if c == 'd' && !isDigit(text[i]) || c == '-' && text[i] != '-' {
			return false
		}
	}
	return true
}

// nameBytes are what names are made of: letters, digits and these.
const nameBytes = `_.~+/=:"-`

// isNameText reports whether a text has nothing in it that names have not.
func isNameText(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isDigit(c) && !isASCIILetter(c) && strings.IndexByte(nameBytes, c) < 0 {
			return false
		}
	}
	return text != ""
}

func isASCIILetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isMixed reports whether a text has letters and digits.
func isMixed(text string) bool {
	letters, digits := false, false
	for i := range len(text) {
		letters, digits = letters || isASCIILetter(text[i]), digits || isDigit(text[i])
	}
	return letters && digits
}

// namesSomething reports whether a text in a field looks like the name of
// something that was made.
func namesSomething(field, value string) bool {
	switch {
	case value == "" || len(value) > 4096 || isDay(value) || !isNameText(value):
		return false
	case isIDField(field):
		return true
	}
	// Elsewhere it must look like one: long, with letters and digits.
	return len(value) >= carryShort && isMixed(value) && !strings.ContainsAny(value, "/:")
}

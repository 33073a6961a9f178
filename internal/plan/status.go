package plan

import (
	"slices"
	"strconv"
)

// Accepts reports whether a target accepts a status: whether one of its
// entries is that number ("404") or its class ("2xx").
func Accepts(target Target, status int) bool {
	text := strconv.Itoa(status)
	for _, entry := range target.Accept {
		if entry == text || entry == text[:1]+"xx" {
			return true
		}
	}
	return false
}

// AcceptsSomething reports whether the plan itself says what the target
// accepts; where it does not, a script may.
func (t Target) AcceptsSomething() bool { return !slices.Equal(t.Accept, defaultAccept) }

// validStatus reports whether an entry of accept: is a class or a number from
// 100 to 599.
func validStatus(entry string) bool {
	if len(entry) != 3 || entry[0] < '1' || entry[0] > '5' {
		return false
	}
	if entry[1:] == "xx" {
		return true
	}
	_, err := strconv.ParseUint(entry, 10, 16)
	return err == nil
}

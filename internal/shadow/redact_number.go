package shadow

import (
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
)

// numberSecrecy says which numbers under a name are secrets.
type numberSecrecy byte

const (
	plainNumber  numberSecrecy = iota
	longNumber                 // those that are too long to be guessed or counted
	secretNumber               // all of them
)

// longDigits is how many digits a number has that can be a token, and is no count or
// number of a version.
const longDigits = 6

// numberNouns are what a secret number is called by the last word of its name: pin,
// userPin, otp_code. What follows them tells of something else: pin_attempts.
var numberNouns = map[string]numberSecrecy{
	"pin": secretNumber, "otp": secretNumber, "totp": secretNumber, "cvv": secretNumber, "cvv2": secretNumber, "cvc": secretNumber, "cvc2": secretNumber,
	"ssn": secretNumber, "passcode": secretNumber, "password": secretNumber, "passwd": secretNumber, "pwd": secretNumber, "passphrase": secretNumber,
	"cardnumber": secretNumber, "ccnumber": secretNumber, "creditcard": secretNumber, "debitcard": secretNumber,
	"securitycode": secretNumber, "verificationcode": secretNumber, "authcode": secretNumber, "onetimecode": secretNumber, "recoverycode": secretNumber, "backupcode": secretNumber,
	"pan": longNumber, "secret": longNumber, "token": longNumber, "csrf": longNumber, "xsrf": longNumber, "apikey": longNumber, "accesskey": longNumber,
	"secretkey": longNumber, "privatekey": longNumber, "authkey": longNumber, "sessionkey": longNumber, "sessionid": longNumber, "sessid": longNumber,
}

// numberWords follow such a noun and are the same thing; numberCounts before it make
// it something that is counted.
var (
	numberWords  = []string{"code", "number", "num", "no", "nr", "value"}
	numberCounts = []string{"max", "min", "num", "total", "count", "avg", "n", "used", "remaining", "of"}
)

// secretNumbers tells which numbers with a name are secrets, in a list of them or not:
// a name in the plural is that of a list, and else of a count.
func secretNumbers(name string, listed bool) numberSecrecy {
	if slices.Contains(plainNames, joinedName(name)) {
		return plainNumber
	}
	words := wordsOf(name)
	if listed && len(words) > 0 {
		last := len(words) - 1
		words[last] = strings.TrimSuffix(words[last], "s")
	}
	if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(numberCounts, w) && w != words[len(words)-1] }) {
		return plainNumber
	}
	for len(words) > 0 {
		for n := 1; n <= 3 && n <= len(words); n++ {
			if s := numberNouns[strings.Join(words[len(words)-n:], "")]; s != plainNumber {
				return s
			}
		}
		last := words[len(words)-1]
		if !slices.Contains(numberWords, last) {
			break
		}
		words = words[:len(words)-1]
		if len(words) > 0 && words[len(words)-1] == "card" { // card_no
			return secretNumber
		}
	}
	return plainNumber
}

// takes reports whether a JSON number is one of those. Zero stands for none.
func (s numberSecrecy) takes(number string) bool {
	mantissa := number[:mantissaEnd(number)]
	if strings.Trim(mantissa, "-0.") == "" {
		return false
	}
	return s == secretNumber || s == longNumber && countDigits(mantissa) >= longDigits
}

func mantissaEnd(number string) int { return before(number, "eE") }

func countDigits(text string) (n int) {
	for i := range len(text) {
		if isDigit(text[i]) {
			n++
		}
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isNumber reports whether a text is digits only, with a point among them or none.
func isNumber(text string) bool {
	points := strings.Count(text, ".")
	return len(text) > points && points <= 1 && countDigits(text)+points == len(text)
}

// PseudonymOfNumber is what stands in the place of a secret number, as JSON writes it:
// another one of as many digits, at the same places, always the same for the same
// secret and key. Of ten and more digits the first is 1, so that whatever type holds
// the secret holds this as well. Two secrets may have the same one: of few digits
// there are few numbers.
func (r *Redactor) PseudonymOfNumber(number string) string {
	for try := range 64 {
		if other := r.otherDigits(number, try); other != number {
			return other
		}
	}
	return number // 0 has none
}

func (r *Redactor) otherDigits(number string, try int) string {
	out := []byte(number)
	end := mantissaEnd(number)
	whole := before(number[:end], ".")
	wide := countDigits(number[:whole]) >= 10
	var mac []byte
	for i, n := 0, 0; i < end; i++ {
		if !isDigit(out[i]) {
			continue
		}
		if n%sha256.Size == 0 {
			mac = r.mac("number " + strconv.Itoa(try) + " " + strconv.Itoa(n) + " " + number)
		}
		leads := n == 0 && number[i] != '0'
		switch b := mac[n%sha256.Size]; {
		case leads && wide:
			out[i] = '1'
		case leads:
			out[i] = '1' + b%9
		case n > 0:
			out[i] = '0' + b%10
		}
		n++
	}
	return string(out)
}

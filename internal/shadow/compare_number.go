package shadow

import (
	"bytes"
	"strconv"
)

// sameNumber tells whether two JSON numbers have the same value. Whole numbers are
// compared digit by digit, however many there are; others as the float64 that
// nearly all programs make of them.
func sameNumber(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, xWhole := splitNumber(a)
	y, yWhole := splitNumber(b)
	if bytes.Equal(x.digits, y.digits) && (x.power == y.power || len(x.digits) == 0) && (x.negative == y.negative || len(x.digits) == 0) {
		return true
	}
	if xWhole && yWhole {
		return false
	}
	f, err := strconv.ParseFloat(string(a), 64)
	g, err2 := strconv.ParseFloat(string(b), 64)
	return err == nil && err2 == nil && f == g
}

// decimal is digits, without zeros at either end, times 10 to a power.
type decimal struct {
	negative bool
	digits   []byte
	power    int64
}

// splitNumber gives the exact value of a JSON number, and whether it is whole.
func splitNumber(raw []byte) (d decimal, whole bool) {
	d.negative = raw[0] == '-'
	if d.negative {
		raw = raw[1:]
	}
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		power, err := strconv.ParseInt(string(raw[i+1:]), 10, 32)
		if err != nil {
			power = 1 << 40 // far beyond any float
			if raw[i+1] == '-' {
				power = -power
			}
		}
		d.power, raw = power, raw[:i]
	}
	d.digits = raw
	if before, after, found := bytes.Cut(raw, []byte(".")); found {
		d.power -= int64(len(after))
		d.digits = append(append(make([]byte, 0, len(raw)), before...), after...)
	}
	d.digits = bytes.TrimLeft(d.digits, "0")
	trimmed := bytes.TrimRight(d.digits, "0")
	d.power += int64(len(d.digits) - len(trimmed))
	d.digits = trimmed
	return d, d.power >= 0 || len(d.digits) == 0
}

// number gives the value of a JSON number, or of a string or header that is one.
func number(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

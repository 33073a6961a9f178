package gates

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Units of SLIs, as a [Check] names them.
const (
	UnitShare = "share"
	UnitTime  = "ms"
	UnitRate  = "per second"
	UnitRatio = "ratio"
	UnitCount = "count"
)

// unit is one way to write a quantity.
type unit struct {
	name   string
	kind   string // the unit of the SLI it belongs to
	shift  int    // base = number * 10^shift * factor
	factor float64
}

// units is every unit of the language. The first of a kind is its base or
// the one that reads best.
var units = []unit{
	{"%", UnitShare, -2, 1},
	{"pp", "points", -2, 1},
	{"ms", UnitTime, 0, 1},
	{"us", UnitTime, -3, 1},
	{"s", UnitTime, 3, 1},
	{"m", UnitTime, 0, 60_000},
	{"h", UnitTime, 0, 3_600_000},
	{"/s", UnitRate, 0, 1},
	{"/m", UnitRate, 0, 1.0 / 60},
	{"/h", UnitRate, 0, 1.0 / 3600},
}

func findUnit(name string) (unit, bool) {
	for _, u := range units {
		if u.name == name {
			return u, true
		}
	}
	return unit{kind: UnitCount, factor: 1}, name == ""
}

func unitNames() []string {
	var names []string
	for _, u := range units {
		names = append(names, u.name)
	}
	return names
}

// maxNumber and minNumber bound what is not zero, so that no arithmetic
// overflows and every number can be written out.
const (
	maxNumber = 1e15
	minNumber = 1e-12
)

// base turns what was written into the base unit. The decimal point is moved
// in the text, so that 99.5% is exactly the nearest number to 0.995.
func (u unit) base(digits string) (float64, error) {
	n, err := strconv.ParseFloat(fmt.Sprintf("%se%d", digits, u.shift), 64)
	n *= u.factor
	tiny := n != 0 && math.Abs(n) < minNumber
	if err != nil || tiny || math.Abs(n) > maxNumber || len(digits) > 60 {
		return 0, fmt.Errorf("the number %s is out of range", shorten(digits))
	}
	return n + 0, nil
}

// text writes a number of the base unit in this unit.
func (u unit) text(base float64) string {
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(base/u.factor, 'e', -1, 64), "e")
	e, _ := strconv.Atoi(exp)
	return plainDecimal(mantissa, e-u.shift) + u.name
}

// plainDecimal writes mantissa * 10^exp without an exponent.
func plainDecimal(mantissa string, exp int) string {
	sign := ""
	if rest, ok := strings.CutPrefix(mantissa, "-"); ok {
		sign, mantissa = "-", rest
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	digits, point := whole+frac, len(whole)+exp
	if point <= 0 {
		digits, point = strings.Repeat("0", 1-point)+digits, 1
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	tail := strings.TrimRight(digits[point:], "0")
	head := strings.TrimLeft(digits[:point], "0")
	if head == "" {
		head = "0"
	}
	if tail != "" {
		head += "." + tail
	}
	if head == "0" {
		sign = ""
	}
	return sign + head
}

// settle gives the unit in which the number can be written exactly: the one
// it came in or, for odd fractions of minutes and hours, the kind's base.
func (u unit) settle(base float64) unit {
	digits := strings.TrimSuffix(u.text(base), u.name)
	if again, err := u.base(digits); err == nil && again == base {
		return u
	}
	for _, other := range units {
		if other.kind == u.kind && other.factor == 1 && other.shift == 0 {
			return other
		}
	}
	return u
}

func shorten(s string) string {
	if len(s) > 24 {
		return s[:21] + "..."
	}
	return s
}

package gates

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// countText writes a count with thousands apart: 2,400.
func countText(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// samplesText counts samples.
func samplesText(n uint64) string {
	if n == 1 {
		return "1 sample"
	}
	return countText(n) + " samples"
}

// percentText writes a share so that what is not 0 or 100 % never looks it.
func percentText(share float64) string {
	for decimals := 2; decimals < 9; decimals++ {
		s := trimZeros(strconv.FormatFloat(share*100, 'f', decimals, 64))
		if (s == "100") == (share == 1) && (strings.Trim(s, "-0.") == "") == (share == 0) || decimals == 8 {
			return s + " %"
		}
	}
	return ""
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// plainText writes a number with at least four digits that matter.
func plainText(x float64) string {
	if math.IsInf(x, 1) {
		return "unbounded"
	}
	if math.Abs(x) >= 1000 {
		return trimZeros(strconv.FormatFloat(x, 'f', 1, 64))
	}
	return plainDecimalText(strconv.FormatFloat(x, 'e', 3, 64))
}

func plainDecimalText(scientific string) string {
	mantissa, exp, _ := strings.Cut(scientific, "e")
	e, _ := strconv.Atoi(exp)
	return plainDecimal(mantissa, e)
}

// unitText writes a number of a unit for a reader.
func unitText(x float64, unit string) string {
	switch {
	case math.IsInf(x, 1):
		return "unbounded"
	case math.IsInf(x, -1):
		return "unbounded below"
	case unit == UnitShare:
		return percentText(x)
	case unit == UnitTime && math.Abs(x) >= 1000:
		return plainText(x/1000) + " s"
	case unit == UnitTime:
		return plainText(x) + " ms"
	case unit == UnitRate:
		return plainText(x) + "/s"
	}
	return plainText(x)
}

// rangeText writes an interval; sides that are open are left out.
func rangeText(low, high float64, unit string) string {
	switch {
	case math.IsInf(low, -1) && math.IsInf(high, 1):
		return "unbounded"
	case math.IsInf(low, -1):
		return "up to " + unitText(high, unit)
	case math.IsInf(high, 1):
		return unitText(low, unit) + " and more"
	}
	return unitText(low, unit) + " to " + unitText(high, unit)
}

// confidenceText writes 0.95 as "95 %".
func confidenceText(c float64) string {
	return trimZeros(fmt.Sprintf("%.4g", c*100)) + " %"
}

// finite gives a pointer for JSON, nil for what JSON can not say.
func finite(x float64) *float64 {
	if bad(x) {
		return nil
	}
	return &x
}

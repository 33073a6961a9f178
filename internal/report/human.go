package report

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// grouped writes a count for people: 1,240.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// plural writes a count with its noun: "1 gate", "1,240 gates".
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// percent writes a share: 100 %, 99.98 %, 0.031 %. It never rounds a share
// that is not whole to 0 % or 100 %.
func percent(share float64) string {
	p := share * 100
	for decimals := 2; decimals < 6; decimals++ {
		if text := decimal(p, decimals); (text == "0") == (p == 0) && (text == "100") == (p == 100) {
			return text + " %"
		}
	}
	if p < 50 {
		return "< 0.00001 %"
	}
	return "> 99.99999 %"
}

// millis writes a latency given in milliseconds: 0.4 ms, 212 ms, 1.2 s, 2m05s.
func millis(ms float64) string {
	switch {
	case math.IsNaN(ms) || math.IsInf(ms, 0) || ms < 0:
		return "-"
	case ms == 0:
		return "0 ms"
	case ms < 9.95:
		return decimal(ms, 1) + " ms"
	case ms < 999.5:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case ms < 59_950:
		return decimal(ms/1000, 1) + " s"
	}
	return span(time.Duration(min(ms, 1e12) * float64(time.Millisecond)))
}

// span writes how long something took: 850 ms, 15 s, 1m05s, 2h03m.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return decimal(d.Seconds(), 1) + " s"
	case d.Round(time.Second) < time.Minute:
		return strconv.FormatInt(int64(d.Round(time.Second).Seconds()), 10) + " s"
	}
	s := int64(d.Round(time.Second).Seconds())
	if s < 3600 {
		return strconv.FormatInt(s/60, 10) + "m" + twoDigits(s%60) + "s"
	}
	return strconv.FormatInt(s/3600, 10) + "h" + twoDigits(s/60%60) + "m"
}

// clock writes a position on a time line: 01:05, 2:03:15.
func clock(d time.Duration) string {
	s := max(0, int64(d/time.Second))
	if s < 3600 {
		return twoDigits(s/60) + ":" + twoDigits(s%60)
	}
	return strconv.FormatInt(s/3600, 10) + ":" + twoDigits(s/60%60) + ":" + twoDigits(s%60)
}

// perSecond writes a rate: 0.4/s, 50/s, 1,240/s.
func perSecond(rate float64) string {
	switch {
	case math.IsNaN(rate) || math.IsInf(rate, 0) || rate < 0:
		return "-"
	case rate < 9.95:
		return decimal(rate, 1) + "/s"
	}
	return grouped(uint64(math.Round(min(rate, 1e15)))) + "/s"
}

func twoDigits(n int64) string {
	if n < 10 {
		return "0" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

// decimal writes a number with at most so many decimals, none of them a zero at
// the end.
func decimal(x float64, decimals int) string {
	shift := math.Pow10(decimals)
	return strconv.FormatFloat(math.Round(x*shift)/shift, 'f', -1, 64)
}

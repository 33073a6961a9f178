package plan

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxDelay is the longest latency that a disruption may add.
const MaxDelay = Duration(24 * time.Hour)

// Limits of what a plan may ask for.
const (
	maxDuration = Duration(30 * 24 * time.Hour)
	maxRate     = Rate(1e6) // per second
)

// String gives the duration with its units and without zeros: 1h30m.
func (d Duration) String() string {
	text := time.Duration(d).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// MarshalText spells the duration as in a plan.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 300ms, 15s, 1h30m or 28d: from 0s to 30 days.
func (d *Duration) UnmarshalText(text []byte) error {
	if bare(string(text)) {
		return fmt.Errorf("wants a duration with its unit, such as %ss or %sms; got %q", text, text, text)
	}
	v, err := parseDuration(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("wants a duration such as 300ms, 15s or 1h30m; got %q", text)
	case v < 0:
		return fmt.Errorf("can not be negative; got %s", text)
	case v > time.Duration(maxDuration):
		return fmt.Errorf("can not be longer than 30 days (720h); got %s", text)
	}
	*d = Duration(v)
	return nil
}

// parseDuration reads what Go reads, after a number of days of 24 hours.
func parseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	n, err := decimal(days)
	if err != nil || rest != "" && (rest[0] < '0' || rest[0] > '9') {
		return 0, errors.New("not a duration")
	}
	more := time.Duration(0)
	if rest != "" {
		more, err = time.ParseDuration(rest)
	}
	const most = 1000.0 // days; far more than may be asked for, and no overflow
	return time.Duration(max(-most, min(n, most))*float64(24*time.Hour)) + min(more, time.Duration(maxDuration)), err
}

func (Duration) pattern() string { return `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h|d))+$` }

// MarshalText spells the day as in a plan.
func (d Date) MarshalText() ([]byte, error) { return []byte(time.Time(d).Format(time.DateOnly)), nil }

// UnmarshalText reads 2026-12-31.
func (d *Date) UnmarshalText(text []byte) error {
	day, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return fmt.Errorf("wants a day such as 2026-12-31; got %q", text)
	}
	*d = Date(day)
	return nil
}

func (Date) pattern() string { return `^[0-9]{4}-[0-9]{2}-[0-9]{2}$` }

// rateUnits are the seconds in each unit of a rate, in the order in which they
// are tried when a rate is written.
var rateUnits = []struct {
	name    string
	seconds float64
}{{"s", 1}, {"m", 60}, {"h", 3600}}

// String gives the rate in the first unit in which it has at most three
// decimals: 50/s, 1/m.
func (r Rate) String() string {
	for _, u := range rateUnits {
		text := strconv.FormatFloat(math.Round(float64(r)*u.seconds*1000)/1000, 'f', -1, 64) + "/" + u.name
		var back Rate
		if back.UnmarshalText([]byte(text)) == nil && back == r {
			return text
		}
	}
	return strconv.FormatFloat(float64(r), 'f', -1, 64) + "/s"
}

// MarshalText spells the rate as in a plan.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads 50/s, 600/m or 3600/h: from 0 to a million per second.
func (r *Rate) UnmarshalText(text []byte) error {
	if bare(string(text)) {
		return fmt.Errorf("wants a number with its unit, such as %s/s or %s/m; got %q", text, text, text)
	}
	wrong := fmt.Errorf("wants a number per second such as 50/s (or 600/m, 3600/h); got %q", text)
	number, unit, _ := strings.Cut(string(text), "/")
	v, err := decimal(number)
	if err != nil {
		return wrong
	}
	for _, u := range rateUnits {
		if u.name != unit {
			continue
		}
		switch v /= u.seconds; {
		case v < 0:
			return fmt.Errorf("can not be negative; got %s", text)
		case v > float64(maxRate):
			return fmt.Errorf("can not be more than 1000000/s; got %s", text)
		}
		*r = Rate(v)
		return nil
	}
	return wrong
}

func (Rate) pattern() string { return `^[0-9]+(\.[0-9]+)?/(s|m|h)$` }

// String gives the share in percent: 99.5%.
func (p Percent) String() string {
	for digits := range 17 {
		text := strconv.FormatFloat(float64(p)*100, 'f', digits, 64) + "%"
		var back Percent
		if back.UnmarshalText([]byte(text)) == nil && back == p {
			return text
		}
	}
	return strconv.FormatFloat(float64(p)*100, 'f', -1, 64) + "%"
}

// MarshalText spells the share as in a plan.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads 99.5%: from 0% to 100%.
func (p *Percent) UnmarshalText(text []byte) error {
	if v, err := decimal(string(text)); err == nil {
		if v > 0 && v <= 1 {
			v *= 100
		}
		return fmt.Errorf("wants a percentage with its sign, such as %g%%; got %q", v, text)
	}
	number, found := strings.CutSuffix(string(text), "%")
	v, err := decimal(number)
	switch {
	case err != nil || !found:
		return fmt.Errorf("wants a percentage such as 99.5%%; got %q", text)
	case v < 0 || v > 100:
		return fmt.Errorf("wants a percentage from 0%% to 100%%; got %s", text)
	}
	*p = Percent(v / 100)
	return nil
}

func (Percent) pattern() string { return `^[0-9]+(\.[0-9]+)?%$` }

// bare reports whether a text is a number without a unit.
func bare(text string) bool {
	_, err := decimal(text)
	return err == nil
}

// decimal reads a number such as 50 or -0.5: digits and a point, nothing else
// that strconv would take (0x1p4, inf, 1_000).
func decimal(text string) (float64, error) {
	if text == "" || strings.Trim(text, "0123456789.-") != "" || strings.LastIndex(text, "-") > 0 {
		return 0, errors.New("not a decimal number")
	}
	return strconv.ParseFloat(text, 64)
}

// sizeUnits are the bytes in each unit of a size, the largest first.
var sizeUnits = []struct {
	name  string
	bytes uint64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// maxSize is the largest size that a plan may ask for.
const maxSize = 1 << 50

// String gives the size in the largest unit in which it is a whole number.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if uint64(s)%u.bytes == 0 && (uint64(s) >= u.bytes || u.bytes == 1) {
			return strconv.FormatUint(uint64(s)/u.bytes, 10) + u.name
		}
	}
	return ""
}

// MarshalText spells the size as in a plan.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads 512B, 64KiB or 1.5MB: up to 1 PiB.
func (s *Size) UnmarshalText(text []byte) error {
	if bare(string(text)) {
		return fmt.Errorf("wants a size with its unit, such as %sB or %sKiB; got %q", text, text, text)
	}
	for _, u := range sizeUnits {
		number, found := strings.CutSuffix(string(text), u.name)
		if !found {
			continue
		}
		v, err := decimal(number)
		switch v *= float64(u.bytes); {
		case err != nil:
			continue
		case v < 0:
			return fmt.Errorf("can not be negative; got %s", text)
		case v > maxSize:
			return fmt.Errorf("can not be more than 1 PiB; got %s", text)
		}
		*s = Size(v)
		return nil
	}
	return fmt.Errorf("wants a size such as 512B, 64KiB or 10MB; got %q", text)
}

func (Size) pattern() string { return `^[0-9]+(\.[0-9]+)?(B|KB|MB|GB|KiB|MiB|GiB)$` }

// String spells the amount as in a plan.
func (a Amount) String() string {
	switch {
	case a.Number > 0:
		return strconv.Itoa(a.Number)
	case a.Share == 1:
		return "all"
	}
	return a.Share.String()
}

// MarshalText spells the amount as in a plan.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads 2, 50% or all.
func (a *Amount) UnmarshalText(text []byte) error {
	if string(text) == "all" {
		*a = Amount{Share: 1}
		return nil
	}
	if n, err := strconv.Atoi(string(text)); err == nil && n > 0 {
		*a = Amount{Number: n}
		return nil
	}
	var share Percent
	if strings.HasSuffix(string(text), "%") && share.UnmarshalText(text) == nil && share > 0 {
		*a = Amount{Share: share}
		return nil
	}
	return fmt.Errorf("wants a number such as 2, a percentage such as 50%%, or all; got %q", text)
}

func (Amount) pattern() string { return `^([1-9][0-9]*|[0-9]+(\.[0-9]+)?%|all)$` }

// Of is how many of n instances the amount allows: percentages are rounded
// down, but one is always allowed.
func (a Amount) Of(n int) int {
	if a.Number > 0 {
		return min(a.Number, n)
	}
	return min(n, max(1, int(float64(a.Share)*float64(n)+1e-9)))
}

package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"resilience/gates"
)

// Objective is a promise to users about the share of good events over a window
// that moves with time (a service level objective). Without good and total its
// burn rate is that of a run's own attempts.
type Objective struct {
	Share   Percent  `yaml:"share" jsonschema:"required"`  // of events that are good, over 0% and under 100%
	Over    Duration `yaml:"over"`                         // the window, 1d to 30d; default 28d
	Of      string   `yaml:"of,omitempty"`                 // a transaction, step or route of a run that it is about; default all attempts
	Good    string   `yaml:"good,omitempty" bind:"query"`  // a query for how many events were good in a window, ${query.window}
	Total   string   `yaml:"total,omitempty" bind:"query"` // a query for how many there were, alike
	From    string   `yaml:"from,omitempty"`               // the source that answers the queries; default the only one
	Revenue *Revenue `yaml:"revenue,omitempty"`            // what is earned while all is well, such as 1200 EUR/m
}

// Queried reports whether its events are counted by queries, not by a run.
func (o Objective) Queried() bool { return o.Good != "" || o.Total != "" }

// Windows are those over which its events are to be counted, the shortest first.
func (o Objective) Windows() []time.Duration { return gates.BurnWindows(time.Duration(o.Over)) }

// Ask gives the queries for good and for all events in the window of such a
// length that ends at a moment, in nanoseconds.
func (o Objective) Ask(window time.Duration, at int64) ([]string, error) {
	values := map[string]string{"query.window": Span(window), "query.from": nanoseconds(at - int64(window)), "query.to": nanoseconds(at)}
	texts := []string{o.Good, o.Total}
	for i, text := range texts {
		expanded, err := Expand(text, func(name string) (string, bool) {
			value, known := values[name]
			return value, known
		})
		if err != nil {
			return nil, err
		}
		texts[i] = expanded
	}
	return texts, nil
}

// Span writes a duration of whole seconds as PromQL and InfluxQL read it, in the
// greatest unit in which it is whole: 28d, 6h, 5m.
func Span(d time.Duration) string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if d >= u.unit && d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// Revenue is money in a time; written 1200 EUR/m, 50000/h.
type Revenue struct {
	PerMinute float64
	Currency  string // three capital letters; "" when the plan does not say
}

// String gives the revenue per minute.
func (r Revenue) String() string {
	amount := strconv.FormatFloat(r.PerMinute, 'f', -1, 64)
	if r.Currency != "" {
		amount += " " + r.Currency
	}
	return amount + "/m"
}

// MarshalText spells the revenue as in a plan.
func (r Revenue) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// maxRevenue is the most that a plan may say, per minute.
const maxRevenue = 1e12

// UnmarshalText reads 1200 EUR/m, 50000/h or 20 USD/s.
func (r *Revenue) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("wants money per second, minute or hour, such as 1200 EUR/m; got %q", text)
	money, unit, _ := strings.Cut(string(text), "/")
	amount, currency, named := strings.Cut(money, " ")
	v, err := decimal(amount)
	if err != nil || named && (len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return wrong
	}
	for _, u := range rateUnits {
		if u.name != unit {
			continue
		}
		switch v *= 60 / u.seconds; {
		case v < 0:
			return fmt.Errorf("can not be negative; got %s", text)
		case v > maxRevenue:
			return fmt.Errorf("can not be more than %g a minute; got %s", float64(maxRevenue), text)
		}
		*r = Revenue{v, currency}
		return nil
	}
	return wrong
}

func (Revenue) pattern() string { return `^[0-9]+(\.[0-9]+)?( [A-Z]{3})?/(s|m|h)$` }

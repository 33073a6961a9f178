package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// Objective is a promise to users about the share of good events over a window
// that moves with time (a service level objective). Without good and total its
// burn rate is that of a run's own attempts.
type Objective struct {
	Share   Percent  `yaml:"share" jsonschema:"required"` // of events that are good, over 0% and under 100%
	Over    Duration `yaml:"over"`                        // the window, 1d to 30d; default 28d
	Of      string   `yaml:"of,omitempty"`                // a transaction, step or route of a run that it is about; default all attempts
	Good    string   `yaml:"good,omitempty"`              // a query for how many events were good; $window in it stands for a window such as 1h
	Total   string   `yaml:"total,omitempty"`             // a query for how many there were, alike
	From    string   `yaml:"from,omitempty"`              // the source that answers the queries
	Revenue *Revenue `yaml:"revenue,omitempty"`           // what is earned while all is well, such as 1200 EUR/m
}

// Queried reports whether its events are counted by queries, not by a run.
func (o Objective) Queried() bool { return o.Good != "" || o.Total != "" }

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

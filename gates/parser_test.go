package gates

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sentences are the examples that the documents give.
var sentences = []string{
	"alert HighErrors within 60s during D",
	"detection <= 60s during D",
	"detection of HighErrors < 90s during each",
	"acknowledgement <= 5m during D",
	"availability >= 99.5%",
	"reliability of checkout >= 99%",
	"latency p95 <= max(300ms, baseline + 10%)",
	"availability >= 99% during payments-slow",
	"recovery <= 5s after payments-slow",
	"recovery of availability < 5s after each",
	"budget >= 20%",
	"burn <= 6",
	"burn of checkout from t < 14.4 for each tenant during D",
	"budget of checkout > 0% overall",
	"composed >= 99.9% during D",
	"availability >= composed - 0.1pp during D",
	"errors <= min(composed * 0.01, 1%)",
	"mismatch <= 0.1%",
	"mismatch of /orders == 0",
	"latency p95 <= baseline + 10%",
	"health-agreement >= 99%",
	"capacity >= 120/s",
	"headroom >= 20%",
	"errors > 1 %",
	"errors == 0",
	"reliability >= availability",
	"availability >= 99% for tenant-7",
	"availability >= 99.9% for not cell=a in steady",
	"availability >= 99% for each cell during each",
	"latency p99.9 of \"GET /orders/:id\" from checkout <= 1.5s overall",
	"latency mean <= baseline * 1.2",
	"availability >= baseline - 0.5pp after each",
	"throughput >= 3000/m",
	"amplification of payments <= 1.5 during payments-failing",
	"http_req_waiting p95 <= 200ms",
	"assertions of \"status is 200\" == 100%",
	"delivered from checkout >= 99%",
	"my_gauge max <= -5",
}

func TestExamplesParse(t *testing.T) {
	for _, text := range sentences {
		g, err := Parse(text)
		require.NoError(t, err, text)
		requireRoundTrip(t, g)
	}
}

// requireRoundTrip is the oracle of property and fuzz tests.
func requireRoundTrip(t require.TestingT, g Gate) {
	again, err := Parse(g.String())
	require.NoError(t, err, "%q from %q", g.String(), g.Text)
	require.Equal(t, g.String(), again.String())
	again.Text = g.Text
	require.Equal(t, g, again)
}

func TestSyntaxErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "column 1: a gate can not be empty; write for example: availability >= 99.5%",
		"availabilty >= 99%":                    `column 1: unknown SLI "availabilty"; did you mean availability? (put the name of a k6 metric in quotes)`,
		"availability => 99%":                   `column 14: unknown comparison "=>"; did you mean >=?`,
		"availability = 99%":                    `column 14: unknown comparison "="; did you mean ==?`,
		"availability >= 99":                    "column 19: availability is a share and can not have no unit; write for example 99.5%",
		"latency <= 300ms":                      "column 1: latency is a distribution: say which value of it, for example latency p95",
		"latency p95 <= 300sec":                 `column 19: unknown unit "sec"; did you mean s?`,
		"latency p100 <= 3s":                    `column 9: "p100" is no quantile; write p50, p95, p99.9 (above 0 and below 100)`,
		"availability p95 >= 99%":               "column 1: availability is one number: it has no p95",
		"availability >= 120%":                  "column 17: availability can not be over 100%",
		"alert within 5s during d":              "column 25: name the alert: alert HighErrors within 60s during NAME",
		"detection <= 5s":                       "column 16: detection is counted from the injection of a disruption: write during NAME or during each",
		"detection <= 5s after d":               "column 24: detection is counted from the injection of a disruption: write during NAME or during each",
		"detection <= recovery during d":        "column 14: recovery is compared with a time",
		"detection <= baseline during d":        "column 31: detection is compared with a time",
		"acknowledgement from t <= 5s during d": "column 38: acknowledgement is of the whole system: leave out from and for",
		"burn >= 6":                             "column 6: burn is good when it is low: write <=",
		"budget <= 20%":                         "column 8: budget is good when it is high: write >=",
		"budget >= 20":                          "column 13: budget is a share and can not have no unit; write for example 99.5%",
		"budget >= 20% during d":                "column 23: a budget is of the objective's window: leave out the period",
		"budget from t >= 20%":                  "column 21: budget is of the whole system: leave out from and for",
		"burn <= baseline * 2":                  "column 21: burn is compared with a number only",
		"burn <= amplification":                 "column 9: burn is compared with a number only",
		"latency p95 <= composed":               "column 16: latency is a time and composed is a share: they can not be compared",
		"availability >= burn":                  "column 17: burn is compared with a number only",
		"composed >= composed - 1pp":            "column 13: composed is compared with a number only",
		"availability >= composed - 0.1":        "column 31: write pp for percentage points or % for a relative change",
		"availability >= composed -":            "column 27: a number is expected after composed -",
		"composed of a >= 99%":                  "column 21: there is one model: leave out of",
		"composed >= 99% for a":                 "column 22: composed is of the whole system: leave out from and for",
		"recovery <= 5s":                        "column 15: recovery is counted from the end of a disruption: write after NAME or after each",
		"reliability >= latency p95":            "column 16: reliability is a share and latency is a time: they can not be compared",
		"availability >= 99% durin slow":        `column 21: this is not understood: "durin"; did you mean during?`,
		"availability >= 99% during":            "column 27: a name is missing at the end",
		"availability >= 99% for each tennant":  `column 30: unknown key "tennant"; did you mean tenant? (one of tenant, class, cell, region, instance)`,
		"availability of each >= 99%":           `column 17: "each" is a word of the gate language and can not be a name; choose another`,
		"latency p95 <= baseline + 1pp":         "column 28: pp are percentage points of a share; latency is none: write %",
		"latency p95 <= max(300ms 200ms)":       `column 26: max takes two values in brackets: "," is missing (argument 2)`,
		"availability of checkout":              "column 25: a comparison is missing; write for example: >= 99.5%",
		"availability >= 99% overall overall":   "column 29: a gate has one period; this is the second",
		"availability >= 99% of checkout":       `column 21: "of" belongs before the comparison`,
		"availability of \"a >= 99%":            "column 17: a quote is not closed",
	} {
		_, err := Parse(text)
		var syntax *SyntaxError
		require.ErrorAs(t, err, &syntax, text)
		require.Equal(t, want, err.Error(), text)
	}
}

func TestNumbersAreExact(t *testing.T) {
	for text, want := range map[string]float64{
		"availability >= 99.5%": 0.995, "availability >= 99.95%": 0.9995, "latency p95 <= 1.5s": 1500,
		"latency p95 <= 2m": 120_000, "latency p95 <= 250us": 0.25, "throughput >= 600/m": 10, "errors <= 5": 5,
	} {
		g, err := Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, g.Value.Number, text)
	}
}

func TestCanonicalText(t *testing.T) {
	g, err := Parse(`  latency   p99.90 of "a b"<=0.5m for tenant=x during "each" `)
	require.NoError(t, err)
	require.Equal(t, `latency p99.9 of "a b" <= 0.5m for tenant=x during "each"`, g.String())
}

func TestValidName(t *testing.T) {
	for _, good := range []string{"checkout", "GET /orders/:id", "p95", `say "hi"`, "Zürich"} {
		require.NoError(t, ValidName(good))
		g, err := Parse("availability of " + quote(good) + " >= 99% during " + quote(good))
		require.NoError(t, err)
		require.Equal(t, good, g.Of)
		require.Equal(t, good, g.Period.Name)
	}
	for _, wrong := range []string{"", "each", "steady", "baseline", " a", "a\nb", "\xff"} {
		require.Error(t, ValidName(wrong), wrong)
	}
}

func TestGateAsJSON(t *testing.T) {
	g, err := ParseWith("latency p95 <= 300ms during slow", Options{Strict: true, MinSamples: 10, Confidence: 0.99, Severity: Warning, Note: "n"})
	require.NoError(t, err)
	data, err := json.Marshal(g)
	require.NoError(t, err)
	require.JSONEq(t, `{"gate":"latency p95 <= 300ms during slow","strict":true,"min_samples":10,"confidence":0.99,"severity":"warning","note":"n"}`, string(data))
	var again Gate
	require.NoError(t, json.Unmarshal(data, &again))
	require.Equal(t, g, again)
	require.ErrorContains(t, json.Unmarshal([]byte(`{"gate":"latency"}`), &again), "column 1")
	_, err = ParseWith("errors == 0", Options{Confidence: 1})
	require.ErrorContains(t, err, "confidence must be between")
	_, err = ParseWith("errors == 0", Options{Severity: "critcal"})
	require.ErrorContains(t, err, "did you mean critical?")
}

func TestGatesReadBack(t *testing.T) {
	pick := func(t *rapid.T, name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	rapid.Check(t, func(t *rapid.T) {
		num := rapid.StringMatching(`[0-9]{1,6}(\.[0-9]{1,9})?`)
		name := func(label string) string {
			n := rapid.StringMatching(`[a-zA-Z0-9 _/:*{}."\\-]{1,12}`).Draw(t, label)
			if validText(n) != nil {
				n = "x"
			}
			return forceQuote(n)
		}
		text := pick(t, "sli", "latency p95", "latency p99.99", "latency mean", "my_trend max", `"error" p5`)
		if rapid.Bool().Draw(t, "of") {
			text += " of " + name("of name")
		}
		value := num.Draw(t, "n") + pick(t, "unit", "ms", "s", "m", "h", "us")
		value = pick(t, "shape", value, "max("+value+", baseline + "+num.Draw(t, "d")+"%)", "baseline - "+value, "baseline * 1.1")
		text += pick(t, "op", " <= ", ">", "==") + value
		text += pick(t, "for", "", " for x", " for not cell="+quote("a b"), " for each region")
		text += pick(t, "period", "", " overall", " during "+name("d name"), " after each", " in steady")
		g, err := Parse(text)
		if err != nil {
			return
		}
		requireRoundTrip(t, g)
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range sentences {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if g, err := Parse(text); err == nil {
			requireRoundTrip(t, g)
		}
	})
}

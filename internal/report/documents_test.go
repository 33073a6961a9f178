package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
)

var testStart = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

func at(seconds int) time.Time { return testStart.Add(time.Duration(seconds) * time.Second) }

func testRun() gates.Run {
	return gates.Run{
		ID: "20260102T150405Z-3f2a", Plan: "shop", Digest: "9c1f", Seed: 42, Version: "0.1.0",
		Started: testStart, Ended: at(76),
	}
}

func number(f float64) *float64 { return &f }

func passing() gates.Verdict {
	return gates.Verdict{
		Phase: "beta", Outcome: gates.Pass, Reason: "all 4 gates hold",
		Checks: []gates.Check{
			{
				Outcome: gates.Pass, Text: "availability >= 99.5%", Period: "steady", SLI: "availability", Observed: "99.88 %", Objective: ">= 99.5 %",
				Value: number(0.99875), Limit: number(0.995), Unit: "share", Samples: 2400, Failed: 3, Evidence: "3 of 2,400 failed; 95 % interval 99.64 % to 99.97 %; fails at 19",
			},
			{Outcome: gates.Pass, Text: "reliability of checkout >= 99%", Period: "steady", SLI: "reliability", Observed: "99.83 %", Objective: ">= 99 %", Samples: 2400, Failed: 4, Evidence: "4 of 2,400 failed; fails at 35"},
			{Outcome: gates.Pass, Text: "latency p95 <= 300ms", Period: "steady", SLI: "latency p95", Observed: "212 ms", Objective: "<= 300 ms", Samples: 2400, Evidence: "95 % interval 205 ms to 220 ms"},
			{Outcome: gates.Pass, Text: "availability >= 99% during payments-slow", Period: "during payments-slow", SLI: "availability", Observed: "99.73 %", Objective: ">= 99 %", Samples: 750, Failed: 2, Evidence: "2 of 750 failed; fails at 14"},
		},
		Traffic: []gates.Traffic{{Test: "checkout", Arm: measure.Candidate, Kind: "load", Attempts: 3500, Failed: 5, Seconds: 70, P50: 41.2, P95: 231, P99: 480, Max: 1240, Complete: true}},
		Disruptions: []gates.Disrupted{
			{Name: "payments-slow", Fault: "latency", On: "payments", Injected: at(30), Lifted: at(45), Matched: 750, Touched: 750, Share: 1, Bit: true},
		},
	}
}

func failing() gates.Verdict {
	v := passing()
	v.Outcome, v.Cause = gates.Fail, gates.System
	v.Reason = "availability during payments-slow is 91.2 %, below the objective of 99 %"
	v.Checks = append([]gates.Check{}, v.Checks...)
	v.Checks[3] = gates.Check{
		Outcome: gates.Fail, Cause: gates.System, Text: "availability >= 99% during payments-slow", Period: "during payments-slow", SLI: "availability",
		Observed: "91.2 %", Objective: ">= 99 %", Value: number(0.912), Limit: number(0.99), Unit: "share", Samples: 750, Failed: 66,
		Evidence: "66 of 750 failed; 95 % interval 88.94 % to 93.13 %; fails at 14", Reason: "91.2 % of 750 attempts were accepted, fewer than 99 %",
		Warnings: []string{"12 attempts were still waiting when the test ended; they count as failed"},
		Gate:     gates.Gate{Options: gates.Options{Note: "see the runbook on payment time-outs"}},
	}
	v.Checks = append(
		v.Checks,
		gates.Check{
			Outcome: gates.Inconclusive, Cause: gates.Evidence, Text: "availability >= 99.9% for tenant=gold", Period: "steady", SLI: "availability",
			Observed: "100 %", Objective: ">= 99.9 %", Samples: 310, Reason: "310 samples can not show 99.9 %; that takes 2,995", Evidence: "0 of 310 failed",
		},
		gates.Check{
			Outcome: gates.Fail, Cause: gates.System, Text: "latency p99 <= 400ms", Period: "steady", SLI: "latency p99", Severity: gates.Warning,
			Observed: "480 ms", Objective: "<= 400 ms", Samples: 2400, Reason: "the interval lies above the objective",
		},
	)
	v.Traffic = append(
		[]gates.Traffic{{
			Test: "checkout", Arm: measure.Candidate, Kind: "load", Attempts: 3500, Failed: 84, Unfinished: 12, Dropped: 7, Seconds: 70,
			P50: 41.2, P95: 931, P99: 4800, Max: 30_000, Complete: true,
		}},
		gates.Traffic{Test: "browse", Arm: measure.Candidate, Kind: "load", Attempts: 1_240_000, Seconds: 70, P50: 3.14, P95: 12, P99: 18, Max: 95},
	)
	v.Disruptions = append(
		append([]gates.Disrupted{}, v.Disruptions...),
		gates.Disrupted{Name: "catalog-errors", Fault: "error", On: "catalog", Injected: at(50), Lifted: at(60), Matched: 400, Touched: 10, Share: 0.5, Reason: "it touched 2.5 % of requests and was asked to touch 50 %"},
	)
	v.Warnings = []string{"the steady state before payments-slow was short: 4 s"}
	return v
}

func testExamples() []measure.Example {
	example := func(second int, kind, status, message string) measure.Example {
		return measure.Example{
			At: at(second).UnixNano(), Phase: "beta", Test: "checkout", Arm: measure.Candidate, Kind: kind,
			Request: "POST http://127.0.0.1:8300/checkout", Status: status, Message: message, TraceID: "4bf92f3577b34da6",
		}
	}
	return []measure.Example{
		example(31, "status 503", "503", `{"error":"payments: context deadline exceeded"}`),
		example(32, "status 503", "503", `{"error":"payments: context deadline exceeded"}`),
		example(44, "timeout", "", "request timeout"),
	}
}

func inconclusive(cause gates.Cause, reason string) gates.Verdict {
	v := passing()
	v.Outcome, v.Cause, v.Reason = gates.Inconclusive, cause, reason
	v.Checks = append([]gates.Check{}, v.Checks...)
	for i := range v.Checks {
		c := &v.Checks[i]
		c.Outcome, c.Cause, c.Reason = gates.Inconclusive, cause, reason
	}
	return v
}

// replayed is what a shadow test found.
func replayed() gates.Replayed {
	return gates.Replayed{
		Test: "users", Read: 12_400, Sent: 11_960, Other: 200, Dropped: 3, Held: 41, CarriedFound: 1_800, CarriedByRule: 12, CarriedCookie: 7, LagP50: 0.21, LagP99: 1.8,
		Withheld: []gates.Withheld{
			{Route: "POST /checkout", Reason: "it may change data, and writes: does not name its route", Count: 230},
			{Route: "POST /search", Reason: "its body was not recorded whole", Count: 10},
		},
		Differences: []gates.Difference{
			{Route: "GET /quote", Place: "body.discount", Kind: "changed", Class: "regression", Pairs: 2400, Differing: 480, NoisePairs: 2400, Baseline: "375", Candidate: "450", Request: "GET /quote?product=…&quantity=…", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736"},
			{Route: "GET /billing", Place: "header cache-control", Kind: "missing", Class: "regression", Pairs: 900, Differing: 900, NoisePairs: 900, Baseline: "no-store", Request: "GET /billing"},
			{Route: "GET /orders", Place: "body.count", Kind: "changed", Class: "undecided", Pairs: 1200, Differing: 2, NoisePairs: 1200, Baseline: "7", Candidate: "8", Request: "GET /orders"},
			{Route: "GET /products", Place: "body.count", Kind: "added", Class: "expected", Pairs: 3000, Differing: 3000, Candidate: "12", Request: "GET /products"},
			{Route: "GET /orders", Place: "body.load", Kind: "changed", Class: "noise", Pairs: 1200, Differing: 1100, NoisePairs: 1200, NoiseDiffering: 1090},
		},
	}
}

// shadowed is the verdict of a phase with a shadow test.
func shadowed() gates.Verdict {
	v := failing()
	v.Reason = `"mismatch <= 0.1%" failed: mismatch was 11.5 %, which is not <= 0.1 %`
	v.Shadow = []gates.Replayed{replayed()}
	return v
}

// hostile is a text with everything that some format could trip over.
const hostile = "\x1b[31mred\x00\x07 <script>alert(1)</script> & \"q\" 'a' | `code` *b* _i_ [x](javascript:1) \r\n::set-output name=a::b\n##[error]x %0A ]]> " +
	"\xff\xfe \u202Eabc\u2028 @everyone #1 https://example.com/ ﷽ 😀 END\nEND\n"

func hostileDocument(text string) Document {
	v := failing()
	v.Phase, v.Reason = text, text
	v.Warnings = []string{text}
	for i := range v.Checks {
		c := &v.Checks[i]
		c.Text, c.Period, c.SLI, c.Observed, c.Objective, c.Evidence, c.Reason = text, text, text, text, text, text, text
		c.Warnings, c.Gate.Note = []string{text}, text
		c.Value = number(math.NaN())
	}
	v.Traffic[0].Test, v.Traffic[0].Kind, v.Traffic[0].P95, v.Traffic[0].Seconds = text, text, math.Inf(1), math.NaN()
	v = promising(v, false)
	v.Objectives[2].Objective, v.Objectives[2].Reason, v.Objectives[0].Cost.Currency = text, text, text
	v.Model.Parts[2].Name, v.Model.Reason, v.Model.Weakest, v.Model.Note = text, text, text, text
	v.Shadow = []gates.Replayed{replayed()}
	v.Shadow[0].Test, v.Shadow[0].LagP99, v.Shadow[0].Withheld[0] = text, math.Inf(1), gates.Withheld{Route: text, Reason: text, Count: 1}
	v.Shadow[0].Differences[0] = gates.Difference{Route: text, Place: text, Kind: text, Class: text, Baseline: text, Candidate: text, Request: text, TraceID: text}
	v.Disruptions[1].Name, v.Disruptions[1].On, v.Disruptions[1].Reason = text, text, text
	run := testRun()
	run.Plan, run.ID = text, text
	doc := NewDocument(run, []gates.Verdict{v}, []measure.Example{{Kind: text, Test: text, Request: text, Message: text, Status: text, TraceID: text}}, gates.ExitSystem)
	doc.Record = text
	doc.Assess([]FailureMode{{Name: text, Effect: text, Severity: 10, Likelihood: 10, Detection: 10, Disruptions: []string{text}}})
	return doc
}

func hugeDocument() Document {
	v := failing()
	for i := range 500 {
		c := v.Checks[i%4]
		c.Text = fmt.Sprintf("availability of route-%d >= 99%%", i)
		v.Checks = append(v.Checks, c)
	}
	return NewDocument(testRun(), []gates.Verdict{v}, testExamples(), gates.ExitSystem)
}

// testModes are failure modes that the run withstood, failed, left untested and
// did not bite.
func testModes() []FailureMode {
	return []FailureMode{
		{Name: "payments slow", Effect: "orders take longer", Severity: 5, Likelihood: 6, Detection: 8, Disruptions: []string{"payments-slow"}},
		{Name: "catalog fails", Effect: "no prices", Severity: 8, Likelihood: 3, Detection: 10, Disruptions: []string{"catalog-errors"}},
		{Name: "payments gone", Effect: "no orders", Severity: 9, Likelihood: 2, Detection: 10, Disruptions: []string{"payments-gone"}},
		{Name: "a pod dies", Effect: "orders in flight are lost", Severity: 7, Likelihood: 5, Detection: 4},
	}
}

func withModes(doc Document, modes []FailureMode) Document {
	doc.Assess(modes)
	return doc
}

// testObjectives are one whose events are counted elsewhere and is burning, one
// that only the run tells of, and one of which nothing is known.
func testObjectives() []gates.Budget {
	return []gates.Budget{
		{
			Objective: "orders", Share: 0.999, Over: 2_592_000, Nines: 3, Downtime: 2592, Left: number(0.5),
			Burns: []gates.Burn{
				{Window: 300, Good: 900, Total: 1000, Rate: 100, Low: 82, High: 120, Spent: 0.0116},
				{Window: 3600, Good: 9700, Total: 10_000, Rate: 30, Low: 26.7, High: 33.5, Spent: 0.0417},
				{Window: 2_592_000, Good: 999_500, Total: 1_000_000, Rate: 0.5, Low: 0.46, High: 0.54, Spent: 0.5},
			},
			Firing: []gates.Fired{{Severity: gates.Page, Rate: 14.4, Long: 3600, Short: 300}},
			Cost:   &gates.Cost{Currency: "EUR", PerMinute: 1200, Budget: 51_840, Spent: number(25_920)},
		},
		{
			Objective: "pages", Share: 0.9995, Over: 2_419_200, Nines: 3.30103, Downtime: 1209.6,
			Burns: []gates.Burn{{Window: 60, Run: true, Good: 2397, Total: 2400, Rate: 2.5, Low: 0.52, High: 7.3, Spent: 0.000062}},
			Cost:  &gates.Cost{PerMinute: 10, Budget: 201.6, Run: number(0.0125)},
		},
		{Objective: "carts", Share: 0.99, Over: 604_800, Nines: 2, Downtime: 6048, Burns: []gates.Burn{}, Reason: "the events of carts were not counted: no answer"},
	}
}

// testModel is one of a promised part and two measured ones, of which one is
// not known.
func testModel(known bool) *gates.Composed {
	m := &gates.Composed{
		Measured: number(0.985), MeasuredLow: number(0.979), MeasuredHigh: number(0.989),
		Parts: []gates.ComposedPart{
			{Name: "front", Kind: "promised", Availability: number(0.9999)},
			{Name: "payments", Kind: "dependency", Availability: number(0.9975), Low: number(0.9946), High: number(0.9991), Samples: 2400, Failed: 6},
			{Name: "search", Kind: "transaction"},
		},
		Reason: "nothing named search was seen in this period",
	}
	if known {
		m.Availability, m.Low, m.High, m.Weakest, m.Reason = number(0.9974), number(0.9945), number(0.999), "payments", ""
		m.Note = "the measured availability, 98.5 %, is below the 99.74 % that the model composes: something outside of the model fails"
		m.Parts = m.Parts[:2]
		m.Parts[0].Birnbaum, m.Parts[0].Gain = number(0.9975), number(0.00009975)
		m.Parts[1].Birnbaum, m.Parts[1].Gain = number(0.9999), number(0.0025)
	}
	return m
}

// promising is a verdict with objectives and a model.
func promising(v gates.Verdict, known bool) gates.Verdict {
	v.Objectives, v.Model = testObjectives(), testModel(known)
	return v
}

// testDocuments are what every format is tried on.
func testDocuments() map[string]Document {
	one := func(v gates.Verdict, code int) Document {
		doc := NewDocument(testRun(), []gates.Verdict{v}, testExamples(), code)
		doc.Record = ".resilience/runs/20260102T150405Z-3f2a.db"
		return doc
	}
	return map[string]Document{
		"pass":        one(passing(), gates.ExitPass),
		"fail":        one(failing(), gates.ExitSystem),
		"evidence":    one(inconclusive(gates.Evidence, "too few samples"), gates.ExitEvidence),
		"disruption":  one(inconclusive(gates.Disruption, "payments-slow touched nothing"), gates.ExitDisruption),
		"generator":   one(inconclusive(gates.Generator, "the processor was saturated"), gates.ExitGenerator),
		"interrupted": one(passing(), gates.ExitInterrupted),
		"fault stays": one(failing(), gates.ExitFault),
		"phases":      NewDocument(testRun(), []gates.Verdict{passing(), failing()}, testExamples(), gates.ExitSystem),
		"no gates":    one(gates.Verdict{Phase: "beta", Cause: gates.Evidence, Reason: "no gates"}, gates.ExitEvidence),
		"modes":       withModes(one(failing(), gates.ExitSystem), testModes()),
		"withstood":   withModes(one(passing(), gates.ExitPass), testModes()[:1]),
		"objectives":  one(promising(passing(), true), gates.ExitPass),
		"no counts":   one(promising(failing(), false), gates.ExitSystem),
		"empty":       NewDocument(gates.Run{}, nil, nil, gates.ExitError),
		"huge":        hugeDocument(),
		"shadow":      NewDocument(testRun(), []gates.Verdict{shadowed()}, nil, gates.ExitSystem),
		"hostile":     hostileDocument(hostile),
		"long":        hostileDocument(strings.Repeat("very long ", 5_000)),
		"long word":   hostileDocument(strings.Repeat("wide", 5_000)),
	}
}

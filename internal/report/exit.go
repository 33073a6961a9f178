package report

import "resilience/gates"

// meanings says what each exit code of the program stands for.
var meanings = map[int]string{
	gates.ExitPass:        "every gate holds",
	gates.ExitError:       "something stopped the run",
	gates.ExitUsage:       "the plan or the command line is wrong",
	gates.ExitEvidence:    "there is not enough evidence",
	gates.ExitDisruption:  "a disruption did not bite",
	gates.ExitGenerator:   "the load generator did not deliver",
	gates.ExitFault:       "a fault may still be active",
	gates.ExitSystem:      "the system failed a gate",
	gates.ExitInterrupted: "the run was interrupted",
}

func meaning(code int) string {
	if m, ok := meanings[code]; ok {
		return m
	}
	return "an exit code that this program does not use"
}

// endedEarly reports whether the code is one of a run that did not come to its
// end as planned.
func endedEarly(code int) bool {
	switch code {
	case gates.ExitError, gates.ExitUsage, gates.ExitFault, gates.ExitInterrupted:
		return true
	}
	return false
}

// causeOf is the cause that an exit code stands for.
func causeOf(code int) gates.Cause {
	switch code {
	case gates.ExitSystem:
		return gates.System
	case gates.ExitDisruption:
		return gates.Disruption
	case gates.ExitGenerator:
		return gates.Generator
	case gates.ExitEvidence:
		return gates.Evidence
	}
	return gates.None
}

// causeWord names a cause, and gives "" where there is none.
func causeWord(c gates.Cause) string {
	if c == gates.None {
		return ""
	}
	return c.String()
}

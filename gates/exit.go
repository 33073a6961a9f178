package gates

import "slices"

// Exit codes of the program. Inconclusive is never zero.
const (
	ExitPass        = 0   // every gate holds
	ExitError       = 1   // something else stopped the run
	ExitUsage       = 2   // the plan or the command line is wrong
	ExitEvidence    = 3   // not enough evidence
	ExitDisruption  = 4   // a disruption did not bite
	ExitGenerator   = 5   // the load generator did not deliver
	ExitFault       = 6   // a fault may still be active
	ExitSystem      = 99  // the system failed a gate; k6's code for thresholds
	ExitInterrupted = 130 // interrupted, faults lifted first
)

// worstFirst is which code wins where several hold.
var worstFirst = []int{
	ExitFault, ExitUsage, ExitError, ExitInterrupted, ExitSystem, ExitGenerator, ExitDisruption, ExitEvidence, ExitPass,
}

// Worst gives the code that wins where several hold: 6, 2, 1, 130, 99, 5, 4,
// 3, 0. A code that is not one of ours counts as 1; without codes it is 0.
func Worst(codes ...int) int {
	worst := len(worstFirst) - 1
	for _, code := range codes {
		i := slices.Index(worstFirst, code)
		if i < 0 {
			i = slices.Index(worstFirst, ExitError)
		}
		worst = min(worst, i)
	}
	return worstFirst[worst]
}

// ExitCode gives the exit code of the verdict alone: 0, 99, 3, 4 or 5. Whether
// a fault may still be active ([Verdict.FaultActive]) and how the run ended
// are codes of their own; [Worst] puts them together.
func (v Verdict) ExitCode() int {
	switch {
	case v.Outcome == Pass:
		return ExitPass
	case v.Outcome == Fail:
		return ExitSystem
	case v.Cause == Generator:
		return ExitGenerator
	case v.Cause == Disruption:
		return ExitDisruption
	}
	return ExitEvidence
}

package main

// Colours have one meaning on all boards. The names are Grafana's, so that they
// fit its light and its dark theme.
const (
	green  = "green"   // held, accepted
	red    = "red"     // failed
	amber  = "orange"  // can not be told; a disruption
	blue   = "blue"    // asked for, neutral
	grey   = "#8e8e8e" // what is usual: the median
	violet = "purple"  // a rare thing: the worst
	sky    = "super-light-blue"
)

// outcomes colours a verdict or a result.
var outcomes = []object{{"type": "value", "options": object{
	"pass":         object{"color": green, "text": "pass", "index": 0},
	"fail":         object{"color": red, "text": "fail", "index": 1},
	"inconclusive": object{"color": amber, "text": "inconclusive", "index": 2},
}}}

// nothing says that there is no value.
var nothing = object{"type": "special", "options": object{"match": "null", "result": object{"text": "–", "index": 0}}}

// eventKinds colours what happened by how bad it is.
var eventKinds = []object{{"type": "value", "options": object{
	"disruption": object{"color": amber, "index": 0},
	"lifted":     object{"color": green, "index": 1},
	"skipped":    object{"color": red, "index": 2},
	"abort":      object{"color": red, "index": 3},
	"service":    object{"color": red, "index": 4},
	"exception":  object{"color": red, "index": 5},
	"generator":  object{"color": red, "index": 6},
	"interrupt":  object{"color": red, "index": 7},
	"alert":      object{"color": violet, "index": 8},
	"warning":    object{"color": amber, "index": 9},
}}}

// steps are thresholds: a colour from a value on, the first from the lowest on.
func steps(first string, more ...any) object {
	list := []object{{"color": first, "value": nil}}
	for i := 0; i+1 < len(more); i += 2 {
		list = append(list, object{"value": more[i], "color": more[i+1]})
	}
	return object{"mode": "absolute", "steps": list}
}

// shares are thresholds of what should be all of it. They colour; only gates judge.
var shares = steps(red, 0.95, amber, 0.99, green)

// bad are thresholds of what should be none.
var bad = steps(green, 1, red)

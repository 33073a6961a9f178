package distribute

import (
	"cmp"
	"fmt"
)

// sight is how a TestRun and its pods are at a moment.
type sight struct {
	stage string // of the TestRun; "" before the operator noticed it
	gone  bool   // there is no TestRun
	pods  []pod
}

// pod is one of them.
type pod struct {
	name      string
	runner    int    // its number; 0 for the operator's own, which prepare and start
	ended     bool   // will not do anything any more
	succeeded bool   // and all was well
	waits     string // why it does not run; "" when it does, or is about to
	reason    string // for its end, such as OOMKilled or Evicted; "" when none is told
	message   string
	code      int // exit code; 0 when there is none
}

// cause says why a pod ended.
func (p pod) cause() string {
	text := p.reason
	if text == "" || text == "Error" {
		text = fmt.Sprintf("it ended with exit code %d", p.code)
	}
	if p.message != "" {
		text += ": " + p.message
	}
	return cmp.Or(text, "no reason was given")
}

package xk6resilience

import (
	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/output"
)

// k6 finds extensions only by registration at start-up.
func init() {
	s := newSession()
	modules.Register("k6/x/resilience", &module{session: s})
	modules.Register("k6/x/disruptor", &module{session: s}) // so that scripts for xk6-disruptor run as they are
	output.RegisterExtension("resilience", func(p output.Params) (output.Output, error) {
		return newOutput(s, p)
	})
}

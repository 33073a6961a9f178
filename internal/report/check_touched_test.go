package report

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
)

// TestTouched wants no table to say more of a disruption than its record does.
func TestTouched(t *testing.T) {
	injected := time.Unix(1, 0)
	for want, d := range map[string]gates.Disrupted{
		"never injected":                        {Unknown: true},
		"touched nothing":                       {Injected: injected},
		"touched what is not known":             {Injected: injected, Unknown: true},
		"its effect was seen":                   {Injected: injected, Bit: true},
		"touched 10 of 40 pods, asked for 25 %": {Injected: injected, Matched: 40, Touched: 10, Unit: "pods", Share: 0.25},
	} {
		require.Equal(t, want, touched(d))
	}
}

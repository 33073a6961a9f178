package traffic

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

func TestExpect(t *testing.T) {
	header := http.Header{"X-Kind": {"a", "b"}}
	body := `{"order":{"id":7,"items":[{"sku":"x1"}],"paid":true,"note":null},"total":5.0}`
	for name, test := range map[string]struct {
		expect plan.Expect
		want   string
	}{
		"contains":         {plan.Expect{Contains: `"sku":"x1"`}, ""},
		"contains not":     {plan.Expect{Contains: "refund"}, `does not contain "refund"`},
		"matches":          {plan.Expect{Matches: `"id":\d+`}, ""},
		"matches not":      {plan.Expect{Matches: `^\[`}, `does not match "^\\["`},
		"json":             {plan.Expect{JSON: map[string]string{"order.id": "7", "order.items.0.sku": "x1", "order.paid": "true", "total": "5", "order.note": "null"}}, ""},
		"json value":       {plan.Expect{JSON: map[string]string{"order.paid": "false"}}, `JSON order.paid is "true", want "false"`},
		"json path":        {plan.Expect{JSON: map[string]string{"order.items.1.sku": "x"}}, "JSON has no order.items.1.sku"},
		"json into scalar": {plan.Expect{JSON: map[string]string{"total.x": "x"}}, "JSON has no total.x"},
		"headers":          {plan.Expect{Headers: map[string]string{"x-kind": "b"}}, ""},
		"headers not":      {plan.Expect{Headers: map[string]string{"X-Kind": "c"}}, `header X-Kind is "a, b", want "c"`},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := newExpectation(&test.expect)
			require.NoError(t, err)
			require.Equal(t, test.want, x.check(header, []byte(body)))
		})
	}
	x, err := newExpectation(&plan.Expect{JSON: map[string]string{"a": "1"}})
	require.NoError(t, err)
	require.Equal(t, "not JSON", x.check(nil, []byte("<html>")))
}

func TestExpectErrors(t *testing.T) {
	_, err := newExpectation(&plan.Expect{Matches: "("})
	require.ErrorContains(t, err, "expect: matches: error parsing regexp")
	_, err = newExpectation(&plan.Expect{})
	require.ErrorContains(t, err, "says nothing")
}

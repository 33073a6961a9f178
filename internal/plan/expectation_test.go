package plan

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExpect(t *testing.T) {
	header := http.Header{"X-Kind": {"a", "b"}}
	body := `{"order":{"id":7,"items":[{"sku":"x1"}],"paid":true,"note":null},"total":5.0}`
	for name, test := range map[string]struct {
		expect Expect
		want   string
	}{
		"contains":         {Expect{Contains: `"sku":"x1"`}, ""},
		"contains not":     {Expect{Contains: "refund"}, `does not contain "refund"`},
		"matches":          {Expect{Matches: `"id":\d+`}, ""},
		"matches not":      {Expect{Matches: `^\[`}, `does not match "^\\["`},
		"json":             {Expect{JSON: map[string]string{"order.id": "7", "order.items.0.sku": "x1", "order.paid": "true", "total": "5", "order.note": "null"}}, ""},
		"json value":       {Expect{JSON: map[string]string{"order.paid": "false"}}, `JSON order.paid is "true", want "false"`},
		"json path":        {Expect{JSON: map[string]string{"order.items.1.sku": "x"}}, "JSON has no order.items.1.sku"},
		"json into scalar": {Expect{JSON: map[string]string{"total.x": "x"}}, "JSON has no total.x"},
		"headers":          {Expect{Headers: map[string]string{"x-kind": "b"}}, ""},
		"headers not":      {Expect{Headers: map[string]string{"X-Kind": "c"}}, `header X-Kind is "a, b", want "c"`},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := test.expect.Compile()
			require.NoError(t, err)
			require.Equal(t, test.want, x.Check(header, []byte(body)))
		})
	}
	x, err := Expect{JSON: map[string]string{"a": "1"}}.Compile()
	require.NoError(t, err)
	require.Equal(t, "not JSON", x.Check(nil, []byte("<html>")))
}

func TestExpectErrors(t *testing.T) {
	_, err := Expect{Matches: "("}.Compile()
	require.ErrorContains(t, err, "expect: matches: error parsing regexp")
	_, err = Expect{}.Compile()
	require.ErrorContains(t, err, "says nothing")
}

package shadow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// TestChosen wants each way of choosing exchanges to choose these and no others.
func TestChosen(t *testing.T) {
	e := recordedGet(time.Second, "a", "/orders/7?page=1")
	e.Tenant = "acme"
	at := func(after time.Duration) *plan.Instant { i := plan.Instant(taped.Add(after)); return &i }
	for name, c := range map[string]struct {
		change func(*plan.Shadow)
		want   bool
	}{
		"all":                      {func(*plan.Shadow) {}, true},
		"from that moment":         {func(s *plan.Shadow) { s.From = at(time.Second) }, true},
		"from later":               {func(s *plan.Shadow) { s.From = at(time.Second + 1) }, false},
		"to that moment":           {func(s *plan.Shadow) { s.To = at(time.Second) }, false},
		"to later":                 {func(s *plan.Shadow) { s.To = at(time.Second + 1) }, true},
		"the tenant":               {func(s *plan.Shadow) { s.Tenants = plan.Names{"beta", "acme"} }, true},
		"another tenant":           {func(s *plan.Shadow) { s.Tenants = plan.Names{"beta"} }, false},
		"the route":                {func(s *plan.Shadow) { s.Routes = plan.Names{"GET /orders/7"} }, true},
		"the route of all methods": {func(s *plan.Shadow) { s.Routes = plan.Names{"/orders/7"} }, true},
		"another method":           {func(s *plan.Shadow) { s.Routes = plan.Names{"POST /orders/7"} }, false},
		"a route that begins so":   {func(s *plan.Shadow) { s.Routes = plan.Names{"/orders", "GET /orders"} }, false},
		"nothing of a sample":      {func(s *plan.Shadow) { s.Sample = 0 }, false},
	} {
		s := shadowTest()
		c.change(&s)
		require.Equal(t, c.want, chosen(s, e), name)
	}
	s := shadowTest()
	require.Equal(t, Selection{}, selectionOf(s))
	s.From, s.To, s.Tenants = at(0), at(time.Hour), plan.Names{"acme"}
	require.Equal(t, Selection{From: taped, To: taped.Add(time.Hour), Tenants: []string{"acme"}}, selectionOf(s))
}

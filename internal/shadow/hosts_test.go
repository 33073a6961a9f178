package shadow

import (
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// TestHostsChoose: a name is meant on all ports, and what nobody knows is not left out.
func TestHostsChoose(t *testing.T) {
	for host, want := range map[string]bool{
		"shop.example": true, "SHOP.example:8443": true, "": true, "[::1]:80": true, "[::1]": true, "api.example:81": true,
		"api.example": false, "api.example:80": false, "www.shop.example": false, "analytics.example": false,
	} {
		s := shadowTest()
		s.Hosts = plan.Names{"shop.example", "api.example:81", "::1"}
		e := recordedGet(0, "a", "/")
		e.Request.Host = host
		require.Equal(t, want, chosen(s, e), host)
		s.Hosts = nil
		require.True(t, chosen(s, e), host)
	}
}

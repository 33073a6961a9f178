package plan

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhereUsersAreServed(t *testing.T) {
	for name, tt := range map[string]struct {
		phase, address, context string
		serves                  bool
	}{
		"a test stage":          {"beta", "http://127.0.0.1:80", "kind", false},
		"production":            {"production", "", "", true},
		"with a number":         {"prod2", "", "", true},
		"of a region":           {"eu-prod-1", "", "", true},
		"a part of a word":      {"reproduction", "http://delivery.example", "alive", false},
		"one box":               {"one-box", "", "", true},
		"one box in a word":     {"OneBox", "", "", true},
		"a wave":                {"wave 1", "", "", true},
		"waves":                 {"eu-waves", "", "", true},
		"no wave":               {"microwave", "", "", false},
		"no wave either":        {"waveform", "", "", false},
		"a host":                {"beta", "https://api.prod.example.com/v1", "", true},
		"a target":              {"beta", "", "", true},
		"a path says nothing":   {"beta", "https://api.example.com/live", "", false},
		"not known yet":         {"beta", "${services.live.url}", "", false},
		"a context":             {"beta", "", "arn:aws:eks:eu-west-1:1:cluster/prd-shop", true},
		"a part of its name":    {"beta", "", "gke_shop_europe_reproduce", false},
		"a context with digits": {"beta", "", "shop-live01", true},
	} {
		t.Run(name, func(t *testing.T) {
			phase := Phase{Name: tt.phase, Candidate: "shop"}
			if name == "a target" {
				phase.Candidate = "shop-production"
			}
			d := Disruption{Kubernetes: &Kubernetes{Context: tt.context}}
			require.Equal(t, tt.serves, phase.SparesUsers(d, tt.address) != nil)
			phase.Disrupt = true
			require.NoError(t, phase.SparesUsers(d, tt.address))
			no := false
			phase.Disrupt, phase.Production = false, &no
			require.NoError(t, phase.SparesUsers(d, tt.address))
		})
	}
}

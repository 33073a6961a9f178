package plan

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
)

func TestComparedPlans(t *testing.T) {
	p, err := Load("testdata/valid/compared.yaml", options())
	require.NoError(t, err)
	require.Equal(t, Baseline{Target: "old"}, p.Phases[0].Baseline)
	require.Equal(t, Baseline{Runs: 5, In: "kept", First: "record"}, p.Phases[1].Baseline)
	require.Equal(t, Baseline{Record: "last"}, p.Phases[2].Baseline)
	require.Equal(t, &gates.Waiver{Owner: "jane", Reason: "the cache is being moved", Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}, p.Phases[0].Gates[1].Waiver)
	require.Nil(t, p.Phases[1].Gates[0].Waiver, "it is for another phase")
	require.Equal(t, gates.Options{Severity: gates.Warning, Group: "speed", Weight: 3}, p.Phases[1].Gates[0].Options)
	require.EqualValues(t, 20, p.Phases[1].Gates[1].Calibrate)
}

// TestTraffic changes one thing after the other: only what is sent or disrupted
// makes other traffic.
func TestTraffic(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("a.js", "import { b } from './b.js'\nexport default () => b()\n")
	write("b.js", "import './a.js'\nexport const b = () => open('../none')\n")
	write("users.csv", "name\njane\n")
	phase := Phase{Name: "beta", Candidate: "shop", Tests: []Test{{Name: "t", Load: &Profile{Script: "a.js", Data: "users.csv", Rate: 5, Duration: Duration(time.Minute)}}}}
	first := Traffic(phase, dir)
	require.Equal(t, first, Traffic(phase, dir))

	other := phase
	other.Candidate, other.Gates, other.Name = "other", []Gate{{}}, "gamma"
	require.Equal(t, first, Traffic(other, dir))

	seen := map[string]bool{first: true}
	differs := func(what string, p Phase) {
		now := Traffic(p, dir)
		require.False(t, seen[now], what)
		seen[now] = true
	}
	faster := phase
	faster.Tests = []Test{{Name: "t", Load: &Profile{Script: "a.js", Data: "users.csv", Rate: 6, Duration: Duration(time.Minute)}}}
	differs("another rate", faster)
	disrupted := phase
	disrupted.Disruptions = []Disruption{{Name: "slow"}}
	differs("a disruption", disrupted)
	write("b.js", "export const b = () => 1\n")
	differs("what the script imports", phase)
	write("users.csv", "name\njoe\n")
	differs("its data", phase)
}

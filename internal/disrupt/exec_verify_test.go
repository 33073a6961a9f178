package disrupt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Only a status of 1 says that a fault is not in effect: a command that is
// missing or broken says nothing.
func TestWhatVerifyMayAnswer(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), nil, 0o600))
	for verify, want := range map[string]string{
		"true": "in effect", "exit 1": "not in effect", "test -e nothing": "not in effect",
		"exit 2": "exit status 2", "no-such-command": "exit status 127", "./data": "exit status 126",
		"kill -KILL $$": "signal: killed", "exit 143": "exit status 143",
	} {
		c := &commands{exec: plan.Exec{Verify: verify}, site: siteIn(dir)}
		is, known, err := c.verify(t.Context())
		require.True(t, known)
		switch want {
		case "in effect", "not in effect":
			require.NoError(t, err, verify)
			require.Equal(t, want == "in effect", is, verify)
		default:
			require.ErrorContains(t, err, want, verify)
		}
	}
}

// What can not be verified is neither proven nor lifted.
func TestAVerifyThatCanNotTell(t *testing.T) {
	dir := t.TempDir()
	d := switched()
	d.Exec.Verify = "echo >> looks; test -e broken && exit 2; test -e fault"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken"), nil, 0o600))
	var said string
	s := siteIn(dir)
	s.Note = func(kind, _ string, attrs map[string]string) { said = kind + ": " + attrs["detail"] }
	made, err := New(d, s)
	require.NoError(t, err)
	lift, err := made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err)
	require.Contains(t, said, measure.EventWarning+": whether it is in effect is not known: verify: ")
	_, err = lift(untilLooked(t, filepath.Join(dir, "looks")))
	require.ErrorContains(t, err, "lift: verify: ")
	require.ErrorContains(t, err, "exit status 2")
	require.NoError(t, os.Remove(filepath.Join(dir, "broken")))
	touch, err := lift(t.Context())
	require.NoError(t, err)
	require.Equal(t, measure.Touch{Matched: 1, Unit: "injections"}, touch, "not proven")
}

package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/plan"
)

func noEnv(string) (string, bool) { return "", false }

// journalWith makes the journal of a run that is over.
func journalWith(t *testing.T, p plan.Plan, entries ...entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.journal")
	j, err := CreateJournal(path, p, "run", 1, noEnv)
	require.NoError(t, err)
	for _, e := range entries {
		require.NoError(t, j.write(e))
	}
	require.NoError(t, j.file.Close())
	return path
}

func faultEntry(t *testing.T, id int, d plan.Disruption) entry {
	t.Helper()
	text, err := json.Marshal(d)
	require.NoError(t, err)
	return entry{Fault: &kept{ID: id, Phase: "beta", Disruption: text, Undo: json.RawMessage(`{"pid":7}`), Deadline: time.Now().Add(time.Hour)}}
}

func TestAJournalSaysWhatIsLeft(t *testing.T) {
	path := journalWith(t, plan.Plan{Dir: "/plan"},
		entry{Process: &group{Pid: 10, Started: "1", Name: "web"}}, entry{Process: &group{Pid: 11, Started: "2"}},
		faultEntry(t, 1, plan.Disruption{Name: "a"}), faultEntry(t, 2, plan.Disruption{Name: "b"}),
		entry{Ended: &group{Pid: 10, Started: "1"}}, entry{Ended: &group{Pid: 11, Started: "another one"}},
		entry{Lifted: &lifted{ID: 1}}, entry{Lifted: &lifted{ID: 2, Error: "no answer"}},
		faultEntry(t, 2, plan.Disruption{Name: "b again"}),
	)
	left, err := readLeft(path)
	require.NoError(t, err)
	require.Equal(t, "/plan", left.run.Dir)
	require.Len(t, left.faults, 1)
	require.Contains(t, string(left.faults[0].Disruption), "b again")
	require.Equal(t, []group{{Pid: 11, Started: "2"}}, left.groups)
}

// Wherever a kill cuts a journal off, what was written before counts, and what
// is written afterwards, too.
func TestAJournalMayBeCutOff(t *testing.T) {
	path := journalWith(t, plan.Plan{}, faultEntry(t, 1, plan.Disruption{Name: "a"}), entry{Lifted: &lifted{ID: 1}}, faultEntry(t, 2, plan.Disruption{Name: "b"}))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	head := strings.Index(string(data), "\n\n") // after the run
	rapid.Check(t, func(t *rapid.T) {
		cut := rapid.IntRange(head, len(data)).Draw(t, "cut")
		whole, err := parseLeft(data[:cut])
		require.NoError(t, err)
		require.LessOrEqual(t, len(whole.faults), 1)
		more := append(append([]byte{}, data[:cut]...), "\n{\"lifted\":{\"id\":2}}\n"...)
		after, err := parseLeft(more)
		require.NoError(t, err)
		for _, k := range after.faults {
			require.Equal(t, 1, k.ID)
		}
	})
	for _, bad := range []string{"hello", "hello\n", "{}\n", `{"lifted":{"id":1}}` + "\n"} {
		_, err := parseLeft([]byte(bad))
		require.Error(t, err, bad)
	}
}

// What can not be read may have been a fault: the rest is undone, and somebody
// has to look.
func TestADamagedJournalIsNotForgotten(t *testing.T) {
	for what, line := range map[string]string{
		"nonsense": "\x00\x00\x00", "two at once": `{"fault":{"id":9}}{"lifted":{"id":9}}`, "a wrong kind": `{"fault":7}`, "no kind": `{"other":{}}`,
	} {
		t.Run(what, func(t *testing.T) {
			path := journalWith(t, plan.Plan{}, faultEntry(t, 1, plan.Disruption{Name: "a"}))
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, append(data, line+"\n"...), 0o600))
			h := &hands{}
			for range 2 {
				done, err := h.lifter().Lift(t.Context(), path)
				require.ErrorContains(t, err, "is damaged, and what it announced is not known")
				require.Empty(t, Failed(done))
			}
			require.Equal(t, []string{`a {"pid":7}`}, h.did(), "what could be read is undone, once")
			require.FileExists(t, path)
			_, err = LeftBehind(path)
			require.ErrorContains(t, err, "is damaged")
		})
	}
}

func FuzzParseLeft(f *testing.F) {
	f.Add([]byte("{\"run\":{\"id\":\"a\"}}\n{\"fault\":{\"id\":1}}\n{\"lif"))
	f.Fuzz(func(t *testing.T, data []byte) {
		left, err := parseLeft(data)
		if err != nil {
			require.Empty(t, left.faults)
		}
	})
}

func TestSecretsAreNotInAJournal(t *testing.T) {
	p := plan.Plan{Secrets: map[string]plan.Secret{"a": {Env: "A"}, "ab": {Env: "AB"}, "short": {Env: "SHORT"}}}
	values := map[string]string{"A": "s3cret", "AB": "s3cret-longer", "SHORT": "x"}
	h := newHiding(p, func(name string) (string, bool) { v, ok := values[name]; return v, ok })
	rapid.Check(t, func(t *rapid.T) {
		free := rapid.StringMatching(`[a-tv-y"\\<${}\n ]{0,8}`) // which never says null
		text := free.Draw(t, "before") + rapid.SampledFrom([]string{"s3cret", "s3cret-longer", "${secrets.a}"}).Draw(t, "secret") + free.Draw(t, "after")
		d := plan.Disruption{Name: "d", Exec: &plan.Exec{Inject: text, Env: map[string]string{"KEY": text}}, HTTP: &plan.HTTP{Inject: plan.Call{JSON: map[string]any{"token": []any{text, 1.5}}}}}
		data, err := h.hidden(d)
		require.NoError(t, err)
		require.NotContains(t, string(data), "s3cret")
		require.NotContains(t, string(data), "null")
		var back plan.Disruption
		require.NoError(t, h.shown(data, &back))
		require.Equal(t, d, back)

		poor := newHiding(p, noEnv)
		if strings.Contains(text, "s3cret") {
			require.ErrorContains(t, poor.shown(data, &back), "make it available")
		}
	})
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"resilience/fixtures"
	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
	conduct "resilience/internal/run"
	"resilience/internal/store"
)

// call runs a command line within this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("GITHUB_STEP_SUMMARY", "") // these are not for whom they are set
	t.Setenv("GITHUB_OUTPUT", "")
	var out, err bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

var place = regexp.MustCompile(`(?m)^\S+:\d+:\d+: .`)

func TestMalformedPlansAreRefused(t *testing.T) {
	paths, err := filepath.Glob("../../internal/plan/testdata/invalid/*.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"nonsense.yaml": strings.Repeat("}{][ \x00 nonsense: - ", 10<<20/20),
		"latin1.yaml":   "name: caf\xe9\n",
		"binary.yaml":   "\x7fELF\x02\x01\x01\x00\x00",
		"list.yaml":     "- name: tiny\n",
		"number.yaml":   "42\n",
		"tabs.yaml":     "name: tiny\nphases:\n\t- name: beta\n",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		paths = append(paths, path)
	}
	require.Greater(t, len(paths), 40)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, command := range [][]string{{"validate", path}, {"run", path, "--phase", "beta"}} {
				code, stdout, stderr := call(t, command...)
				require.Equal(t, gates.ExitUsage, code, stderr)
				require.Empty(t, stdout)
				require.Regexp(t, place, stderr)
				require.Less(t, len(stderr), 64<<10)
			}
		})
	}
}

func TestSchemaAcceptsTheDemo(t *testing.T) {
	code, stdout, stderr := call(t, "schema")
	require.Zero(t, code, stderr)
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(stdout))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("plan.json", schema))
	compiled, err := compiler.Compile("plan.json")
	require.NoError(t, err)

	validate := func(text []byte) error {
		asJSON, err := yaml.YAMLToJSON(text)
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		require.NoError(t, err)
		return compiled.Validate(value)
	}
	require.NoError(t, validate(fixtures.Demo))
	require.Error(t, validate(bytes.Replace(fixtures.Demo, []byte("candidate:"), []byte("candidat:"), 1)))
}

func TestEndingOf(t *testing.T) {
	broken := errors.New("disk full")
	for name, tc := range map[string]struct {
		err  error
		want ending
	}{
		"nothing":          {nil, ending{}},
		"an interrupt":     {context.Canceled, ending{Codes: []int{gates.ExitInterrupted}}},
		"an error":         {broken, ending{Codes: []int{gates.ExitError}, Reason: "disk full"}},
		"a usage error":    {&usageError{"no"}, ending{Codes: []int{gates.ExitUsage}, Reason: "no"}},
		"a fault is left":  {errors.Join(broken, conduct.ErrFaultLeft), ending{Codes: []int{gates.ExitFault, gates.ExitError}, Reason: "disk full\na fault may still be active"}},
		"interrupt and so": {errors.Join(errors.Join(context.Canceled, nil), broken), ending{Codes: []int{gates.ExitInterrupted}, Reason: "disk full"}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, endingOf(tc.err)) })
	}
}

func TestShellQuote(t *testing.T) {
	for text, want := range map[string]string{
		"bin/resilience": "bin/resilience", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'",
	} {
		require.Equal(t, want, shellQuote(text))
	}
}

// begunRecord is the record of a run that has only begun.
func begunRecord(t *testing.T) (plan.Plan, gates.Run, *store.DB) {
	t.Helper()
	p := write(t, "name: tiny\ntargets: {web: {url: \"http://127.0.0.1:1\"}}\nphases: [{name: beta, candidate: web, tests: [{name: a, load: {rate: 1/s, duration: 1s, requests: [{path: /}]}}], gates: [availability >= 1%]}]\n")
	loaded, err := loadPlan(p, nil)
	require.NoError(t, err)
	info := newRun(loaded, 1)
	db, err := newRecord(t.Context(), loaded, info, []string{"beta"}, "")
	require.NoError(t, err)
	return loaded, info, db
}

// What a killed run leaves has no ending; it is never a pass.
func TestARecordWithoutAnEndIsNoPass(t *testing.T) {
	t.Chdir(t.TempDir())
	loaded, info, db := begunRecord(t)
	require.NoError(t, db.Close())

	code, stdout, stderr := call(t, "judge", "last", "--format", "json")
	require.Equal(t, gates.ExitError, code, stderr)
	var doc struct{ Outcome, Reason string }
	require.NoError(t, json.Unmarshal([]byte(stdout), &doc))
	require.Equal(t, "inconclusive", doc.Outcome)
	require.Contains(t, doc.Reason, "killed")
	_, list, _ := call(t, "runs")
	require.Contains(t, list, "not judged: the run was killed, or is not over yet", "nothing of it is here but the record")

	hide := showAlive(db.Path())
	_, list, _ = call(t, "runs")
	require.Contains(t, list, "not judged: the run is not over yet")
	hide()
	_, list, _ = call(t, "runs")
	require.Contains(t, list, "not judged: the run was killed\n")

	path := strings.TrimSuffix(db.Path(), store.Extension) + conduct.JournalExtension
	journal, err := conduct.CreateJournal(path, loaded, info.ID, 1, os.LookupEnv)
	require.NoError(t, err)
	_, list, _ = call(t, "runs")
	require.Contains(t, list, "not judged: the run is not over yet", "its journal is locked")
	runtime.KeepAlive(journal) // what is collected is closed, and locks nothing

	require.NoError(t, os.WriteFile(path+".new", []byte("{\"run\":{\"id\":\"a\"}}\n"), 0o600))
	require.NoError(t, os.Rename(path+".new", path)) // another file: nobody has a lock on it
	_, list, _ = call(t, "runs")
	require.Contains(t, list, "not judged: the run was killed\n")

	require.NoError(t, os.WriteFile(path, []byte("{\"run\":{\"id\":\"a\"}}\nnonsense\n"), 0o600))
	_, list, _ = call(t, "runs")
	require.Contains(t, list, "the run was killed, and what it left is not known: ")
	code, _, stderr = call(t, "lift")
	require.Equal(t, gates.ExitFault, code)
	require.Contains(t, stderr, "line 2 is damaged, and what it announced is not known")
	require.FileExists(t, path)
}

// Nothing can be said for the faults of a run that goes on, and may be stuck.
func TestLiftDoesNotVouchForARunThatGoesOn(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll(runsDir, 0o700))
	path := filepath.Join(runsDir, "20260102T150405Z-abcd"+conduct.JournalExtension)
	journal, err := conduct.CreateJournal(path, plan.Plan{}, "20260102T150405Z-abcd", 1, os.LookupEnv)
	require.NoError(t, err)
	code, _, stderr := call(t, "lift")
	require.Equal(t, gates.ExitPass, code)
	require.Contains(t, stderr, "is still going on: stop it")

	fault, err := json.Marshal(map[string]any{"fault": map[string]any{"id": 1, "disruption": plan.Disruption{Name: "slow"}}})
	require.NoError(t, err)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(append(data, fault...), '\n'), 0o600))
	for _, args := range [][]string{{"lift"}, {"lift", path}} {
		code, _, stderr = call(t, args...)
		require.Equal(t, gates.ExitFault, code)
		require.Contains(t, stderr, "is still going on, with slow in effect: stop it")
	}
	runtime.KeepAlive(journal)
}

// Where the disk is full the record does not tell how the run ended; the run
// itself does all the same.
func TestHowARunEndedIsToldThoughItCanNotBeKept(t *testing.T) {
	t.Chdir(t.TempDir())
	_, info, db := begunRecord(t)
	require.NoError(t, db.Append(measure.Batch{Events: []measure.Event{{Source: "harness", Seq: 1, At: 1, Kind: measure.EventPhase, Phase: "beta", Name: "beta"}}}))
	require.NoError(t, db.Close())
	full, err := store.Open(db.Path()) // which takes nothing
	require.NoError(t, err)

	var out, said bytes.Buffer
	why := errors.Join(context.Canceled, fmt.Errorf("%w: undo it", conduct.ErrFaultLeft))
	var exit *exitError
	require.ErrorAs(t, conclude(&streams{out: &out, err: &said}, full, nil, nil, info, "", why), &exit)
	require.Equal(t, gates.ExitFault, exit.code)
	require.Contains(t, out.String(), "a fault may still be active: undo it")
	require.Contains(t, said.String(), "read")
}

// A word that names no run must not read as "nothing is left".
func TestLiftWantsARun(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("notes.txt", []byte("no run"), 0o600))
	code, stdout, stderr := call(t, "lift", "./notes.txt")
	require.Equal(t, gates.ExitUsage, code, stdout)
	require.Contains(t, stderr, "notes.txt")
}

// The file of somebody else is no journal in which nothing is left.
func TestLiftLeavesOtherFilesAlone(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, text := range []string{"dear diary", "dear diary\n", "\x00\x00\x00", "{\"run\""} {
		require.NoError(t, os.WriteFile("notes.journal", []byte(text), 0o600))
		code, stdout, stderr := call(t, "lift", "notes.journal")
		if text == "{\"run\"" { // of a run that was killed before it did anything
			require.Equal(t, gates.ExitPass, code, stderr)
			require.NoFileExists(t, "notes.journal")
			continue
		}
		require.Equal(t, gates.ExitFault, code, stdout)
		require.Contains(t, stderr, "notes.journal: journal: ")
		require.Contains(t, stderr, "does not begin with its run")
		require.FileExists(t, "notes.journal")
	}
}

// The record that a pipeline keeps is a copy: the journal is with the original.
func TestLiftFindsTheJournalOfACopiedRecord(t *testing.T) {
	t.Chdir(t.TempDir())
	_, _, db := begunRecord(t)
	copied := filepath.Join(t.TempDir(), "record.db")
	require.NoError(t, db.CopyTo(copied))
	path := strings.TrimSuffix(db.Path(), store.Extension) + conduct.JournalExtension
	require.NoError(t, db.Close())
	require.NoError(t, os.WriteFile(path, []byte("{\"run\":{\"id\":\"a\"}}\n"), 0o600))
	paths, err := journals(copied)
	require.NoError(t, err)
	require.Equal(t, []string{path}, paths)
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

package plan

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func feedFile(t testing.TB, name, content string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestFeederRows(t *testing.T) {
	for name, test := range map[string]struct {
		file, content string
		rows          []map[string]string
		raw           string // of the second row
	}{
		"csv": {
			"a.csv", "\xef\xbb\xbfid,name\r\n1,\"Anna, \"\"A\"\"\"\r\n2,Bo\r\n",
			[]map[string]string{{"id": "1", "name": `Anna, "A"`}, {"id": "2", "name": "Bo"}},
			`{"id":"2","name":"Bo"}`,
		},
		"csv with a line break in a field": {
			"a.csv", "id,note\n1,\"two\nlines\"\n2,x\n",
			[]map[string]string{{"id": "1", "note": "two\nlines"}, {"id": "2", "note": "x"}},
			`{"id":"2","note":"x"}`,
		},
		"json lines": {
			"a.jsonl", "\xef\xbb\xbf{\"id\":1,\"name\":\"A\\u00e9\"}\r\n\n{\"id\":2.50,\"deep\":{\"a\":[1]},\"no\":null}",
			[]map[string]string{{"id": "1", "name": "Aé"}, {"id": "2.50", "deep": `{"a":[1]}`, "no": ""}},
			`{"id":2.50,"deep":{"a":[1]},"no":null}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := OpenFeeder(feedFile(t, test.file, test.content))
			require.NoError(t, err)
			require.Equal(t, len(test.rows), f.Len())
			for i := range uint64(5) {
				require.Equal(t, test.rows[i%uint64(len(test.rows))], f.Row(i))
			}
			require.Equal(t, test.raw, string(f.Raw(3)))
		})
	}
}

func TestFeederErrors(t *testing.T) {
	for name, test := range map[string]struct {
		file, content, reason string
		line                  int
	}{
		"uneven":          {"a.csv", "a,b\n1,2\n\"x\ny\",2\n3\n", "1 fields, but the header has 2", 5},
		"open quote":      {"a.csv", "a,b\n1,\"2\n", `column 6: extraneous or missing " in quoted-field`, 2},
		"same columns":    {"a.csv", "a,a\n1,2\n", `two columns are called "a"`, 1},
		"nameless column": {"a.csv", "a,\n1,2\n", "column 2 of the header has no name", 1},
		"only a header":   {"a.csv", "a,b\n", "there is no row of data in it", 0},
		"empty":           {"a.csv", "", "there is no row of data in it", 0},
		"empty lines":     {"a.jsonl", "\n\n", "there is no row of data in it", 0},
		"not UTF-8":       {"a.csv", "a\n1\n\xff\n", "not UTF-8; convert it first", 3},
		"array":           {"a.json", "{\"a\":1}\n[1]\n", `want a JSON object on each line, found "[1]"`, 2},
		"broken JSON":     {"a.jsonl", "\n{\"a\":}\n", "not JSON: invalid character '}' looking for beginning of value", 2},
		"extension":       {"a.txt", "a\n1\n", `data files end in .csv, .jsonl, .ndjson or .json, not in ".txt"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := feedFile(t, test.file, test.content)
			_, err := OpenFeeder(path)
			var wrong *FeedError
			require.True(t, errors.As(err, &wrong), "%v", err)
			require.Equal(t, FeedError{File: path, Line: test.line, Reason: test.reason}, *wrong)
		})
	}
	_, err := OpenFeeder(filepath.Join(t.TempDir(), "none.csv"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestFeederTooLarge(t *testing.T) {
	path := feedFile(t, "a.csv", "")
	require.NoError(t, os.Truncate(path, maxFeed+1))
	_, err := OpenFeeder(path)
	require.ErrorContains(t, err, "larger than 256 MiB")
}

func TestFeederRequire(t *testing.T) {
	f, err := OpenFeeder(feedFile(t, "a.csv", "a,b\n1,2\n"))
	require.NoError(t, err)
	require.NoError(t, f.Require([]string{"b"}))
	require.ErrorContains(t, f.Require([]string{"c"}), `a.csv:1: there is no column "c"; there are a, b`)
	f, err = OpenFeeder(feedFile(t, "a.jsonl", "{\"a\":1}\n\n{\"b\":1}\n"))
	require.NoError(t, err)
	require.ErrorContains(t, f.Require([]string{"a"}), `a.jsonl:3: this row has no "a"`)
}

func FuzzFeeder(f *testing.F) {
	f.Add("a,b\n1,\"2\"\n", "{\"a\":1}\n")
	f.Fuzz(func(t *testing.T, csv, lines string) {
		for name, content := range map[string]string{"a.csv": csv, "a.jsonl": lines} {
			feeder, err := OpenFeeder(feedFile(t, name, content))
			if err != nil {
				continue
			}
			for i := range uint64(feeder.Len()) {
				require.NotEmpty(t, feeder.Raw(i))
				feeder.Row(i)
			}
		}
	})
}

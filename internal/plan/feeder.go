package plan

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxFeed is the size of the largest data file that is taken, in bytes: all of
// it is held in memory.
const maxFeed = 256 << 20

// FeedError says what is wrong with a data file, and in which line.
type FeedError struct {
	File   string
	Line   int // from 1; 0 when it is about the whole file
	Reason string
}

func (e *FeedError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

// Feeder gives each iteration a row of data from a file. It is safe for
// concurrent use.
type Feeder struct {
	file    string
	columns []string          // of CSV, in the file's order
	records [][]string        // of CSV
	objects []json.RawMessage // of JSON lines
	lines   []int             // where each row begins
}

// OpenFeeder reads a data file: CSV with a header row (.csv), or JSON lines,
// an object in each (.jsonl, .ndjson, .json). What is wrong with its content
// is a [*FeedError].
func OpenFeeder(path string) (*Feeder, error) {
	data, err := readFeed(path)
	if err != nil {
		return nil, err
	}
	f := &Feeder{file: path}
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".csv":
		err = f.readCSV(data)
	case ".jsonl", ".ndjson", ".json":
		err = f.readLines(data)
	default:
		err = f.wrong(0, "data files end in .csv, .jsonl, .ndjson or .json, not in %q", ext)
	}
	if err != nil {
		return nil, err
	}
	if f.Len() == 0 {
		return nil, f.wrong(0, "there is no row of data in it")
	}
	return f, nil
}

// readFeed reads a file that is not too large, without its byte order mark.
func readFeed(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	defer file.Close()
	tooLarge := &FeedError{File: path, Reason: fmt.Sprintf("larger than %d MiB; split it or sample its rows", maxFeed>>20)}
	if info, err := file.Stat(); err == nil && info.Size() > maxFeed {
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFeed+1)) // a pipe has no size, and a file may grow
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if len(data) > maxFeed {
		return nil, tooLarge
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, &FeedError{File: path, Line: invalidLine(data), Reason: "not UTF-8; convert it first"}
	}
	return data, nil
}

// invalidLine finds the line of the first byte that is not UTF-8.
func invalidLine(data []byte) int {
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[size:]
	}
	return line
}

func (f *Feeder) wrong(line int, format string, args ...any) error {
	return &FeedError{File: f.file, Line: line, Reason: fmt.Sprintf(format, args...)}
}

func (f *Feeder) readCSV(data []byte) error {
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1 // counted below, for a better message
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			return f.wrong(parse.Line, "column %d: %v", parse.Column, parse.Err)
		}
		if err != nil {
			return f.wrong(0, "%v", err)
		}
		line, _ := reader.FieldPos(0)
		if err := f.addRecord(line, record); err != nil {
			return err
		}
	}
}

func (f *Feeder) addRecord(line int, record []string) error {
	if f.columns == nil {
		for i, name := range record {
			if strings.TrimSpace(name) == "" {
				return f.wrong(line, "column %d of the header has no name", i+1)
			}
			if slices.Contains(record[:i], name) {
				return f.wrong(line, "two columns are called %q", name)
			}
		}
		f.columns = record
		return nil
	}
	if len(record) != len(f.columns) {
		return f.wrong(line, "%d fields, but the header has %d", len(record), len(f.columns))
	}
	f.records = append(f.records, record)
	f.lines = append(f.lines, line)
	return nil
}

func (f *Feeder) readLines(data []byte) error {
	number := 0
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if line[0] != '{' {
			return f.wrong(number, "want a JSON object on each line, found %.20q", line)
		}
		if !json.Valid(line) {
			var into json.RawMessage
			return f.wrong(number, "not JSON: %v", json.Unmarshal(line, &into))
		}
		f.objects = append(f.objects, json.RawMessage(line))
		f.lines = append(f.lines, number)
	}
	return nil
}

// Columns are the names that every row of CSV has, or the first of JSON lines.
func (f *Feeder) Columns() []string {
	if f.objects == nil {
		return slices.Clone(f.columns)
	}
	return slices.Sorted(maps.Keys(f.Row(0)))
}

// Len is the number of rows, at least 1.
func (f *Feeder) Len() int { return len(f.lines) }

// Row gives the row of iteration i; after the last row comes the first. JSON
// values that are not strings are given as JSON text, null as "".
func (f *Feeder) Row(i uint64) map[string]string {
	n := i % uint64(f.Len())
	if f.objects == nil {
		row := make(map[string]string, len(f.columns))
		for c, name := range f.columns {
			row[name] = f.records[n][c]
		}
		return row
	}
	var values map[string]json.RawMessage
	_ = json.Unmarshal(f.objects[n], &values) // was valid when the file was opened
	row := make(map[string]string, len(values))
	for name, value := range values {
		row[name] = textOf(value)
	}
	return row
}

func textOf(value json.RawMessage) string {
	switch {
	case len(value) > 0 && value[0] == '"':
		var text string
		_ = json.Unmarshal(value, &text)
		return text
	case string(value) == "null":
		return ""
	}
	return string(value)
}

// Raw gives the row of iteration i as a JSON object, for scripts.
func (f *Feeder) Raw(i uint64) json.RawMessage {
	if f.objects != nil {
		return f.objects[i%uint64(f.Len())]
	}
	text, _ := json.Marshal(f.Row(i)) // a map of strings always encodes
	return text
}

// Require checks that every row has the columns.
func (f *Feeder) Require(columns []string) error {
	if f.objects == nil {
		for _, c := range columns {
			if !slices.Contains(f.columns, c) {
				return f.wrong(1, "there is no column %q; there are %s", c, strings.Join(f.columns, ", "))
			}
		}
		return nil
	}
	if len(columns) == 0 {
		return nil
	}
	for i := range f.objects {
		row := f.Row(uint64(i))
		for _, c := range columns {
			if _, ok := row[c]; !ok {
				return f.wrong(f.lines[i], "this row has no %q", c)
			}
		}
	}
	return nil
}

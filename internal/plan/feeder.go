package plan

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxData is the largest data file, in bytes: it is kept in memory.
const maxData = 256 << 20

// Feeder gives the rows of a data file, over and over. It is safe for use by
// several goroutines.
type Feeder struct {
	columns []string
	rows    [][]byte // each a JSON object
}

// OpenFeeder reads a data file of at most 256 MiB: CSV with a header line, or
// one JSON object per line when the name ends in .jsonl, .ndjson or .json. A
// row that can not be read, or no row at all, is an error with its line.
func OpenFeeder(path string) (*Feeder, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the data file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	counted := &io.LimitedReader{R: f, N: maxData + 1}
	var feeder Feeder
	if err := feeder.read(path, counted, -1); err != nil {
		return nil, fmt.Errorf("the data file %s: %w", path, err)
	}
	switch {
	case counted.N == 0:
		return nil, fmt.Errorf("the data file %s is larger than 256 MiB", path)
	case len(feeder.rows) == 0:
		return nil, fmt.Errorf("the data file %s has no rows", path)
	}
	return &feeder, nil
}

// dataColumns gives the columns of a data file: the header, or the keys of the
// first object.
func dataColumns(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	var feeder Feeder
	err = feeder.read(path, io.LimitReader(f, maxBytes), 1)
	if err == nil && len(feeder.rows) == 0 {
		err = errors.New("it has no rows")
	}
	return feeder.columns, err
}

// read reads up to most rows; all when most is negative.
func (f *Feeder) read(path string, in io.Reader, most int) error {
	if slices.Contains([]string{".jsonl", ".ndjson", ".json"}, strings.ToLower(filepath.Ext(path))) {
		return f.readLines(in, most)
	}
	return f.readCSV(in, most)
}

func (f *Feeder) readCSV(in io.Reader, most int) error {
	r := csv.NewReader(in)
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("the header line: %w", err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	f.columns = slices.Clone(header)
	for len(f.rows) != most {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		row := make(map[string]string, len(header))
		for i, column := range header {
			row[column] = record[i]
		}
		text, err := json.Marshal(row)
		if err != nil {
			return err
		}
		f.rows = append(f.rows, text)
	}
	return nil
}

func (f *Feeder) readLines(in io.Reader, most int) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxBytes)
	for n := 1; len(f.rows) != most && lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		var row map[string]json.RawMessage
		if err := json.Unmarshal(text, &row); err != nil {
			return fmt.Errorf("line %d wants a JSON object: %w", n, err)
		}
		if f.columns == nil {
			f.columns = named(row)
			slices.Sort(f.columns)
		}
		f.rows = append(f.rows, bytes.Clone(text))
	}
	return lines.Err()
}

// Len is the number of rows, at least one.
func (f *Feeder) Len() int { return len(f.rows) }

// Raw gives the row for an iteration as a JSON object. After the last row
// comes the first.
func (f *Feeder) Raw(iteration uint64) []byte { return f.rows[iteration%uint64(len(f.rows))] }

// Row gives the row for an iteration as texts: those that are no text in JSON
// lines are given as JSON. After the last row comes the first.
func (f *Feeder) Row(iteration uint64) map[string]string {
	var values map[string]json.RawMessage
	_ = json.Unmarshal(f.Raw(iteration), &values) // it was read before
	row := make(map[string]string, len(values))
	for column, value := range values {
		var text string
		if json.Unmarshal(value, &text) != nil || value[0] != '"' {
			text = string(value)
		}
		row[column] = text
	}
	return row
}

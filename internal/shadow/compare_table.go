package shadow

import (
	"bytes"
	"hash/maphash"
	"strconv"
)

// tableMarks are what is between the cells of a table of text.
var tableMarks = []byte(",;\t|")

// separatorOf gives what is between the cells of a table (CSV: RFC 4180), 0 where it is
// none: what stands equally often in each of its first three lines, twice at least
// where the text does not say that it is a table.
func separatorOf(text []byte, media string) byte {
	least := 3
	switch media {
	case "text/csv", "text/tab-separated-values", "application/csv":
		least = 2
	case "", "text/plain", "application/octet-stream":
	default:
		return 0
	}
	for _, mark := range tableMarks {
		cells := 0
		rest := text
		for line := range 3 {
			row, after, more := bytes.Cut(rest, []byte("\n"))
			n := cellsIn(row, mark)
			if n < least || line > 0 && n != cells || line == 0 && !more || len(row) > 1<<12 {
				cells = 0
				break
			}
			if cells, rest = n, after; len(after) == 0 && line > 0 {
				break
			}
		}
		if cells > 0 {
			return mark
		}
	}
	return 0
}

// cellsIn counts the cells of a row.
func cellsIn(row []byte, mark byte) (n int) {
	for at := 0; ; n++ {
		if at += cellLength(row[at:], mark) + 1; at > len(row) {
			return n + 1
		}
	}
}

// isTable tells rows of cells with something between them.
func isTable(text []byte, media string) bool { return separatorOf(text, media) != 0 }

// cells reads a table: cells, of which each column is a place of its own, named by the
// first row if that is names alone.
func (t *parted) cells(media string) {
	mark := separatorOf(t.text, media)
	t.nodes = append(t.nodes, partNode{parent: 0, hash: 2}) // what is beyond the columns
	named := true
	for at, row := 0, 0; at < len(t.text) && !t.full(); row++ {
		for column := int32(0); at < len(t.text) && !t.full(); column++ {
			end := at + cellLength(t.text[at:], mark)
			if row == 0 {
				t.columns = append(t.columns, bytes.Trim(t.text[at:end], "\" \r"))
				named = named && isColumnName(t.columns[column])
			}
			at = t.cell(at, end, column)
			if t.text[at-1] == '\n' {
				break
			}
		}
		t.newRun()
	}
	if !named {
		t.columns = nil
	}
}

// maxColumns is how many columns are told apart.
const maxColumns = 64

// cell appends one, with what is after it, and gives where the next one begins.
func (t *parted) cell(from, end int, column int32) (next int) {
	next = min(end+1, len(t.text))
	if next == end { // the last one
		next = len(t.text)
	}
	column = min(column, maxColumns)
	for int32(len(t.nodes)) <= column+1 {
		number := int32(len(t.nodes))
		t.nodes = append(t.nodes, partNode{parent: 0, number: number, hash: mix(2, uint64(number))})
	}
	if end > from && t.text[end-1] == '\r' {
		end--
	}
	h := mix(maphash.Bytes(seed, t.text[from:end]), maphash.Bytes(seed, bytes.TrimPrefix(t.text[end:next], []byte("\r"))))
	t.parts = append(t.parts, part{from: int32(from), to: int32(end), end: int32(next), node: column + 1, run: t.run, hash: h, key: mix(h, t.nodes[column+1].hash)})
	return next
}

// cellLength is how much there is up to the end of a cell, which may be in quotes.
func cellLength(text []byte, mark byte) int {
	quoted := false
	for i, c := range text {
		switch {
		case c == '"' && (i == 0 || quoted):
			quoted = !quoted
		case c == '"' && text[i-1] == '"': // a quote that is written twice
			quoted = true
		case !quoted && (c == mark || c == '\n'):
			return i
		}
	}
	if quoted { // it does not end
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			return i
		}
	}
	return len(text)
}

// isColumnName tells names from data.
func isColumnName(cell []byte) bool {
	return len(cell) > 0 && len(cell) <= maxName && isLetter(cell[0]) && !isData(cell) && !bytes.ContainsAny(cell, "@\n")
}

// columnOf gives the name of a column, from 1.
func (t *parted) columnOf(number int32) string {
	place := []byte("[]")
	if number = max(number, 1); int(number) <= len(t.columns) {
		return string(appendName(place, t.columns[number-1], false))
	}
	return string(append(place, ".("+strconv.Itoa(int(number))+")"...))
}

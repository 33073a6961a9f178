package traffic

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// template is a text in which ${data.COLUMN} stands for a value of a row.
type template []piece

// piece is a literal text or, with a column, a place for a value.
type piece struct {
	text   string
	column string
	escape func(string) string
}

const placeholder = "${data."

// parseTemplate finds the placeholders; escape fits a value into its place.
func parseTemplate(text string, escape func(string) string) (template, error) {
	var t template
	for {
		before, rest, found := strings.Cut(text, placeholder)
		if before != "" {
			t = append(t, piece{text: before})
		}
		if !found {
			return t, nil
		}
		column, after, closed := strings.Cut(rest, "}")
		if !closed || column == "" {
			return nil, fmt.Errorf("%s%.20s: want ${data.COLUMN}", placeholder, rest)
		}
		t = append(t, piece{column: column, escape: escape})
		text = after
	}
}

// parsePath escapes values as a path needs it, and behind a ? as a query does.
func parsePath(path string) (template, error) {
	path, query, asked := strings.Cut(path, "?")
	t, err := parseTemplate(path, url.PathEscape)
	if err != nil || !asked {
		return t, err
	}
	q, err := parseTemplate("?"+query, url.QueryEscape)
	return append(t, q...), err
}

func plain(s string) string { return s }

// headerText fits a value into a header.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// inJSON fits a value into a JSON string.
func inJSON(s string) string {
	text, _ := json.Marshal(s) // a string always encodes
	return string(text[1 : len(text)-1])
}

func (t template) columns() []string {
	var names []string
	for _, p := range t {
		if p.column != "" {
			names = append(names, p.column)
		}
	}
	return names
}

func (t template) fill(row map[string]string) string {
	if len(t) == 1 && t[0].column == "" {
		return t[0].text
	}
	var b strings.Builder
	for _, p := range t {
		if p.column == "" {
			b.WriteString(p.text)
		} else {
			b.WriteString(p.escape(row[p.column]))
		}
	}
	return b.String()
}

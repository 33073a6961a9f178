package report

import (
	_ "embed"
	"encoding/json"
	"io"
)

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of the json format, which
// documents each of its fields.
func Schema() []byte { return append([]byte(nil), schema...) }

// writeJSON writes the document for programs.
func writeJSON(w io.Writer, doc Document, _ Options) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // "<= 300 ms" stays readable
	encoder.SetIndent("", "  ")
	return encoder.Encode(doc)
}

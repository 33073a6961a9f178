// Package dashboards holds the Grafana dashboards that show what runs wrote to
// InfluxDB. The JSON files are written by the command generate below it, in Go,
// so that all boards use the same words, colours and queries; change them there.
package dashboards

import (
	"embed"
	"io/fs"
)

//go:generate go run ./generate

//go:embed *.json
var files embed.FS

// Files has all dashboards, in its root, as Grafana imports them.
func Files() fs.FS { return files }

package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"
)

// Format writes documents for one kind of reader.
type Format struct {
	File  string // its name in the folder of [WriteAll]
	Write func(w io.Writer, doc Document, options Options) error
}

// formats are all there are. A new one is a file of its own and a line here.
var formats = map[string]Format{
	"text":     {File: "verdict.txt", Write: writeText},
	"json":     {File: "report.json", Write: writeJSON},
	"junit":    {File: "junit.xml", Write: writeJUnit},
	"markdown": {File: "report.md", Write: writeMarkdown},
	"github":   {File: "github.txt", Write: writeGitHub},
}

// Options say how a document is shown, and where. The zero value is right for
// a file: no colours, 100 columns, an empty environment.
type Options struct {
	Color bool
	Width int                      // columns of text; 0 means 100, the least is 40
	Env   func(name string) string // the environment, such as os.Getenv; nil means empty
}

const (
	defaultWidth = 100
	leastWidth   = 40
)

func (o Options) width() int {
	if o.Width <= 0 {
		return defaultWidth
	}
	return max(o.Width, leastWidth)
}

func (o Options) env(name string) string {
	if o.Env == nil {
		return ""
	}
	return o.Env(name)
}

// OptionsFor gives the options for writing to w: as wide as the terminal and
// in colours if w is a terminal, unless the environment sets NO_COLOR
// (no-color.org) or TERM=dumb.
func OptionsFor(w io.Writer, env func(name string) string) Options {
	options := Options{Env: env}
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return options
	}
	options.Color = options.env("NO_COLOR") == "" && options.env("TERM") != "dumb"
	if width, _, err := term.GetSize(int(file.Fd())); err == nil {
		options.Width = min(width, 140) // longer lines are hard to read
	}
	return options
}

// Names lists the formats, sorted.
func Names() []string { return slices.Sorted(maps.Keys(formats)) }

// Write writes the document in the named format. It is an error if there is no
// such format or w can not be written.
func Write(w io.Writer, format string, doc Document, options Options) error {
	f, ok := formats[format]
	if !ok {
		return fmt.Errorf("there is no report format %q; use one of %s", format, strings.Join(Names(), ", "))
	}
	if err := f.Write(w, doc, options); err != nil {
		return fmt.Errorf("write the %s report: %w", format, err)
	}
	return nil
}

// WriteAll writes the document into the folder in every format, one file each,
// and makes the folder if needed. A file is either written whole or not
// touched. What goes wrong with one format does not stop the others; the error
// joins all that went wrong. The github file holds only what would go to the
// log: nothing outside of the folder is written.
func WriteAll(dir string, doc Document) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder for reports: %w", err)
	}
	var errs []error
	for _, name := range Names() {
		var content bytes.Buffer
		err := Write(&content, name, doc, Options{})
		if err == nil {
			err = replaceFile(filepath.Join(dir, formats[name].File), content.Bytes())
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// replaceFile writes a file by way of a temporary one beside it.
func replaceFile(path string, content []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return fmt.Errorf("write a report: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write the report %s: %w", path, err), os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

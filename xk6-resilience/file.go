package xk6resilience

import (
	"encoding/json"
	"fmt"
	"os"

	"resilience/internal/measure"
)

// fileSink writes batches as JSON lines to a file, for a k6 without a harness.
type fileSink struct {
	path string
	file *os.File
	err  error // the first that happened
}

func (f *fileSink) describe() string { return f.path }

func (f *fileSink) start(*Output) (err error) {
	f.file, err = os.Create(f.path)
	return err
}

func (f *fileSink) send(o *Output) { f.write(o.session.takeOver()) }

func (f *fileSink) write(batch measure.Batch) {
	if len(batch.Windows)+len(batch.Events)+len(batch.Examples) == 0 || f.err != nil {
		return
	}
	if err := json.NewEncoder(f.file).Encode(batch); err != nil {
		f.err = fmt.Errorf("windows are incomplete: %w", err)
	}
}

func (f *fileSink) close(o *Output, _ error) error {
	f.write(o.session.take())
	if err := f.file.Close(); f.err == nil {
		f.err = err
	}
	return f.err
}

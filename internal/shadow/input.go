package shadow

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// InputError says that a file is not what is wanted of it: no recording, or of no
// format that can be imported. Nothing helps but to name another one.
type InputError struct {
	Path string
	Why  string // what is wrong, and what to do
	Err  error  // the reason, where the system gave one
}

func (e *InputError) Error() string { return e.Path + ": " + e.Why }

func (e *InputError) Unwrap() error { return e.Err }

// makeOne says how one comes to a recording.
const makeOne = "make one with resilience shadow import or resilience shadow record"

// CheckInput looks whether there is a file of that name, without opening it, so that
// all that were named can be looked at before any is read.
func CheckInput(path string) error {
	_, err := inputInfo(path, "name a file that is there")
	return err
}

func inputInfo(path, instead string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unopened(path, instead, err)
	}
	if info.IsDir() {
		return nil, &InputError{Path: path, Why: "it is a folder; name a file in it"}
	}
	return info, nil
}

// unopened says why a file was not opened, without its name twice.
func unopened(path, instead string, err error) *InputError {
	var why *fs.PathError
	if errors.As(err, &why) {
		err = why.Err
	}
	return &InputError{path, fmt.Sprintf("it can not be opened: %v; %s", err, instead), err}
}

// openRegular opens a recording that somebody has named.
func openRegular(path string) (*os.File, int64, error) {
	info, err := inputInfo(path, makeOne)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for
		return nil, 0, &InputError{Path: path, Why: "it is no file that can be read in any order; " + makeOne}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, unopened(path, makeOne, err)
	}
	if info, err = file.Stat(); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("read %s: %w", path, err), file.Close())
	}
	return file, info.Size(), nil
}

// foreign says what a file is that is no recording, as far as that can be guessed.
func foreign(path string, file io.ReaderAt, size int64) *InputError {
	start := make([]byte, min(size, sniffed))
	n, _ := file.ReadAt(start, 0)
	switch start = start[:n]; {
	case n == 0:
		return &InputError{Path: path, Why: "it is no recording: it is empty; " + makeOne}
	case bytes.HasPrefix(start, []byte(recordingMagic)):
		return &InputError{Path: path, Why: fmt.Sprintf("it is no recording: it has only the first %d bytes of one; %s", n, makeOne)}
	}
	if r, err := unpackedInput(bytes.NewReader(start)); err == nil {
		if format, ok := guessed(r); ok {
			return &InputError{Path: path, Why: fmt.Sprintf("it is no recording, but looks like %s: resilience shadow import %s --out RECORDING makes one", format.doc, path)}
		}
	}
	return &InputError{Path: path, Why: "it is no recording; " + makeOne}
}

// guessed is the format that an input looks like.
func guessed(r *bufio.Reader) (importer, bool) {
	start, _ := r.Peek(sniffed)
	start = withoutBOM(start)
	for _, i := range importers {
		if i.is(start) {
			return i, true
		}
	}
	return importer{}, false
}

package shadow

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// FileOptions say when a recording goes on in a new file.
type FileOptions struct {
	Options
	MaxSize int64         // bytes of a file, roughly: what waits in memory comes on top; 0 is any
	Every   time.Duration // how long one file is written; 0 is for ever
}

// Files is a [Sink] that writes a recording, and goes on in a new one when that is
// large or old enough: traffic.shadow, traffic.2.shadow, traffic.3.shadow.
type Files struct {
	path    string
	options FileOptions

	mu     sync.Mutex
	writer *Writer
	paths  []string
	began  time.Time
	writes uint64
	err    error // of the files before
}

// CreateFiles begins the first file, which must not be there yet.
func CreateFiles(path string, o FileOptions) (*Files, error) {
	f := &Files{path: path, options: o}
	return f, f.begin()
}

// begin begins the next file.
func (f *Files) begin() error {
	path := f.path
	if n := len(f.paths); n > 0 {
		ext := filepath.Ext(f.path)
		path = fmt.Sprintf("%s.%d%s", strings.TrimSuffix(f.path, ext), n+1, ext)
	}
	w, err := Create(path, f.options.Options)
	if err != nil {
		return err
	}
	f.writer, f.began, f.writes = w, time.Now(), 0
	f.paths = append(f.paths, path)
	return nil
}

// sizeEvery is how many exchanges are written between two looks at the size of the
// file.
const sizeEvery = 64

// Write writes an exchange, perhaps to a new file.
func (f *Files) Write(x Exchange) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full() {
		f.err = errors.Join(f.err, f.writer.Close())
		if err := f.begin(); err != nil {
			return err // the writer is closed, and says so from now on
		}
	}
	f.writes++
	return f.writer.Write(x)
}

func (f *Files) full() bool {
	if f.writes == 0 {
		return false
	}
	if f.options.Every > 0 && time.Since(f.began) >= f.options.Every {
		return true
	}
	if f.options.MaxSize <= 0 || f.writes%sizeEvery != 0 {
		return false
	}
	info, err := os.Stat(f.paths[len(f.paths)-1])
	return err == nil && info.Size() >= f.options.MaxSize
}

// Flush writes what waits in memory.
func (f *Files) Flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writer.Flush()
}

// Close ends the last file. The error is that of any of them.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.err, f.writer.Close())
}

// Paths are the files, in their order.
func (f *Files) Paths() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.paths...)
}

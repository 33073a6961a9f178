package store

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"resilience/gates"
)

// Last is the name of the newest run, wherever an id is asked for.
const Last = "last"

// Summary is one line in a list of runs.
type Summary struct {
	ID       string
	Path     string
	Size     int64 // of the file, in bytes
	Run      gates.Run
	Phases   []string
	Verdicts []byte // JSON; nil when the run was not judged
	Err      error  // what is wrong with the file; then only ID, Path and Size are known
}

// NewID makes the id of a run that starts now: 20060102T150405Z-xxxx in UTC,
// with four random letters or digits.
func NewID(now time.Time, random *rand.Rand) string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	suffix := make([]byte, 4)
	for i := range suffix {
		suffix[i] = alphabet[random.IntN(len(alphabet))]
	}
	return now.UTC().Format("20060102T150405Z") + "-" + string(suffix)
}

// checkID refuses ids that would lead out of the folder of records.
func checkID(id string) error {
	if id == "" || id != filepath.Base(id) || strings.HasPrefix(id, ".") || strings.ContainsAny(id, `/\`) {
		return fmt.Errorf("%q can not be the id of a run", id)
	}
	return nil
}

// List describes the records in a folder, newest first. A damaged one is in
// the list with its error. A folder that does not exist has no records.
func List(dir string) ([]Summary, error) {
	runs, err := Newest(dir)
	if err != nil {
		return nil, err
	}
	return slices.Collect(runs), nil
}

// Newest is [List] for those who need only the first few: a record is read when
// it is come to.
func Newest(dir string) (iter.Seq[Summary], error) {
	files, err := files(dir)
	if err != nil {
		return nil, err
	}
	return func(yield func(Summary) bool) {
		for _, f := range files {
			s := Summary{ID: f.id, Path: f.path, Size: f.size}
			if s.Err = s.read(); !yield(s) {
				return
			}
		}
	}, nil
}

// Summarize describes one record.
func Summarize(path string) Summary {
	s := Summary{ID: strings.TrimSuffix(filepath.Base(path), Extension), Path: path}
	if info, err := os.Stat(path); err == nil {
		s.Size = info.Size()
	}
	if s.Err = s.read(); s.Err == nil {
		s.ID = s.Run.ID // the file may be called record.db
	}
	return s
}

func (s *Summary) read() (err error) {
	d, err := Open(s.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if s.Run, err = d.Run(); err != nil {
		return err
	}
	if s.Phases, err = d.Phases(); err != nil {
		return err
	}
	s.Verdicts, err = d.Document(DocumentVerdicts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Find gives the path of the record that ref means: the path of a file, the id
// of a run in dir or a prefix that only one of them has, or [Last] for the
// newest. Errors name the candidates.
func Find(dir, ref string) (string, error) {
	if ref == "" {
		return "", errors.New("no run was named; give an id, the beginning of one, last, or a file")
	}
	if strings.ContainsAny(ref, `/\`) || strings.HasSuffix(ref, Extension) {
		return findFile(ref)
	}
	files, err := files(dir)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("run %q: there are no runs in %s", ref, dir)
	}
	if ref == Last {
		return files[0].path, nil
	}
	var found []file
	for _, f := range files {
		if f.id == ref {
			return f.path, nil
		}
		if strings.HasPrefix(f.id, ref) {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		if path, err := findFile(ref); err == nil {
			return path, nil
		}
		return "", fmt.Errorf("no run in %s begins with %q; the newest are %s", dir, ref, ids(files))
	case 1:
		return found[0].path, nil
	}
	return "", fmt.Errorf("%d runs in %s begin with %q: %s", len(found), dir, ref, ids(found))
}

func findFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("record: %w", err)
	}
	if info.IsDir() {
		return "", fmt.Errorf("record: %s is a folder", path)
	}
	return path, nil
}

// ids names the first few.
func ids(files []file) string {
	const few = 5
	var names []string
	for _, f := range files[:min(few, len(files))] {
		names = append(names, f.id)
	}
	if len(files) > few {
		names = append(names, "...")
	}
	return strings.Join(names, ", ")
}

// file is a record in a folder, unopened.
type file struct {
	id, path string
	size     int64
	changed  time.Time
}

// files finds the records of a folder, newest first: by the time in their ids
// and, within a second, by when they were last written.
func files(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("folder of records: %w", err)
	}
	var found []file
	for _, entry := range entries {
		id, isRecord := strings.CutSuffix(entry.Name(), Extension)
		info, err := entry.Info()
		if !isRecord || err != nil || info.IsDir() {
			continue
		}
		found = append(found, file{id, filepath.Join(dir, entry.Name()), info.Size(), info.ModTime()})
	}
	slices.SortFunc(found, func(a, b file) int {
		before, _, _ := strings.Cut(a.id, "-")
		after, _, _ := strings.Cut(b.id, "-")
		if before != after {
			return strings.Compare(after, before)
		}
		if c := b.changed.Compare(a.changed); c != 0 {
			return c
		}
		return strings.Compare(b.id, a.id)
	})
	return found, nil
}

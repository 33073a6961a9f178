package store

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"modernc.org/sqlite"

	"resilience/internal/measure"
)

// Keep says how long the history of a canary is kept. Zero stands for the
// default.
type Keep struct {
	Attempts time.Duration // each attempt for itself; default 6 hours
	Minutes  time.Duration // roll-ups by the minute; default 14 days
	Hours    time.Duration // roll-ups by the hour, and by the day; default 400 days
}

func (k Keep) filled() Keep {
	if k.Attempts == 0 {
		k.Attempts = 6 * time.Hour
	}
	if k.Minutes == 0 {
		k.Minutes = 14 * 24 * time.Hour
	}
	if k.Hours == 0 {
		k.Hours = 400 * 24 * time.Hour
	}
	return k
}

// State is what outlives the daemon of a canary, in one SQLite file: documents,
// attempts, and roll-ups of them by the minute, the hour and the day.
//
// What was committed survives a kill -9 of the process at any moment. A commit
// with documents has also reached the disk, with all that came before, so that
// a power cut loses no incident and no notice; it may lose attempts that were
// committed since. No roll-up is held in memory: a commit reads those that it
// adds to, and writes them with the rest.
//
// It is safe for concurrent use. Reading waits for nobody.
type State struct {
	path  string
	keep  Keep
	lock  *os.File
	read  *sql.DB
	names seriesNames

	mu    sync.Mutex   // guards write
	write *stateWriter // nil once closed
}

// stateReaders is how many may read a state at a time; others wait.
const stateReaders = 4

// OpenState opens the state at path, which is made if it is missing, with its
// folder. One process may have it at a time. A file that is none, is damaged, or
// is of another format is an error, and stays as it is.
func OpenState(path string, keep Keep) (*State, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("folder of the state: %w", err)
	}
	lock, err := lockState(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("state %s: %w", path, err)
	}
	s := &State{path: path, keep: keep.filled(), lock: lock, names: newSeriesNames()}
	if s.write, err = newStateWriter(path); err != nil {
		return nil, errors.Join(s.failed("open", err), lock.Close())
	}
	if s.read, err = sql.Open("sqlite", dsn(path, "mode=ro")); err != nil {
		return nil, errors.Join(s.failed("open", err), s.write.close(), lock.Close())
	}
	s.read.SetMaxOpenConns(stateReaders)
	return s, nil
}

// lockState takes the lock that the kernel frees when its process ends, however
// it ends. The file is never removed, so that all look at the same one.
func lockState(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := file.ReadAt(holder, 0)
		return nil, errors.Join(fmt.Errorf("%w (process %s)", errStateUsed, strings.TrimSpace(string(holder[:n]))), file.Close())
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(file, os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// errStateUsed says that another process has the state.
var errStateUsed = errors.New("another process has it open; give each canary a state of its own, or stop the other one")

// errStateClosed says that the state was closed.
var errStateClosed = errors.New("the state was closed")

// Path is where the file is.
func (s *State) Path() string { return s.path }

// Close frees the file for others.
func (s *State) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.write == nil {
		return nil
	}
	err := errors.Join(s.read.Close(), s.write.close(), s.lock.Close())
	s.write = nil
	if err != nil {
		return fmt.Errorf("close state %s: %w", s.path, err)
	}
	return nil
}

// Commit keeps attempts and documents together or not at all; a nil document is
// removed. Attempts may come late and in any order. Those of planned maintenance
// are kept, and not rolled up. Their messages are cut to measure.MaxMessage
// bytes. An attempt whose time is no number is an error.
func (s *State) Commit(attempts []measure.Attempt, documents map[string][]byte) error {
	return s.change("commit to", len(documents) > 0, func(w *stateWriter) error {
		for _, name := range slices.Sorted(maps.Keys(documents)) {
			if err := w.document(name, documents[name]); err != nil {
				return fmt.Errorf("document %s: %w", name, err)
			}
		}
		return w.attempts(attempts)
	})
}

// change runs one transaction; a synced one has reached the disk.
func (s *State) change(what string, synced bool, do func(*stateWriter) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.write == nil {
		return s.failed(what, errStateClosed)
	}
	if err := s.write.transaction(synced, do); err != nil {
		return s.failed(what, err)
	}
	return nil
}

// Codes of SQLite for a file that is none of its own, or no more.
const (
	codeCorrupt = 11
	codeNotADB  = 26
)

// errDamaged is part of errors about content that no writer has written.
var errDamaged = errors.New("it is damaged; move it away to begin with an empty one")

// failed says what could not be done with which state.
func (s *State) failed(what string, err error) error {
	var failure *sqlite.Error
	if errors.As(err, &failure) {
		if code := failure.Code() & 0xff; code == codeCorrupt || code == codeNotADB {
			err = fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	return fmt.Errorf("%s state %s: %w", what, s.path, err)
}

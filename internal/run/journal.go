package run

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"resilience/internal/plan"
)

// JournalExtension is how the names of journals end; they are beside the
// records.
const JournalExtension = ".journal"

// Journal is the file in which a run notes what would outlive it, before it is
// done: one JSON line for each entry, on the disk before anything goes on. The
// run holds a lock on it for as long as it lives. Whoever finds one without
// that lock undoes what is in it: the run's watchdog, or `resilience lift`.
type Journal struct {
	path   string
	hide   *hiding
	locked bool // or another has it, and may still write to it

	mu   sync.Mutex
	file *os.File
	next int
}

// entry is one line of a journal. Just one of its parts is set.
type entry struct {
	Run     *journalled `json:"run,omitempty"`     // the first line
	Fault   *kept       `json:"fault,omitempty"`   // is going to be injected; a later one of the same id replaces it
	Lifted  *lifted     `json:"lifted,omitempty"`  // a fault is gone, or could not be lifted
	Process *group      `json:"process,omitempty"` // a process group was started
	Ended   *group      `json:"ended,omitempty"`   // nothing of it is left
}

// journalled is the run that a journal belongs to.
type journalled struct {
	ID      string                 `json:"id"`
	Dir     string                 `json:"dir"` // of the plan
	Seed    int64                  `json:"seed"`
	Secrets map[string]plan.Secret `json:"secrets,omitempty"` // where they are kept, not what they are
}

// kept is what it takes to undo a fault.
type kept struct {
	ID         int               `json:"id"`
	Phase      string            `json:"phase"`
	Disruption json.RawMessage   `json:"disruption"`           // a plan.Disruption
	Dependency json.RawMessage   `json:"dependency,omitempty"` // the plan.Dependency that it acts on
	Env        map[string]string `json:"env,omitempty"`        // for commands, beside the environment
	Undo       json.RawMessage   `json:"undo,omitempty"`       // what the disruption's driver kept
	Deadline   time.Time         `json:"deadline"`             // when it is to be lifted at the latest
}

// lifted says what became of a fault.
type lifted struct {
	ID    int       `json:"id"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`              // the run, its watchdog or resilience lift
	Error string    `json:"error,omitempty"` // why it may still be active
}

// group is a process group: that of the process with this id, which started
// then.
type group struct {
	Pid     int    `json:"pid"`
	Started string `json:"started"` // as [startOf] gives it
	Name    string `json:"name,omitempty"`
}

// ErrAlive says that a run is still going on: its journal is its own.
var ErrAlive = errors.New("the run is still going on")

// CreateJournal begins the journal of a run. Getenv looks up secrets: what is
// written has placeholders in their place.
func CreateJournal(path string, p plan.Plan, id string, seed int64, getenv func(string) (string, bool)) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{path: path, file: file, hide: newHiding(p, getenv), locked: true}
	err = errors.Join(lock(file), j.write(entry{Run: &journalled{ID: id, Dir: p.Dir, Seed: seed, Secrets: p.Secrets}}), syncFolder(filepath.Dir(path)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), file.Close(), os.Remove(path))
	}
	return j, nil
}

// syncFolder puts the names in a folder on the disk: a file without one would
// be found by nobody after a power cut.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// openJournal opens the journal of a run that is over, to go on with it. The
// error is [ErrAlive] when the run, or another that undoes it, has it.
func openJournal(path string, force bool) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	locked := lock(file) == nil
	if !locked && !force {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, ErrAlive), file.Close())
	}
	return &Journal{path: path, file: file, hide: &hiding{}, locked: locked}, nil
}

func lock(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// unlock lets others undo what is left.
func (j *Journal) unlock() error {
	j.locked = false
	return syscall.Flock(int(j.file.Fd()), syscall.LOCK_UN)
}

// Path is where the journal is.
func (j *Journal) Path() string { return j.path }

// id gives a number that no other fault of the run has.
func (j *Journal) id() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.next++
	return j.next
}

// write puts an entry on the disk. It is one write at the end of the file, so
// that the run and its watchdog may both do it.
func (j *Journal) write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	// A line that was cut off by a kill must not spoil this one: empty lines
	// are skipped.
	if _, err := j.file.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// close lets go of the journal; with nothing left in it the file goes, too,
// unless it is that of a run that goes on.
func (j *Journal) close() error {
	left, err := readLeft(j.path)
	if err == nil && left.nothing() && j.locked {
		err = os.Remove(j.path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, j.file.Close())
}

// left is what a journal says is not undone yet.
type left struct {
	run    journalled
	faults []kept   // by id
	groups []group  // in the order they were started
	failed []lifted // attempts that did not succeed, of the faults above

	damage error // of lines that can not be read: what they announced is not known
}

func (l left) nothing() bool { return len(l.faults) == 0 && len(l.groups) == 0 && l.damage == nil }

// damaged says what to do about lines that can not be read; nil if there are
// none. The journal stays until somebody has looked.
func (l left) damaged(path string) error {
	if l.damage == nil {
		return nil
	}
	return fmt.Errorf("%s: a fault of it may still be active: %w; look for it by hand, then remove the file", path, l.damage)
}

// readLeft reads a journal. A line that was cut off is no error: what it would
// have announced was not done. Lines that are damaged in another way are, but
// do not keep others from being read.
func readLeft(path string) (left, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return left{}, fmt.Errorf("journal: %w", err)
	}
	return parseLeft(data)
}

func parseLeft(data []byte) (left, error) {
	var l left
	whole := bytes.LastIndexByte(data, '\n') + 1
	lines := bufio.NewScanner(bytes.NewReader(data[:whole]))
	lines.Buffer(nil, maxEntry)
	begun := false
	for n := 1; lines.Scan(); n++ {
		e, err := parseEntry(lines.Bytes())
		switch {
		case errors.Is(err, errNoEntry):
		case !begun && (err != nil || e.Run == nil):
			return left{}, errors.Join(fmt.Errorf("journal: line %d: it does not begin with its run", n), err)
		case err != nil:
			l.damage = errors.Join(l.damage, fmt.Errorf("journal: line %d is damaged, and what it announced is not known: %w", n, err))
		default:
			begun = true
			l.apply(e)
		}
	}
	if err := lines.Err(); err != nil {
		return left{}, fmt.Errorf("journal: %w", err)
	}
	if !begun && !mayBegin(data[whole:]) {
		return left{}, errors.New("journal: it does not begin with its run")
	}
	return l, nil
}

// mayBegin reports whether a line that was cut off is the first of a journal: or
// the file of somebody else would be taken for one in which nothing is left, and
// removed.
func mayBegin(line []byte) bool {
	first := []byte(`{"run":{`)
	return bytes.HasPrefix(line, first[:min(len(line), len(first))])
}

// errNoEntry is of a line that announces nothing: it is empty, or was cut off
// by a kill before somebody else went on after it.
var errNoEntry = errors.New("no entry")

func parseEntry(line []byte) (entry, error) {
	var e entry
	if len(line) == 0 {
		return e, errNoEntry
	}
	err := json.Unmarshal(line, &e)
	switch {
	case err != nil && errors.Is(json.NewDecoder(bytes.NewReader(line)).Decode(&entry{}), io.ErrUnexpectedEOF):
		return e, errNoEntry // only the decoder has an error of its own for that
	case err != nil:
		return e, err
	case e == entry{}:
		return e, errors.New("it announces nothing")
	}
	return e, nil
}

// maxEntry bounds one line of a journal, in bytes.
const maxEntry = 16 << 20

func (l *left) apply(e entry) {
	switch {
	case e.Run != nil:
		l.run = *e.Run
	case e.Fault != nil:
		if i := l.fault(e.Fault.ID); i >= 0 {
			l.faults[i] = *e.Fault
		} else {
			l.faults = append(l.faults, *e.Fault)
		}
	case e.Lifted != nil && e.Lifted.Error != "":
		l.failed = append(l.failed, *e.Lifted)
	case e.Lifted != nil:
		if i := l.fault(e.Lifted.ID); i >= 0 {
			l.faults = slices.Delete(l.faults, i, i+1)
		}
	case e.Process != nil:
		l.groups = append(l.groups, *e.Process)
	case e.Ended != nil:
		l.groups = slices.DeleteFunc(l.groups, func(g group) bool { return g.Pid == e.Ended.Pid && g.Started == e.Ended.Started })
	}
}

func (l *left) fault(id int) int {
	return slices.IndexFunc(l.faults, func(k kept) bool { return k.ID == id })
}

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// SpoolExtension ends the names of spools; they are folders beside the records.
const SpoolExtension = ".spool"

const (
	segmentExtension = ".segment"
	segmentSize      = 512 << 10 // bytes at which the next one is begun
	maxSpooled       = 4 << 20   // bytes of one batch
)

// frameSize is what stands before a batch in a segment: its number (8 bytes),
// how many points it has (4), its length (4) and the CRC-32C of all three and
// of the batch (4), big endian.
const frameSize = 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errSpoolFull = errors.New("the spool is full")
	errSpoolUsed = errors.New("another process uses this spool: wait for it to end")
)

// spool is a queue of batches on disk. A batch is in a segment, a file that is
// only appended to, before anybody sends it, and the segment is removed once
// all of it was acknowledged: what a killed process had not sent, or had sent
// and not noted, is sent by the next one that opens the folder. It is safe for
// concurrent use.
type spool struct {
	dir   string
	limit int64 // bytes on disk
	lock  *os.File

	mu       sync.Mutex
	segments []segment // oldest first; the last may be open
	file     *os.File  // of the last segment; nil when there is none to append to
	size     int64     // of all segments
	next     uint64    // number of the next batch
	more     chan struct{}
}

// segment is one file of a spool.
type segment struct {
	path   string
	size   int64
	points int64 // only of what this process appended
}

// openSpool opens the folder of a spool, which is made if it is missing, and
// takes a lock on it. It holds at most limit bytes.
func openSpool(dir string, limit int64) (*spool, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("spool %s: %w", dir, errSpoolUsed), lock.Close())
	}
	s := &spool{dir: dir, limit: limit, lock: lock, more: make(chan struct{}, 1)}
	if err := s.find(); err != nil {
		return nil, errors.Join(fmt.Errorf("spool %s: %w", dir, err), lock.Close())
	}
	return s, nil
}

// find looks for segments that are there already.
func (s *spool) find() error {
	entries, err := os.ReadDir(s.dir) // sorted by name, which is that of age
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name, isSegment := strings.CutSuffix(entry.Name(), segmentExtension)
		first, err := strconv.ParseUint(name, 10, 64)
		if !isSegment || err != nil {
			continue
		}
		path := filepath.Join(s.dir, entry.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		batches, _ := readSegment(data)
		s.segments = append(s.segments, segment{path: path, size: int64(len(data)), points: batches.points})
		s.size += int64(len(data))
		s.next = max(s.next, first+1, batches.next)
	}
	return nil
}

// append keeps a batch of lines. Once it returns, the batch survives a kill -9.
// A batch that does not fit gives errSpoolFull.
func (s *spool) append(lines []byte, points int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int64(frameSize + len(lines))
	if size > maxSpooled || s.size+size > s.limit {
		return errSpoolFull
	}
	if s.file == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	last := &s.segments[len(s.segments)-1]
	if _, err := s.file.Write(frame(s.next, points, lines)); err != nil {
		return errors.Join(err, s.file.Truncate(last.size)) // half a batch would hide those after it
	}
	s.next++
	last.size, last.points, s.size = last.size+size, last.points+points, s.size+size
	if last.size >= segmentSize {
		s.seal()
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

func (s *spool) begin() error {
	path := filepath.Join(s.dir, fmt.Sprintf("%020d%s", s.next, segmentExtension))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	s.file, s.segments = file, append(s.segments, segment{path: path})
	return nil
}

// seal ends the segment that is appended to. All of it was written before, so
// that closing it can not lose anything.
func (s *spool) seal() {
	_ = s.file.Close()
	s.file = nil
}

// oldest gives the segment to send next and what is in it. There is none when
// ok is false. Damaged batches are left out: damaged tells how many bytes.
func (s *spool) oldest() (next segment, batches batches, damaged int, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) == 0 {
		return next, batches, 0, false, nil
	}
	if len(s.segments) == 1 && s.file != nil {
		s.seal()
	}
	next = s.segments[0]
	data, err := os.ReadFile(next.path)
	if err != nil {
		return next, batches, 0, false, err
	}
	batches, damaged = readSegment(data)
	return next, batches, damaged, true, nil
}

// remove forgets a segment, which was acknowledged or is of no use.
func (s *spool) remove(done segment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments = slices.DeleteFunc(s.segments, func(one segment) bool { return one.path == done.path })
	s.size -= done.size
	if err := os.Remove(done.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// waiting is how many points are in the spool.
func (s *spool) waiting() (points int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.segments {
		points += one.points
	}
	return points
}

// close lets go of the folder, and removes it when nothing is left in it.
func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.seal()
	}
	var err error
	if len(s.segments) == 0 {
		err = errors.Join(os.Remove(s.lock.Name()), os.Remove(s.dir))
	}
	return errors.Join(err, s.lock.Close())
}

func frame(number uint64, points int64, lines []byte) []byte {
	data := make([]byte, frameSize, frameSize+len(lines))
	binary.BigEndian.PutUint64(data, number)
	binary.BigEndian.PutUint32(data[8:], uint32(points))
	binary.BigEndian.PutUint32(data[12:], uint32(len(lines)))
	sum := crc32.Update(crc32.Checksum(data[:16], castagnoli), castagnoli, lines)
	binary.BigEndian.PutUint32(data[16:], sum)
	return append(data, lines...)
}

// batches are what a segment holds.
type batches struct {
	lines  []byte
	points int64
	next   uint64 // the number after the last
}

// readSegment reads batches up to the first that is damaged or out of turn, and
// tells how many bytes it left out.
func readSegment(data []byte) (b batches, damaged int) {
	for rest := data; len(rest) > 0; {
		if len(rest) < frameSize {
			return b, len(rest)
		}
		number, length := binary.BigEndian.Uint64(rest), int64(binary.BigEndian.Uint32(rest[12:]))
		if int64(len(rest)) < frameSize+length || (b.next != 0 && number != b.next) {
			return b, len(rest)
		}
		lines := rest[frameSize : frameSize+length]
		if crc32.Update(crc32.Checksum(rest[:16], castagnoli), castagnoli, lines) != binary.BigEndian.Uint32(rest[16:]) {
			return b, len(rest)
		}
		b.lines = append(b.lines, lines...)
		b.points += int64(binary.BigEndian.Uint32(rest[8:]))
		b.next, rest = number+1, rest[frameSize+length:]
	}
	return b, 0
}

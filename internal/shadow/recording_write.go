package shadow

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Writer writes a recording. It is a [Sink] that several goroutines may use.
//
// Exchanges may come out of order: two blocks wait in memory, and the earlier
// one is written when they are full. So what comes up to a block late (1 MiB or
// 4,096 exchanges) is in order of time in the whole file. What comes later than that
// is in order within its block, and readers have to put blocks together that
// overlap. What Flush writes waits no longer.
type Writer struct {
	mutex   sync.Mutex
	file    *os.File
	sync    [syncSize]byte
	maxBody int64
	packer  *zstd.Encoder
	encoder encoder
	waiting []Exchange
	weight  int
	packed  []byte
	out     []byte
	offset  int64
	index   []indexEntry
	count   uint64
	err     error // the first one; nothing is written after it
}

// Create begins a recording in a new file, readable by its owner alone. A file
// that is there already is an error.
func Create(path string, o Options) (*Writer, error) {
	most, err := o.maxBody()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("the recording %s is there already: remove it, or choose another name", path)
	}
	if err != nil {
		return nil, fmt.Errorf("create a recording: %w", err)
	}
	w := &Writer{file: file, maxBody: most}
	_, _ = rand.Read(w.sync[:]) // never fails
	w.packer, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithAllLitEntropyCompression(true)) // else images as base64 and digests as hex stay as long as they are
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	w.out = append(append(append(w.out, recordingMagic...), recordingVersion), w.sync[:]...)
	w.put()
	if err := errors.Join(w.err, w.writeDeclared(o.Declared)); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	return w, nil
}

// Write keeps an exchange, which the caller must not change afterwards. One that
// is longer than a recording allows is a [TooLongError], and the only thing that is
// lost; after any other error nothing more is written.
func (w *Writer) Write(x Exchange) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.err != nil {
		return w.err
	}
	if err := w.fit(&x); err != nil {
		return err
	}
	w.waiting = append(w.waiting, x)
	w.weight += weight(&x)
	if w.full() {
		w.drain(w.full)
	}
	return w.err
}

// Flush writes what waits in memory, so that readers see it and a crash can not
// lose it.
func (w *Writer) Flush() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.drain(w.waits)
	return w.err
}

// Close writes what waits, the index and the end, and closes the file.
func (w *Writer) Close() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if errors.Is(w.err, os.ErrClosed) {
		return nil
	}
	w.drain(w.waits)
	w.writeIndex()
	err := errors.Join(w.err, w.packer.Close(), w.file.Close())
	w.err = fmt.Errorf("the recording %s: %w", w.file.Name(), os.ErrClosed)
	return err
}

// Count is how many exchanges were taken.
func (w *Writer) Count() uint64 {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.count + uint64(len(w.waiting))
}

func (w *Writer) full() bool  { return w.weight >= 2*blockRaw || len(w.waiting) >= 2*blockCount }
func (w *Writer) waits() bool { return len(w.waiting) > 0 }

// drain writes the earliest exchanges, a block at a time, as long as there is need.
func (w *Writer) drain(need func() bool) {
	slices.SortStableFunc(w.waiting, func(a, b Exchange) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	for need() && w.err == nil {
		n, size := oneBlock(w.waiting)
		w.writeBlock(w.waiting[:n])
		w.waiting, w.weight = slices.Delete(w.waiting, 0, n), w.weight-size
	}
}

// oneBlock gives how many exchanges make the next block, and their weight.
func oneBlock(all []Exchange) (n, size int) {
	tenants, routes := map[string]bool{}, map[string]bool{}
	for n < len(all) && n < blockCount {
		x := &all[n]
		tenants[x.Tenant], routes[x.Route] = true, true
		more := weight(x)
		if n > 0 && (size+more > blockRaw || len(tenants) > blockNames || len(routes) > blockNames) {
			break
		}
		n, size = n+1, size+more
	}
	return n, size
}

func (w *Writer) writeBlock(all []Exchange) {
	h := headOf(all)
	w.encoder.reset(h.first)
	for i := range all {
		w.encoder.exchange(&all[i])
	}
	w.index = append(w.index, indexEntry{offset: w.offset, count: h.count, first: h.first, last: h.last})
	w.writeFrame(kindBlock, h.append(nil), w.encoder.raw)
	w.count += h.count
}

func (w *Writer) writeFrame(kind byte, head, raw []byte) {
	packed := w.packer.EncodeAll(raw, w.packed[:0])
	w.packed = packed
	f := frame{kind: kind, head: len(head), packed: len(packed), raw: len(raw), headSum: checksum(head), dataSum: checksum(packed)}
	w.out = f.append(w.out, w.sync)
	w.out = append(append(w.out, head...), packed...)
	w.put()
}

// put writes out in one piece.
func (w *Writer) put() {
	if w.err == nil {
		if _, err := w.file.Write(w.out); err != nil {
			w.err = fmt.Errorf("write the recording %s: %w", w.file.Name(), err)
		}
	}
	w.offset += int64(len(w.out))
	w.out = w.out[:0]
}

// indexEntry says where a block is, and when its exchanges began.
type indexEntry struct {
	offset      int64
	count       uint64
	first, last int64 // in Unix nanoseconds
}

// writeIndex writes the index and the end. An index that would be too long is
// left out: the heads of the blocks say the same.
func (w *Writer) writeIndex() {
	raw := appendIndex(nil, w.index)
	if len(raw) > maxIndex || w.err != nil {
		return
	}
	at := w.offset
	w.writeFrame(kindIndex, nil, raw)
	w.out = binary.LittleEndian.AppendUint64(w.out, uint64(at))
	w.out = binary.LittleEndian.AppendUint64(w.out, w.count)
	w.out = binary.LittleEndian.AppendUint32(w.out, checksum(w.out))
	w.out = append(w.out, recordingEnd...)
	w.put()
}

func appendIndex(b []byte, all []indexEntry) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	var before indexEntry
	for _, e := range all {
		b = binary.AppendUvarint(b, uint64(e.offset-before.offset))
		b = binary.AppendUvarint(b, e.count)
		b = binary.AppendVarint(b, e.first-before.first)
		b = binary.AppendUvarint(b, uint64(e.last-e.first))
		before = e
	}
	return b
}

// readIndex reads the index of blocks that end at a place in the file.
func readIndex(raw []byte, end int64) ([]indexEntry, error) {
	d := decoder{raw: raw}
	n := d.count()
	all := make([]indexEntry, 0, n/4) // each takes four bytes at least
	var e indexEntry
	for range n {
		before := e.offset
		e.offset += int64(d.number())
		e.count = d.number()
		e.first += d.signed()
		e.last = e.first + int64(d.number())
		if e.offset <= before || e.offset >= end {
			d.fail(errNumber)
		}
		if d.err != nil {
			return nil, d.err
		}
		all = append(all, e)
	}
	return all, nil
}

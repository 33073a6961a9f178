package shadow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Reader reads a recording, a block at a time. It is a [Source] for one goroutine.
type Reader struct {
	file     io.ReaderAt
	closer   io.Closer
	path     string
	size     int64 // of the file when it was opened, in bytes
	sync     [syncSize]byte
	unpacker *zstd.Decoder
	chosen   Selection
	index    []indexEntry // nil where there is none
	entry    int          // the next of the index
	ordered  *ordered     // nil where blocks follow each other in time
	ended    bool         // the recording has its end
	at       int64        // where the next block is
	in       []byte       // a block as it is in the file
	raw      []byte       // the exchanges of a block
	block    decoder      // reads them
	left     uint64       // how many are still to be read
	blockAt  int64        // where this block is
	declared Declared
}

// Open opens a recording. One that was not closed, because it still grows or its
// writer was killed, is read up to its last whole block. What is no recording, or
// of a version that this program does not know, is an [InputError].
func Open(path string) (*Reader, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	r, err := newReader(path, file, size)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	r.closer = file
	return r, nil
}

func newReader(path string, file io.ReaderAt, size int64) (*Reader, error) {
	r := &Reader{file: file, path: path, size: size, at: int64(headerSize)}
	header := make([]byte, headerSize)
	if n, err := file.ReadAt(header, 0); n < headerSize {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the recording %s: %w", path, err)
		}
		return nil, foreign(path, file, size)
	}
	switch version := header[len(recordingMagic)]; {
	case string(header[:len(recordingMagic)]) != recordingMagic:
		return nil, foreign(path, file, size)
	case version != recordingVersion:
		return nil, &InputError{Path: path, Why: fmt.Sprintf("it is a recording of version %d; this program reads version %d: use a newer one", version, recordingVersion)}
	}
	r.sync = [syncSize]byte(header[len(recordingMagic)+1:])
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecoderMaxWindow(maxRaw))
	if err != nil {
		return nil, err
	}
	r.unpacker = unpacker
	r.findEnd()
	r.findDeclared()
	r.Select(Selection{})
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error {
	r.unpacker.Close()
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// Select reads from the beginning, and only what is chosen. Blocks that can not
// hold any of it are not unpacked.
func (r *Reader) Select(s Selection) {
	r.chosen, r.at, r.entry, r.left = s, int64(headerSize), 0, 0
	if overlap(r.index) {
		r.ordered = newOrdered(r.index)
	}
}

// Extent is how many exchanges the recording has, and when the first and the last of
// them began, as its index says; false where it has none, so that only reading it tells.
func (r *Reader) Extent() (count uint64, first, last time.Time, known bool) {
	for i, e := range r.index {
		from, to := time.Unix(0, e.first).UTC(), time.Unix(0, e.last).UTC()
		if i == 0 || from.Before(first) {
			first = from
		}
		if i == 0 || to.After(last) {
			last = to
		}
		count += e.count
	}
	return count, first, last, r.index != nil
}

// Complete reports whether the recording was closed by its writer.
func (r *Reader) Complete() bool { return r.ended }

// findEnd reads the end and the index, where the recording has them whole.
func (r *Reader) findEnd() {
	end := make([]byte, endSize)
	if r.size < int64(headerSize+endSize) || r.readAt(end, r.size-int64(endSize)) != nil {
		return
	}
	at := int64(binary.LittleEndian.Uint64(end))
	if string(end[20:]) != recordingEnd || checksum(end[:16]) != binary.LittleEndian.Uint32(end[16:]) {
		return
	}
	f, why := r.frameAt(at) // which is anywhere, if the file lies
	if why != "" || f.kind != kindIndex || f.size() > r.size-at || r.unpack(at, f) != nil {
		return
	}
	r.ended = true
	if index, err := readIndex(r.raw, at); err == nil {
		r.index = index
	}
}

// Next gives the next exchange that is chosen, in order of time: of a complete
// recording, whatever order it was written in, unless more than 64 blocks overlap;
// of one that has no end, in the order of its blocks. Its error is [io.EOF] at the end,
// and a [DamageError] when a part of the file can not be read; the call after that
// one gives what follows it.
func (r *Reader) Next() (Exchange, error) {
	if r.ordered != nil {
		return r.nextInOrder()
	}
	return r.nextInFile()
}

// nextInFile is Next in the order of the file.
func (r *Reader) nextInFile() (Exchange, error) {
	for {
		for r.left > 0 {
			r.left--
			x := r.block.exchange()
			if r.block.err != nil {
				return Exchange{}, r.damagedBlock(r.block.err.Error())
			}
			if r.chosen.holds(&x) {
				return x, nil
			}
		}
		if err := r.nextBlock(); err != nil {
			return Exchange{}, err
		}
	}
}

func (r *Reader) damagedBlock(why string) error {
	r.left = 0
	return &DamageError{Path: r.path, Offset: r.blockAt, Lost: r.at - r.blockAt, Why: why}
}

// nextBlock unpacks the next block that may hold what is chosen.
func (r *Reader) nextBlock() error {
	for {
		r.passOver()
		h, f, err := r.nextHead()
		switch {
		case err != nil:
			return err
		case !r.chosen.mayHold(h):
			continue
		}
		if err := r.unpack(r.blockAt, f); err != nil {
			return r.damagedBlock(err.Error())
		}
		r.block = decoder{raw: r.raw, known: r.block.known[:0], last: h.first}
		r.left = h.count
		return nil
	}
}

// nextHead goes to the next block of exchanges and reads its head.
func (r *Reader) nextHead() (head, frame, error) {
	for {
		h, f, err := r.headHere()
		if err != nil || f.kind != kindDeclared {
			return h, f, err
		}
	}
}

// headHere is nextHead, or goes over a block of another kind.
func (r *Reader) headHere() (head, frame, error) {
	f, why := r.frameAt(r.at)
	if why != "" {
		return head{}, f, r.resume(why)
	}
	r.blockAt = r.at
	if f.size() > r.size-r.at { // still being written, or cut off
		r.at = r.size
		return head{}, f, io.EOF
	}
	r.at += f.size()
	switch {
	case f.kind == kindIndex:
		r.at = r.size
		return head{}, f, io.EOF
	case f.kind == kindDeclared:
		if err := r.readDeclared(r.blockAt, f); err != nil {
			return head{}, f, r.damagedBlock(err.Error())
		}
		return head{}, f, nil
	case f.kind != kindBlock:
		return head{}, f, r.damagedBlock(fmt.Sprintf("there are no blocks of kind %d", f.kind))
	}
	h, err := r.headAt(r.blockAt, f)
	if err != nil {
		err = r.damagedBlock(err.Error())
	}
	return h, f, err
}

// passOver goes over blocks that were before or are after the time that is chosen,
// where there is an index.
func (r *Reader) passOver() {
	for r.entry < len(r.index) && r.index[r.entry].offset < r.at {
		r.entry++
	}
	for r.entry < len(r.index)-1 && r.index[r.entry].offset == r.at && !r.chosen.meets(r.index[r.entry].first, r.index[r.entry].last) {
		r.entry++
		r.at = r.index[r.entry].offset
	}
}

func (r *Reader) headAt(at int64, f frame) (head, error) {
	data := make([]byte, f.head)
	if err := r.readAt(data, at+int64(frameSize)); err != nil {
		return head{}, err
	}
	if checksum(data) != f.headSum {
		return head{}, errors.New("the checksum of the head of a block is wrong")
	}
	h, err := readHead(data)
	if err != nil {
		err = fmt.Errorf("the head of a block can not be read: %w", err)
	}
	return h, err
}

func (r *Reader) frameAt(at int64) (frame, string) {
	if at >= r.size {
		return frame{}, "the file ends"
	}
	b := make([]byte, frameSize)
	if err := r.readAt(b, at); err != nil {
		return frame{}, err.Error()
	}
	return readFrame(b, r.sync)
}

// unpack reads the packed part of a block into raw.
func (r *Reader) unpack(at int64, f frame) error {
	r.in = resized(r.in, f.packed)
	if err := r.readAt(r.in, at+int64(frameSize+f.head)); err != nil {
		return err
	}
	if checksum(r.in) != f.dataSum {
		return errors.New("the checksum of the exchanges of a block is wrong")
	}
	raw, err := r.unpacker.DecodeAll(r.in, r.raw[:0])
	if err != nil {
		return fmt.Errorf("a block can not be unpacked: %w", err)
	}
	if r.raw = raw; len(raw) != f.raw {
		return errors.New("a block has another length than it says")
	}
	return nil
}

// resized gives a slice of a length, the same one where it has room.
func resized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

func (r *Reader) readAt(b []byte, at int64) error {
	if n, err := r.file.ReadAt(b, at); n < len(b) {
		return fmt.Errorf("read at byte %d: %w", at, err)
	}
	return nil
}

// resume looks for the next block after a place where none begins. A file that
// was not ended may end with a part of a frame.
func (r *Reader) resume(why string) error {
	start := r.at
	if r.size-start < int64(frameSize) && !r.ended {
		r.at = r.size
		return io.EOF
	}
	if start >= r.size {
		return io.EOF
	}
	next, err := r.search(start + 1)
	if err != nil {
		return err
	}
	r.at = next
	return &DamageError{Path: r.path, Offset: start, Lost: next - start, Why: why}
}

// search gives the place of the next mark, or the end of the file.
func (r *Reader) search(from int64) (int64, error) {
	const piece = 64 << 10
	window := make([]byte, piece)
	for from < r.size {
		n := int(min(piece, r.size-from))
		if err := r.readAt(window[:n], from); err != nil {
			return 0, fmt.Errorf("read the recording %s: %w", r.path, err)
		}
		if i := bytes.Index(window[:n], r.sync[:]); i >= 0 {
			return from + int64(i), nil
		}
		if n < piece {
			break
		}
		from += int64(n - syncSize + 1)
	}
	return r.size, nil
}

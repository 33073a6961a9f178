package shadow

import (
	"encoding/binary"
	"hash/crc32"
)

// frame stands before a block.
type frame struct {
	kind              byte
	head, packed, raw int // lengths in bytes
	headSum, dataSum  uint32
}

// size is that of the block with its frame, in bytes.
func (f frame) size() int64 { return int64(frameSize) + int64(f.head) + int64(f.packed) }

func (f frame) append(b []byte, sync [syncSize]byte) []byte {
	start := len(b)
	b = append(append(b, sync[:]...), f.kind)
	for _, n := range []uint32{uint32(f.head), uint32(f.packed), uint32(f.raw), f.headSum, f.dataSum} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// readFrame reads a frame; the reason why there is none is in words.
func readFrame(b []byte, sync [syncSize]byte) (f frame, why string) {
	fields := b[syncSize+1:]
	number := func(i int) uint32 { return binary.LittleEndian.Uint32(fields[4*i:]) }
	switch {
	case [syncSize]byte(b) != sync:
		return f, "no block begins here"
	case checksum(b[:frameSize-4]) != number(5):
		return f, "the checksum of the frame of a block is wrong"
	}
	f = frame{kind: b[syncSize], headSum: number(3), dataSum: number(4)}
	if number(0) > maxHead || number(1) > maxPacked || number(2) > maxRaw {
		return f, "a block is longer than any may be"
	}
	f.head, f.packed, f.raw = int(number(0)), int(number(1)), int(number(2))
	return f, ""
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

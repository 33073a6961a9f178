package shadow

import (
	"fmt"
	"hash/crc32"
)

// How a recording is laid out, byte by byte, stands in docs/recordings.md. In
// short: a header, blocks, an index of the blocks and an end. A block has a frame
// (lengths and checksums), a head in the clear (times, tenants, routes) and
// exchanges compressed with zstd.
const (
	recordingMagic   = "\x89shadow\n"
	recordingEnd     = "\x89sh-end\n"
	recordingVersion = 1

	syncSize   = 8                                  // a random mark, the same before every block of a file
	headerSize = len(recordingMagic) + 1 + syncSize // magic, version, mark
	frameSize  = syncSize + 1 + 6*4                 // mark, kind, lengths, checksums
	endSize    = 8 + 8 + 4 + len(recordingEnd)      // of the index, of all exchanges, checksum
	kindBlock  = 1                                  // holds exchanges
	kindIndex  = 2                                  // says where blocks are
	maxHead    = 2 << 20                            // of a head, in bytes
	maxRaw     = 64 << 20                           // of a block before compression, in bytes
	maxPacked  = maxRaw + maxRaw/128 + 1<<10        // what zstd makes of that at worst, and more
	blockRaw   = 1 << 20                            // a block is written when it has so many bytes,
	blockCount = 4096                               // or so many exchanges,
	blockNames = 1024                               // or so many routes or tenants
	maxRoute   = 512                                // of the name of a route, in bytes
	maxTenant  = 256                                // of the name of a tenant, in bytes
	maxTarget  = 64 << 10                           // of a target, a session, a host or a header, in bytes
	maxHeaders = 1 << 20                            // of all headers of a message, in bytes
	maxIndex   = 64 << 20                           // of an index, in bytes; millions of blocks
	bodyKept   = 1 << 20                            // of a body unless Options say otherwise, in bytes
	noBodyKept = -1                                 // in Options.MaxBody: keep none
)

// MaxBody is how much of a body can be kept at most, in bytes: two of them fit into
// a block.
const MaxBody = 16 << 20

// castagnoli is the polynomial of all checksums: processors have an instruction for it.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Options say how a recording is written. The zero value is fine.
type Options struct {
	// MaxBody is how much of a body is kept, in bytes, at most 16 MiB; 0 is 1 MiB,
	// and -1 keeps none. What is longer is Cut, with its size and digest.
	MaxBody int64
	// Declared is what exchanges were redacted of before they are written.
	Declared Declared
}

func (o Options) maxBody() (int64, error) {
	switch {
	case o.MaxBody == 0:
		return bodyKept, nil
	case o.MaxBody == noBodyKept:
		return 0, nil
	case o.MaxBody < 0 || o.MaxBody > MaxBody:
		return 0, fmt.Errorf("bodies of %d bytes can not be kept: at most %d (16 MiB)", o.MaxBody, MaxBody)
	}
	return o.MaxBody, nil
}

// DamageError tells of a part of a recording that can not be read. Reading goes on
// after it: the next call of [Reader.Next] gives what comes then.
type DamageError struct {
	Path   string
	Offset int64  // where the damaged part begins, in bytes from the start of the file
	Lost   int64  // how many bytes are passed over
	Why    string // what is wrong with them
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: damaged at byte %d: %s; %d bytes are passed over", e.Path, e.Offset, e.Why, e.Lost)
}

// TooLongError tells of an exchange that does not fit into a recording.
type TooLongError struct {
	What        string // such as "target"
	Size, Limit int    // in bytes
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the %s has %d bytes; a recording keeps at most %d", e.What, e.Size, e.Limit)
}

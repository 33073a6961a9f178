package shadow

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// lineRoom is what a line may have beside bodies, in bytes.
const lineRoom = 1 << 20

const (
	tooLongReason = "it is longer than can be read"
	notUTF8Reason = "it is not UTF-8"
)

// eachLine reads a file of lines, one record each. Lines that are empty are none;
// one that is too long is skipped. The place of a line is its number.
func (i *importing) eachLine(r *bufio.Reader, each func(line []byte, place string) error) error {
	most := lineRoom + 4*int(i.most) // of base64, twice, and more
	var buffer []byte
	for number := 1; ; number++ {
		place := fmt.Sprint("line ", number)
		line, tooLong, err := readLine(r, buffer[:0], most)
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			return i.failed(place, err)
		}
		if number == 1 {
			line = withoutBOM(line)
		}
		buffer = line[:0]
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case tooLong:
			i.begin()
			i.skip(tooLongReason, place)
		default:
			i.begin()
			if err := each(line, place); err != nil {
				return err
			}
		}
	}
}

// readLine appends a line with its end to a buffer, as much of it as is allowed.
func readLine(r *bufio.Reader, buffer []byte, most int) (line []byte, tooLong bool, err error) {
	for {
		piece, err := r.ReadSlice('\n')
		if room := most - len(buffer); len(piece) > room {
			piece, tooLong = piece[:max(room, 0)], true
		}
		buffer = append(buffer, piece...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buffer, tooLong, err
		}
	}
}

// firstLine is the first line of the start of a file that is not empty.
func firstLine(start []byte) []byte {
	for line := range bytes.Lines(start) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line
		}
	}
	return nil
}

// anyLine reports whether a line at the start of a file is one of a log: containers
// write what a server says when it starts, and its warnings, into the same file.
func anyLine(start []byte, is func(line []byte) bool) bool {
	for line := range bytes.Lines(start) {
		if line = bytes.TrimSpace(line); len(line) > 0 && utf8.Valid(line) && is(line) {
			return true
		}
	}
	return false
}

// isTextLine reports whether the first line of a file can be that of a log.
func isTextLine(start []byte) bool { return utf8.Valid(firstLine(start)) }

package shadow

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// jsonScanner goes through JSON of any size with little memory: what it captures
// is limited, and strings that are longer than allowed are cut. It looks at no more
// than it must; what is captured is checked by whoever decodes it.
type jsonScanner struct {
	r          *bufio.Reader
	at         int64 // bytes read
	mostString int   // of a string that is captured, in bytes
	mostValue  int   // of a value that is captured, in bytes
	buffer     []byte
	capturing  bool
	tooLong    bool
}

// mostNested is how deep JSON may be nested. encoding/json refuses more than 10,000.
const mostNested = 1000

// cutMark ends a string that was cut, before its length in bytes. It has a
// character that no text of HTTP has.
const cutMark = "\x00cut:"

var errNotJSON = errors.New("it is not JSON")

func (s *jsonScanner) byte() (byte, error) {
	b, err := s.r.ReadByte()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	s.at++
	if s.capturing {
		if len(s.buffer) < s.mostValue {
			s.buffer = append(s.buffer, b)
		} else {
			s.tooLong = true
		}
	}
	return b, nil
}

// token gives the next byte that is no space.
func (s *jsonScanner) token() (byte, error) {
	for {
		b, err := s.byte()
		if err != nil || strings.IndexByte(" \t\r\n", b) < 0 {
			return b, err
		}
	}
}

// peek is token, without taking the byte.
func (s *jsonScanner) peek() (byte, error) {
	for {
		b, err := s.r.Peek(1)
		if err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		if strings.IndexByte(" \t\r\n", b[0]) < 0 {
			return b[0], nil
		}
		if _, err := s.byte(); err != nil {
			return 0, err
		}
	}
}

func (s *jsonScanner) expect(want byte) error {
	got, err := s.token()
	if err == nil && got != want {
		err = fmt.Errorf("%w: %q stands where %q should", errNotJSON, got, want)
	}
	return err
}

// members goes through an object. each must read the value of its member.
func (s *jsonScanner) members(each func(name string) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	if next, err := s.peek(); err != nil || next == '}' {
		return errors.Join(err, s.expect('}'))
	}
	for {
		name, err := s.name()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := each(name); err != nil {
			return err
		}
		if more, err := s.more('}'); err != nil || !more {
			return err
		}
	}
}

// elements goes through an array. each must read its element.
func (s *jsonScanner) elements(each func() error) error {
	if err := s.expect('['); err != nil {
		return err
	}
	if next, err := s.peek(); err != nil || next == ']' {
		return errors.Join(err, s.expect(']'))
	}
	for {
		if err := each(); err != nil {
			return err
		}
		if more, err := s.more(']'); err != nil || !more {
			return err
		}
	}
}

func (s *jsonScanner) more(end byte) (bool, error) {
	b, err := s.token()
	if err == nil && b != ',' && b != end {
		err = fmt.Errorf("%w: %q stands where a comma should", errNotJSON, b)
	}
	return b == ',', err
}

// name reads the name of a member, its first bytes when it is long.
func (s *jsonScanner) name() (string, error) {
	if err := s.expect('"'); err != nil {
		return "", err
	}
	var name []byte
	for {
		b, err := s.byte()
		if err != nil || b == '"' {
			return string(name), err
		}
		if b == '\\' {
			if b, err = s.byte(); err != nil {
				return "", err
			}
		}
		if len(name) < maxRoute {
			name = append(name, b)
		}
	}
}

// capture gives the next value. tooLong is true when it is longer than allowed;
// all of it has been read then, too. The bytes are good until the next call.
func (s *jsonScanner) capture() (value []byte, tooLong bool, err error) {
	if _, err := s.peek(); err != nil {
		return nil, false, err
	}
	s.buffer, s.capturing, s.tooLong = s.buffer[:0], true, false
	err = s.skip()
	s.capturing = false
	return s.buffer, s.tooLong, err
}

// skip reads the next value.
func (s *jsonScanner) skip() error {
	for depth := 0; ; {
		b, err := s.token()
		if err != nil {
			return err
		}
		switch b {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',', ':':
		case '"':
			err = s.text()
		default:
			err = s.word()
		}
		switch {
		case err != nil:
			return err
		case depth > mostNested:
			return fmt.Errorf("it is nested more than %d deep", mostNested)
		case depth < 0 || depth == 0 && (b == ',' || b == ':'):
			return fmt.Errorf("%w: %q stands where a value should", errNotJSON, b)
		case depth == 0:
			return nil
		}
	}
}

// word reads the rest of a number, true, false or null.
func (s *jsonScanner) word() error {
	for {
		b, err := s.r.Peek(1)
		if err != nil || strings.IndexByte(",:]}\"[{ \t\r\n", b[0]) >= 0 {
			return nil // the end of the file is found by whoever reads on
		}
		if _, err := s.byte(); err != nil {
			return err
		}
	}
}

// text reads the rest of a string. Of a long one, the start is captured, a mark and
// how long it was.
func (s *jsonScanner) text() error {
	start, capturing := s.at, s.capturing
	defer func() { s.capturing = capturing }()
	for {
		if s.capturing && s.at-start >= int64(s.mostString) {
			if next, err := s.r.Peek(1); err == nil && next[0]&0xc0 != 0x80 && next[0] != '"' { // not within a character
				s.capturing = false
			}
		}
		b, err := s.byte()
		if err != nil {
			return err
		}
		if b == '"' {
			break
		}
		if b == '\\' {
			if err := s.escape(); err != nil {
				return err
			}
		}
	}
	if capturing && !s.capturing {
		s.buffer = append(s.buffer, `\u0000`+cutMark[1:]+strconv.FormatInt(s.at-1-start, 10)+`"`...)
	}
	return nil
}

// escape reads what comes after a backslash, all of \u00e4.
func (s *jsonScanner) escape() error {
	b, err := s.byte()
	for i := 0; err == nil && b == 'u' && i < 4; i++ {
		if next, _ := s.r.Peek(1); len(next) == 0 || next[0] == '"' {
			return nil // whoever decodes it will say so
		}
		_, err = s.byte()
	}
	return err
}

// uncut takes the mark from a string.
func uncut(text string) (whole string, cut bool) {
	if at := strings.LastIndex(text, cutMark); at >= 0 && len(text)-at < 30 {
		return text[:at], true
	}
	return text, false
}

package measure

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// sketchVersion is the first byte of an encoded sketch. The mapping of values
// to keys is part of the version.
const sketchVersion = 1

// maxCount bounds the number of values in a decoded sketch, so that merging
// thousands of damaged ones does not overflow.
const maxCount = 1 << 53

var errSketchTruncated = errors.New("sketch ends early")

// MarshalBinary encodes the sketch: the version, then for each bin the distance
// of its key from the one before (a varint) and its count (a uvarint). Three
// bytes a bin are usual.
func (s *Sketch) MarshalBinary() ([]byte, error) {
	data := append(make([]byte, 0, 4+4*len(s.bins)), sketchVersion)
	previous := int32(0)
	for _, b := range s.bins {
		data = binary.AppendVarint(data, int64(b.key)-int64(previous))
		data = binary.AppendUvarint(data, b.count)
		previous = b.key
	}
	return data, nil
}

// UnmarshalBinary replaces the sketch by the one encoded in data. Data that is
// not a sketch of this version gives an error and leaves the sketch as it was;
// memory stays within a small multiple of the size of data.
func (s *Sketch) UnmarshalBinary(data []byte) error {
	if len(data) == 0 {
		return errSketchTruncated
	}
	if data[0] != sketchVersion {
		return fmt.Errorf("sketch of version %d, this program knows version %d", data[0], sketchVersion)
	}
	decoded := Sketch{}
	if len(data) > 1 {
		decoded.bins = make([]bin, 0, countBins(data[1:]))
	}
	for rest := data[1:]; len(rest) > 0; {
		var err error
		if rest, err = decoded.decodeBin(rest); err != nil {
			return err
		}
	}
	*s = decoded
	return nil
}

// MarshalJSON gives the binary encoding as a base64 string.
func (s *Sketch) MarshalJSON() ([]byte, error) {
	data, err := s.MarshalBinary()
	if err != nil {
		return nil, err
	}
	text := make([]byte, 0, 2+base64.StdEncoding.EncodedLen(len(data)))
	text = append(text, '"')
	text = base64.StdEncoding.AppendEncode(text, data)
	return append(text, '"'), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Sketch) UnmarshalJSON(text []byte) error {
	var data []byte
	if err := json.Unmarshal(text, &data); err != nil {
		return fmt.Errorf("sketch: %w", err)
	}
	return s.UnmarshalBinary(data)
}

// decodeBin appends the bin at the start of data and gives what follows it.
func (s *Sketch) decodeBin(data []byte) (rest []byte, err error) {
	distance, n := binary.Varint(data)
	if n <= 0 {
		return nil, errSketchTruncated
	}
	count, m := binary.Uvarint(data[n:])
	if m <= 0 {
		return nil, errSketchTruncated
	}
	previous := int64(0)
	if len(s.bins) > 0 {
		previous = int64(s.bins[len(s.bins)-1].key)
	}
	last := int64(lastIndex-firstIndex) + 1
	switch {
	case len(s.bins) > 0 && distance <= 0:
		return nil, errors.New("sketch with bins out of order")
	case distance > 2*last || distance < -last || previous+distance > last:
		return nil, errors.New("sketch with a bin out of range")
	case count == 0 || count > maxCount-s.count:
		return nil, errors.New("sketch with an impossible count")
	}
	s.bins = append(s.bins, bin{key: int32(previous + distance), count: count})
	s.count += count
	return data[n+m:], nil
}

// countBins counts the bins in encoded data: two varints each, and a varint
// ends with the first byte below 0x80.
func countBins(data []byte) int {
	ends := 0
	for _, b := range data {
		if b < 0x80 {
			ends++
		}
	}
	return ends / 2
}

package measure

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// WireVersion is the version of the frames that the harness and a child process
// exchange. Both sides begin with a [Hello] that names it.
const WireVersion = 1

// maxFrame is the greatest size of a frame's payload, in bytes.
const maxFrame = 16 << 20

// headerSize is a frame's length (4 bytes, big endian, of the payload alone)
// and its kind (1 byte).
const headerSize = 5

// errFrameTooLarge says that a payload is over maxFrame.
var errFrameTooLarge = errors.New("frame too large")

// FrameKind says what a frame carries.
type FrameKind byte

// Kinds of frames, with their payloads.
const (
	FrameHello    FrameKind = 1 // Hello, the first frame each way
	FrameBatch    FrameKind = 2 // Batch, child to harness
	FrameEnd      FrameKind = 3 // End, the child's last frame
	FrameStop     FrameKind = 4 // Stop, harness to child
	FrameSettings FrameKind = 5 // any JSON, harness to child
	FrameProbe    FrameKind = 6 // Probe, harness to child, for a VU that is free
	FrameProbed   FrameKind = 7 // Probed, child to harness, once for each probe
	FrameFree     FrameKind = 8 // Free, child to harness
)

const lastFrame = FrameFree

// Hello begins a conversation.
type Hello struct {
	Version int    `json:"version"` // WireVersion
	Source  string `json:"source"`  // the process that says hello
}

// End is the last a child says. A connection that closes without it belongs to
// a test that is incomplete.
type End struct {
	Complete bool   `json:"complete"` // the test ran as it was asked to
	Reason   string `json:"reason,omitempty"`
	Lost     uint64 `json:"lost,omitempty"` // samples that a full queue dropped
}

// Stop asks a child to end early.
type Stop struct {
	Reason string `json:"reason,omitempty"`
}

// Free says how many more VUs wait for a probe each: so many may be sent.
type Free struct {
	VUs int `json:"vus"`
}

// Frame is one message between the harness and a child process.
type Frame struct {
	Kind    FrameKind
	Payload []byte // JSON
}

// WriteFrame writes one frame with a single Write. It refuses a payload of
// more than 16 MiB and has then written nothing.
func WriteFrame(w io.Writer, kind FrameKind, payload any) error {
	data, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("frame of kind %d: %w", kind, err)
	}
	if len(data) > maxFrame {
		return fmt.Errorf("frame of kind %d: %d bytes, at most %d: %w", kind, len(data), maxFrame, errFrameTooLarge)
	}
	frame := make([]byte, headerSize, headerSize+len(data))
	binary.BigEndian.PutUint32(frame, uint32(len(data)))
	frame[4] = byte(kind)
	if _, err := w.Write(append(frame, data...)); err != nil {
		return fmt.Errorf("write frame of kind %d: %w", kind, err)
	}
	return nil
}

// WriteBatch writes a batch in as many frames as it takes. Only a single window,
// event or example of more than 16 MiB is refused.
func WriteBatch(w io.Writer, batch Batch) error {
	err := WriteFrame(w, FrameBatch, batch)
	if !errors.Is(err, errFrameTooLarge) || len(batch.Windows)+len(batch.Events)+len(batch.Examples) < 2 {
		return err
	}
	first, second := batch.halves()
	if err := WriteBatch(w, first); err != nil {
		return err
	}
	return WriteBatch(w, second)
}

// ReadFrame reads one frame. The error is io.EOF when the connection was closed
// between two frames, and wraps io.ErrUnexpectedEOF when inside of one. Memory
// grows with what arrives, not with what a header claims.
func ReadFrame(r io.Reader) (Frame, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err == io.EOF {
		return Frame{}, err
	} else if err != nil {
		return Frame{}, fmt.Errorf("frame header: %w", err)
	}
	size, kind := binary.BigEndian.Uint32(header[:]), FrameKind(header[4])
	if kind < FrameHello || kind > lastFrame {
		return Frame{}, fmt.Errorf("frame of unknown kind %d", kind)
	}
	if size > maxFrame {
		return Frame{}, fmt.Errorf("frame of kind %d: %d bytes, at most %d: %w", kind, size, maxFrame, errFrameTooLarge)
	}
	var payload bytes.Buffer
	if n, err := io.CopyN(&payload, r, int64(size)); err == io.EOF {
		return Frame{}, fmt.Errorf("frame of kind %d: %d of %d bytes: %w", kind, n, size, io.ErrUnexpectedEOF)
	} else if err != nil {
		return Frame{}, fmt.Errorf("frame of kind %d: %w", kind, err)
	}
	return Frame{Kind: kind, Payload: payload.Bytes()}, nil
}

// ReadHello reads the first frame of the other side. Anything but a hello of
// this version is an error.
func ReadHello(r io.Reader) (Hello, error) {
	frame, err := ReadFrame(r)
	if err != nil {
		return Hello{}, fmt.Errorf("hello: %w", err)
	}
	if frame.Kind != FrameHello {
		return Hello{}, fmt.Errorf("hello: got a frame of kind %d", frame.Kind)
	}
	var hello Hello
	if err := frame.Decode(&hello); err != nil {
		return Hello{}, err
	}
	if hello.Version != WireVersion {
		return Hello{}, fmt.Errorf("hello: the other side speaks version %d, this one %d", hello.Version, WireVersion)
	}
	return hello, nil
}

// Decode reads the payload into what v points to.
func (f Frame) Decode(v any) error {
	if err := json.Unmarshal(f.Payload, v); err != nil {
		return fmt.Errorf("frame of kind %d: %w", f.Kind, err)
	}
	return nil
}

// halves splits a batch in two of which neither is empty, given two things or
// more in it.
func (b Batch) halves() (first, second Batch) {
	first.Windows, second.Windows = split(b.Windows)
	first.Events, second.Events = split(b.Events)
	first.Examples, second.Examples = split(b.Examples)
	if len(first.Windows)+len(first.Events)+len(first.Examples) == 0 {
		first.Windows, second.Windows = second.Windows, nil
		if len(first.Windows) == 0 {
			first.Events, second.Events = second.Events, nil
		}
	}
	return first, second
}

func split[T any](all []T) (first, second []T) {
	middle := len(all) / 2
	return all[:middle], all[middle:]
}

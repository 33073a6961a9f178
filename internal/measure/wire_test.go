package measure

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func someBatch() Batch {
	return Batch{
		Windows: []Window{
			{Source: "k6", Series: Series{Metric: MetricRequest, Phase: "beta", Arm: Candidate}, Start: Second, Width: Second, Part: 1, Count: 3, Failed: 1, Sum: 6, Min: 1, Max: 3, Sketch: NewSketch(1, 2, 3)},
			{Source: "k6", Series: Series{Metric: MetricIteration}, Start: Second, Width: Second, Part: 2, Count: 3, Failed: 3, Dropped: 3},
		},
		Events:   []Event{{Source: "k6", Seq: 1, At: 5, Kind: EventAsked, Attrs: map[string]string{"rate": "50"}}},
		Examples: []Example{{At: 5, Kind: "status 503", Request: "GET /"}},
	}
}

func TestConversation(t *testing.T) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		_ = WriteFrame(there, FrameHello, Hello{Version: WireVersion, Source: "k6"})
		_ = WriteBatch(there, someBatch())
		_ = WriteFrame(there, FrameEnd, End{Complete: true, Lost: 3})
	}()
	hello, err := ReadHello(here)
	require.NoError(t, err)
	require.Equal(t, Hello{Version: WireVersion, Source: "k6"}, hello)

	frame, err := ReadFrame(here)
	require.NoError(t, err)
	require.Equal(t, FrameBatch, frame.Kind)
	var batch Batch
	require.NoError(t, frame.Decode(&batch))
	require.Equal(t, someBatch(), batch)

	frame, err = ReadFrame(here)
	require.NoError(t, err)
	var end End
	require.NoError(t, frame.Decode(&end))
	require.Equal(t, End{Complete: true, Lost: 3}, end)
	_, err = ReadFrame(here)
	require.Equal(t, io.EOF, err)
}

// Probes travel one way, and what became of them the other.
func TestProbesTravel(t *testing.T) {
	var b bytes.Buffer
	probe := Probe{Seq: 7, Transaction: "order", Exec: "order", Tenant: "acme", Due: 5, Timeout: 2e9, Tries: 2, Wait: 1e6}
	probed := Probed{Seq: 7, Attempt: Attempt{
		Series: Series{Metric: MetricTransaction, Transaction: "order", Tenant: "acme"},
		At:     6, Took: 12.5, Found: Accepted | Degraded, Tries: 2, Message: "status 503",
	}}
	require.NoError(t, WriteFrame(&b, FrameFree, Free{VUs: 3}))
	require.NoError(t, WriteFrame(&b, FrameProbe, probe))
	require.NoError(t, WriteFrame(&b, FrameProbed, probed))
	for kind, want := range map[FrameKind]any{FrameFree: Free{VUs: 3}, FrameProbe: probe, FrameProbed: probed} {
		got := reflect.New(reflect.TypeOf(want))
		for r := bytes.NewReader(b.Bytes()); ; {
			frame, err := ReadFrame(r)
			require.NoError(t, err, "no frame of kind %d", kind)
			if frame.Kind == kind {
				require.NoError(t, frame.Decode(got.Interface()))
				break
			}
		}
		require.Equal(t, want, got.Elem().Interface())
	}
}

func TestBadFrames(t *testing.T) {
	header := func(size uint32, kind byte) string {
		return string(append(binary.BigEndian.AppendUint32(nil, size), kind))
	}
	for name, c := range map[string]struct{ data, want string }{
		"half a header":  {"\x00\x00", "frame header: unexpected EOF"},
		"half a payload": {header(10, 2) + "{}", "2 of 10 bytes: unexpected EOF"},
		"oversized":      {header(maxFrame+1, 2), "at most 16777216: frame too large"},
		"claims a lot":   {header(maxFrame, 2), "0 of 16777216 bytes"},
		"unknown kind":   {header(0, 77), "unknown kind 77"},
		"next kind":      {header(0, byte(lastFrame)+1), "unknown kind 9"},
		"no kind":        {header(0, 0), "unknown kind 0"},
		"text":           {"panic: everything is lost", "unknown kind 99"},
	} {
		_, err := ReadFrame(strings.NewReader(c.data))
		require.ErrorContains(t, err, c.want, name)
	}
}

func TestBadHellos(t *testing.T) {
	for name, c := range map[string]struct {
		kind    FrameKind
		payload any
		want    string
	}{
		"other version": {FrameHello, Hello{Version: 9}, "speaks version 9, this one 1"},
		"other kind":    {FrameEnd, End{}, "got a frame of kind 3"},
		"no object":     {FrameHello, 12, "cannot unmarshal"},
	} {
		var b bytes.Buffer
		require.NoError(t, WriteFrame(&b, c.kind, c.payload))
		_, err := ReadHello(&b)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := ReadHello(strings.NewReader(""))
	require.ErrorIs(t, err, io.EOF)
}

func TestLargeBatchIsSplit(t *testing.T) {
	long := strings.Repeat("x", maxFrame/2)
	all := Batch{
		Windows:  []Window{{Source: long}, {Source: long, Part: 1}, {Source: "c"}},
		Events:   []Event{{Name: long}},
		Examples: []Example{{Message: long}},
	}
	var b bytes.Buffer
	require.NoError(t, WriteBatch(&b, all))
	var got Batch
	for b.Len() > 0 {
		frame, err := ReadFrame(&b)
		require.NoError(t, err)
		var part Batch
		require.NoError(t, frame.Decode(&part))
		got.Windows = append(got.Windows, part.Windows...)
		got.Events = append(got.Events, part.Events...)
		got.Examples = append(got.Examples, part.Examples...)
	}
	require.Equal(t, all, got)

	err := WriteBatch(&b, Batch{Events: []Event{{Name: long + long}}})
	require.ErrorIs(t, err, errFrameTooLarge)
	require.Zero(t, b.Len())
}

func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, WriteFrame(&b, FrameHello, Hello{Version: WireVersion}))
	require.NoError(f, WriteBatch(&b, someBatch()))
	f.Add(b.Bytes())
	f.Add([]byte("\x00\x00\x00\x02\x02{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for r := bytes.NewReader(data); ; {
			frame, err := ReadFrame(r)
			if err != nil {
				return
			}
			var batch Batch
			if frame.Decode(&batch) != nil {
				continue
			}
			for _, w := range batch.Windows {
				merged := Window{}
				merged.Merge(w)
				require.Equal(t, w.Sketch.Count(), merged.Sketch.Count())
				merged.Merge(w)
			}
			require.NoError(t, WriteBatch(io.Discard, batch))
		}
	})
}

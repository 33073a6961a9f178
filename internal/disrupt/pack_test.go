package disrupt

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// packedPair is a packed connection and its other end.
func packedPair(t *testing.T) (p *packed, near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	far, err = l.Accept()
	require.NoError(t, err)
	p = pack(near)
	t.Cleanup(func() { _, _ = p.Close(), far.Close() })
	require.NoError(t, far.SetDeadline(time.Now().Add(patience)))
	return p, near, far
}

func TestPackedSendsAllInOrder(t *testing.T) {
	p, _, far := packedPair(t)
	var sent bytes.Buffer
	for n := range 3000 {
		part := bytes.Repeat([]byte{byte(n)}, n%500)
		sent.Write(part)
	}
	go func() {
		for rest := sent.Bytes(); len(rest) > 0; {
			n, err := p.Write(rest[:min(250, len(rest))])
			if err != nil {
				return
			}
			rest = rest[n:]
		}
		_ = p.Close()
	}()
	got, err := io.ReadAll(far)
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent.Bytes(), got), "what waited was sent before closing")
	_, err = p.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
}

// What is written while something is on its way is sent as one.
func TestPackedSendsAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		p := pack(near)
		for range 4 { // the first is on its way, the others wait
			_, err := p.Write([]byte("part."))
			require.NoError(t, err)
			synctest.Wait()
		}
		got := make([]byte, 100)
		for _, want := range []string{"part.", "part.part.part."} {
			n, err := far.Read(got)
			require.NoError(t, err)
			require.Equal(t, want, string(got[:n]))
		}
		synctest.Wait()
		require.NoError(t, p.Close())
	})
}

// Closing does not wait for the other end, which is given some time to take
// what waits.
func TestPackedParts(t *testing.T) {
	for late, want := range map[time.Duration]int{parting / 2: maxWaiting, 2 * parting: 0} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			p := pack(near)
			_, err := p.Write(make([]byte, maxWaiting))
			require.NoError(t, err)
			start := time.Now()
			require.NoError(t, p.Close())
			require.Zero(t, time.Since(start))
			_, err = p.Write([]byte("x"))
			require.ErrorIs(t, err, net.ErrClosed)
			_, err = p.Read(make([]byte, 1))
			require.Error(t, err)
			<-time.After(late)
			got, err := io.ReadAll(far)
			require.NoError(t, err)
			require.Len(t, got, want)
			require.ErrorIs(t, p.Close(), net.ErrClosed)
		})
	}
}

// Who writes more than the other end takes has to wait, and closing does not.
func TestPackedHoldsWritersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		p := pack(near)
		for _, size := range []int{1, maxWaiting} { // one is on its way, the other waits
			_, err := p.Write(make([]byte, size))
			require.NoError(t, err)
			synctest.Wait()
		}
		var written atomic.Int64
		for range 2 {
			go func() {
				n, _ := p.Write(make([]byte, maxWaiting))
				written.Add(int64(n))
			}()
		}
		synctest.Wait()
		require.Zero(t, written.Load())
		_, err := io.ReadFull(far, make([]byte, 1))
		require.NoError(t, err)
		synctest.Wait()
		require.EqualValues(t, maxWaiting, written.Load(), "there is room for one")
		require.NoError(t, p.Close())
		synctest.Wait()
		require.EqualValues(t, maxWaiting, written.Load())
		<-time.After(parting)
		synctest.Wait() // nothing is left
	})
}

func TestPackedTellsOfErrors(t *testing.T) {
	p, near, _ := packedPair(t)
	require.NoError(t, near.Close())
	require.Eventually(t, func() bool {
		_, err := p.Write([]byte("x"))
		return err != nil
	}, patience, time.Millisecond)
	require.Error(t, p.Close())
}

// What is HTTP/2 for certain is packed on both sides.
func TestGRPCIsPacked(t *testing.T) {
	p, _, _ := grpcFront(t)
	require.IsType(t, packing{}, p.listener)
	c, err := p.upstream.transport.DialContext(t.Context(), "tcp", p.upstream.url.Host)
	require.NoError(t, err)
	defer c.Close()
	require.IsType(t, &packed{}, c)
}

package disrupt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Of linux/sock_diag.h and linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	sockDestroy      = 21
	diagInfo         = 2 // INET_DIAG_INFO, a struct tcp_info
	diagMessage      = 72
)

// socketID is struct inet_diag_sockid.
type socketID struct {
	SourcePort, Port uint16 // big endian, local and remote
	Source, Remote   [16]byte
	Interface        uint32
	Cookie           [2]uint32
}

// diagRequest is struct inet_diag_req_v2.
type diagRequest struct {
	Family, Protocol, Extensions, Pad uint8
	States                            uint32
	ID                                socketID
}

// connection is one side of a TCP connection of this network namespace.
type connection struct {
	family uint8
	id     socketID
	busy   bool // it received something and did not answer yet, or is being opened
}

// resetConnections resets the connections that others opened to a port of this
// network namespace, both sides of each (SOCK_DESTROY), so that they are opened
// again and meet what is in the way now, and looks again until there are none.
// Those that are half open are older than what is in the way, too; those from
// this very network namespace stay. It waits up to patience for each to be
// between two requests and returns how many it reset.
func resetConnections(ctx context.Context, port int, patience time.Duration) (int, error) {
	socket, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return 0, fmt.Errorf("open sock_diag: %w", err)
	}
	defer socket.Close()
	tracking, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return 0, fmt.Errorf("open ctnetlink: %w", err)
	}
	defer tracking.Close()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	count, deadline := 0, time.Now().Add(patience)
	for {
		open, err := connections(socket, port)
		past := time.Since(deadline)
		if err != nil || len(open) == 0 || past > patience {
			return count, err
		}
		late := past >= 0 || ctx.Err() != nil
		for _, c := range open {
			if c.busy && !late {
				continue
			}
			if err := errors.Join(destroy(socket, c), forget(tracking, c)); err != nil {
				return count, err
			}
			count++
		}
		<-tick.C
	}
}

// states are those of connections that are open, or half open.
const states = 1<<unix.BPF_TCP_ESTABLISHED | 1<<unix.BPF_TCP_SYN_RECV

// connections are those that are open to a port from outside.
func connections(socket *netlink.Conn, port int) ([]connection, error) {
	var out []connection
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		request := diagRequest{Family: family, Protocol: unix.IPPROTO_TCP, Extensions: 1 << (diagInfo - 1), States: states}
		request.ID.SourcePort = networkOrder(port)
		answers, err := socket.Execute(netlink.Message{
			Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump},
			Data:   raw(&request),
		})
		if err != nil {
			return nil, fmt.Errorf("list the connections to port %d: %w", port, err)
		}
		for _, a := range answers {
			c, ok := readConnection(family, a.Data)
			if ok && c.id.SourcePort == request.ID.SourcePort && c.id.Source != c.id.Remote {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// readConnection reads struct inet_diag_msg and the tcp_info after it.
func readConnection(family uint8, data []byte) (connection, bool) {
	if len(data) < diagMessage {
		return connection{}, false
	}
	c := connection{family: family}
	_, _ = binary.Decode(data[4:], binary.NativeEndian, &c.id)
	const state, receiveQueue = 1, 4 + 48 + 4
	if data[state] == unix.BPF_TCP_SYN_RECV {
		c.busy = true
		return c, true
	}
	c.busy = binary.NativeEndian.Uint32(data[receiveQueue:]) > 0
	attributes, err := netlink.NewAttributeDecoder(data[diagMessage:])
	if err != nil {
		return c, true
	}
	for attributes.Next() {
		if attributes.Type() != diagInfo {
			continue
		}
		var info unix.TCPInfo
		if _, err := binary.Decode(padded(attributes.Bytes(), int(unsafe.Sizeof(info))), binary.NativeEndian, &info); err == nil {
			// Milliseconds ago. When both are the same, what came last is not
			// known until that is a while ago.
			const while = 5
			recent := info.Last_data_recv == info.Last_data_sent && info.Last_data_recv < while
			unanswered := info.Data_segs_in > 0 && info.Data_segs_out == 0 // the first request
			c.busy = c.busy || recent || unanswered || info.Last_data_recv < info.Last_data_sent
		}
	}
	return c, true
}

// destroy resets a connection; one that is gone by now is fine.
func destroy(socket *netlink.Conn, c connection) error {
	request := diagRequest{Family: c.family, Protocol: unix.IPPROTO_TCP, States: states, ID: c.id}
	_, err := socket.Execute(netlink.Message{
		Header: netlink.Header{Type: sockDestroy, Flags: netlink.Request | netlink.Acknowledge},
		Data:   raw(&request),
	})
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("this kernel can not reset connections that exist (it lacks CONFIG_INET_DIAG_DESTROY): %w", err)
	}
	return fmt.Errorf("reset a connection: %w", err)
}

func raw(request *diagRequest) []byte {
	var out bytes.Buffer
	_ = binary.Write(&out, binary.NativeEndian, request) // to memory
	return out.Bytes()
}

// padded makes what an older kernel sent as long as is known now.
func padded(data []byte, size int) []byte {
	if len(data) >= size {
		return data
	}
	return append(data[:len(data):len(data)], make([]byte, size-len(data))...)
}

// networkOrder is a port as the kernel keeps it, read in native order.
func networkOrder(port int) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, uint16(port)))
}

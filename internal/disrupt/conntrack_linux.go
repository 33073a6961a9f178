package disrupt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Of linux/netfilter/nfnetlink_conntrack.h.
const (
	trackingDelete    = 2
	trackingTuple     = 1 // CTA_TUPLE_ORIG
	tupleIP           = 1
	tupleIPv4         = 1 // and the one after it is the destination
	tupleIPv6         = 3
	tupleProtocol     = 2
	tupleNumber       = 1
	tuplePort         = 2
	trackingSubsystem = 1
)

// forget ends the tracking of a connection that was reset by us. Or its client,
// when it comes again from the same port, would be taken for the same
// connection for ten seconds (nf_conntrack_tcp_timeout_close), and go where that
// one went. A kernel that lacks ctnetlink is let be: such a client is rare.
func forget(socket *netlink.Conn, c connection) error {
	local, remote := c.addresses()
	family, address := byte(unix.AF_INET), uint16(tupleIPv4)
	if local.Is6() {
		family, address = unix.AF_INET6, tupleIPv6
	}
	attributes := netlink.NewAttributeEncoder()
	attributes.ByteOrder = binary.BigEndian
	attributes.Nested(trackingTuple, func(tuple *netlink.AttributeEncoder) error {
		tuple.Nested(tupleIP, func(ip *netlink.AttributeEncoder) error {
			ip.Bytes(address, local.AsSlice())
			ip.Bytes(address+1, remote.AsSlice())
			return nil
		})
		tuple.Nested(tupleProtocol, func(protocol *netlink.AttributeEncoder) error {
			protocol.Uint8(tupleNumber, unix.IPPROTO_TCP)
			protocol.Bytes(tuplePort, binary.NativeEndian.AppendUint16(nil, c.id.SourcePort))
			protocol.Bytes(tuplePort+1, binary.NativeEndian.AppendUint16(nil, c.id.Port))
			return nil
		})
		return nil
	})
	about, err := attributes.Encode()
	if err != nil {
		return err
	}
	_, err = socket.Execute(netlink.Message{
		Header: netlink.Header{Type: trackingSubsystem<<8 | trackingDelete, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, about...),
	})
	if err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return fmt.Errorf("end the tracking of a connection that was reset: %w", err)
}

// addresses are those of both sides, in the family that packets have.
func (c connection) addresses() (local, remote netip.Addr) {
	if c.family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(c.id.Source[:])), netip.AddrFrom4([4]byte(c.id.Remote[:]))
	}
	return netip.AddrFrom16(c.id.Source).Unmap(), netip.AddrFrom16(c.id.Remote).Unmap()
}

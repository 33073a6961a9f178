package disrupt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ruleset is a table of nftables in this network namespace that the kernel
// removes when the socket that made it is closed, so also when this process is
// killed: that is what its owner flag is for (Linux 5.12 or later). It speaks
// netlink itself; no program has to be installed.
type ruleset struct {
	conn  *nftables.Conn
	table *nftables.Table
}

// ownerFlag is NFT_TABLE_F_OWNER of linux/netfilter/nf_tables.h.
const ownerFlag = 0x2

// loopback is the index of the interface lo in every network namespace. What
// comes in there is never touched: it is what the proxy of an agent, a sidecar
// or the system itself sends.
const loopback = 1

// newRuleset makes an empty table. An error says what the kernel or the
// process lacks.
func newRuleset(name string) (*ruleset, error) {
	var socket *netlink.Conn
	capture := func(c *netlink.Conn) error { socket = c; return nil }
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(capture))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	r := &ruleset{conn: conn, table: &nftables.Table{Name: name, Family: nftables.TableFamilyINet, Flags: ownerFlag}}
	if err := r.create(socket); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// create makes the table by hand: the library does not send flags.
func (r *ruleset) create(socket *netlink.Conn) error {
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: []byte(r.table.Name + "\x00")},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, ownerFlag)},
	})
	if err != nil {
		return err
	}
	about := func(family byte, resource uint16) []byte {
		return binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource)
	}
	_, err = socket.SendMessages([]netlink.Message{
		{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: netlink.Request}, Data: about(0, unix.NFNL_SUBSYS_NFTABLES)},
		{
			Header: netlink.Header{
				Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE,
				Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl,
			},
			Data: append(about(byte(r.table.Family), 0), attributes...),
		},
		{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_END, Flags: netlink.Request}, Data: about(0, unix.NFNL_SUBSYS_NFTABLES)},
	})
	if err == nil {
		_, err = socket.Receive()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no right to change the rules of this network namespace: the capability NET_ADMIN is missing: %w", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("this kernel has no nftables tables with an owner, which go away with their process: it takes Linux 5.12 or later: %w", err)
	}
	return fmt.Errorf("make the table %s of nftables: %w", r.table.Name, err)
}

// redirect sends new connections to a TCP port to another one of this network
// namespace. Connections that exist stay as they are; see resetConnections.
func (r *ruleset) redirect(from, to int) error {
	chain := r.conn.AddChain(&nftables.Chain{
		Name: "redirect", Table: r.table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityNATDest - 1),
	})
	const flags, synAmong, syn = 13, 0x17, 0x02 // FIN, SYN, RST and ACK; only SYN
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: chain, Exprs: append(
		arriving(unix.IPPROTO_TCP, from),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flags, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{synAmong}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{syn}},
		&expr.Counter{},
		&expr.Immediate{Register: 1, Data: bigEndian(to)},
		&expr.Redir{RegisterProtoMin: 1},
	)})
	// The kernel tracks connections in a network namespace while a rule there
	// wants it. This one, which nothing comes to, wants it until the table is
	// closed: without, those that were redirected would be lost with release.
	track := r.conn.AddChain(&nftables.Chain{Name: "track", Table: r.table})
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: track, Exprs: []expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: 1}}})
	return r.flush("redirect port %d", from)
}

// release ends the redirection of new connections. Those that were redirected
// stay connected until the table is closed.
func (r *ruleset) release() error {
	r.conn.FlushChain(&nftables.Chain{Name: "redirect", Table: r.table})
	return r.flush("end the redirection")
}

// lossScale is the precision of the share of packets that are lost.
const lossScale = 10_000

// lose drops a share (0 to 1) of the packets that come in for the ports, or
// for all when there are none, of the protocols tcp or udp, or of all when it
// is "". Which ones the kernel draws by itself: it takes no seed.
func (r *ruleset) lose(ports []int, protocol string, share float64) error {
	lost := r.conn.AddChain(&nftables.Chain{Name: "lost", Table: r.table})
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: lost, Exprs: []expr.Any{&expr.Counter{}}})
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: lost, Exprs: []expr.Any{
		&expr.Numgen{Register: 1, Modulus: lossScale, Type: unix.NFT_NG_RANDOM},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binary.BigEndian.AppendUint32(nil, uint32(share*lossScale+0.5))},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	in := r.conn.AddChain(&nftables.Chain{
		Name: "in", Table: r.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw, // before ports are translated
	})
	for _, match := range lossMatches(ports, protocol) {
		r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: in, Exprs: append(match, &expr.Verdict{Kind: expr.VerdictJump, Chain: lost.Name})})
	}
	return r.flush("drop packets")
}

func lossMatches(ports []int, protocol string) [][]expr.Any {
	protocols := map[string][]byte{"tcp": {unix.IPPROTO_TCP}, "udp": {unix.IPPROTO_UDP}}[protocol]
	switch {
	case len(ports) == 0 && protocol == "":
		return [][]expr.Any{arriving(0, 0)}
	case protocol == "":
		protocols = []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP}
	}
	if len(ports) == 0 {
		ports = []int{0}
	}
	var out [][]expr.Any
	for _, p := range protocols {
		for _, port := range ports {
			out = append(out, arriving(p, port))
		}
	}
	return out
}

// keep ends the loss of packets, and tells how many matched and how many of
// those were lost.
func (r *ruleset) keep() (matched, lost uint64, err error) {
	r.conn.FlushChain(&nftables.Chain{Name: "in", Table: r.table})
	if err := r.flush("end the loss of packets"); err != nil {
		return 0, 0, err
	}
	return r.losses()
}

// losses tells how many packets matched and how many were lost so far.
func (r *ruleset) losses() (matched, lost uint64, err error) {
	rules, err := r.conn.GetRules(r.table, &nftables.Chain{Name: "lost", Table: r.table})
	if err != nil {
		return 0, 0, fmt.Errorf("count lost packets: %w", err)
	}
	var counts []uint64
	for _, rule := range rules {
		for _, e := range rule.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				counts = append(counts, c.Packets)
			}
		}
	}
	if len(counts) != 2 {
		return 0, 0, fmt.Errorf("count lost packets: the rules of table %s are not those that were made", r.table.Name)
	}
	return counts[0], counts[1], nil
}

// close removes the table. It may be called again.
func (r *ruleset) close() error {
	if err := r.conn.CloseLasting(); err != nil {
		return fmt.Errorf("close nftables: %w", err)
	}
	return nil
}

func (r *ruleset) flush(what string, args ...any) error {
	if err := r.conn.Flush(); err != nil {
		return fmt.Errorf("nftables: %s: %w", fmt.Sprintf(what, args...), err)
	}
	return nil
}

// ownTables are the tables of this network namespace with a prefix.
func ownTables(prefix string) ([]string, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	tables, err := conn.ListTables()
	if err != nil {
		return nil, fmt.Errorf("list the tables of nftables: %w", err)
	}
	var out []string
	for _, t := range tables {
		if strings.HasPrefix(t.Name, prefix) {
			out = append(out, t.Name)
		}
	}
	return out, nil
}

// arriving matches packets from outside, of a protocol unless it is 0 and to a
// port unless that is 0.
func arriving(protocol byte, port int) []expr.Any {
	out := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, loopback)},
	}
	if protocol != 0 {
		out = append(out,
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}})
	}
	if port != 0 {
		out = append(out,
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: bigEndian(port)})
	}
	return out
}

func bigEndian(port int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(port)) }

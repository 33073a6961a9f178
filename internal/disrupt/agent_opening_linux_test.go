package disrupt

import (
	"encoding/binary"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// handshaker opens a TCP connection by hand, as slowly as it wants to, from an
// address that its own kernel knows nothing of.
type handshaker struct {
	t          *testing.T
	socket     int // of packets without their link header
	link       unix.SockaddrLinklayer
	port       uint16
	seq, their uint32
}

// Flags of TCP.
const (
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpPSH = 0x08
	tcpACK = 0x10
)

var handAddress = net.IPv4(10, 99, 77, 9).To4()

func newHandshaker(t *testing.T, w *podWorld) *handshaker {
	t.Helper()
	h := &handshaker{t: t, port: 40000, seq: 1000}
	ip := func(args string) string {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", args, out)
		return string(out)
	}
	mac := func(namespace string) net.HardwareAddr {
		_, after, ok := strings.Cut(ip("-n "+namespace+" -o link show eth0"), "link/ether ")
		require.True(t, ok)
		out, err := net.ParseMAC(strings.Fields(after)[0])
		require.NoError(t, err)
		return out
	}
	ip("-n " + w.pod + " neigh add " + handAddress.String() + " lladdr " + mac(w.caller).String() + " dev eth0")
	pod := mac(w.pod)
	inside(t, w.caller, func() {
		eth0, err := net.InterfaceByName("eth0")
		require.NoError(t, err)
		protocol := binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff})
		h.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(protocol))
		require.NoError(t, err)
		h.link = unix.SockaddrLinklayer{Protocol: protocol, Ifindex: eth0.Index, Halen: 6}
		copy(h.link.Addr[:], pod)
		require.NoError(t, unix.Bind(h.socket, &h.link))
	})
	require.NoError(t, unix.SetsockoptTimeval(h.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	t.Cleanup(func() { _ = unix.Close(h.socket) })
	return h
}

// send sends a segment.
func (h *handshaker) send(flags byte, data string) {
	h.t.Helper()
	tcp := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(tcp[0:], h.port)
	binary.BigEndian.PutUint16(tcp[2:], podPort)
	binary.BigEndian.PutUint32(tcp[4:], h.seq)
	binary.BigEndian.PutUint32(tcp[8:], h.their)
	tcp[12], tcp[13] = 5<<4, flags
	binary.BigEndian.PutUint16(tcp[14:], 65535) // window
	tcp = append(tcp, data...)
	pod := net.ParseIP(podAddress).To4()
	pseudo := append(append(append([]byte{}, handAddress...), pod...), 0, unix.IPPROTO_TCP, 0, byte(len(tcp)))
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))
	ip := []byte{4<<4 | 5, 0, 0, byte(20 + len(tcp)), 0, 0, 0, 0, 64, unix.IPPROTO_TCP, 0, 0}
	ip = append(append(ip, handAddress...), pod...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	require.NoError(h.t, unix.Sendto(h.socket, append(ip, tcp...), 0, &h.link))
	h.seq += uint32(len(data))
	if flags&tcpSYN != 0 {
		h.seq++
	}
}

// receive waits for a segment with one of the flags, or with data.
func (h *handshaker) receive(want byte) (flags byte, data string) {
	h.t.Helper()
	packet := make([]byte, 2000)
	for {
		n, _, err := unix.Recvfrom(h.socket, packet, 0)
		require.NoError(h.t, err, "nothing came")
		ip := packet[:n]
		if n < 40 || ip[9] != unix.IPPROTO_TCP || !handAddress.Equal(net.IP(ip[16:20])) {
			continue
		}
		tcp := ip[4*(ip[0]&0xf) : binary.BigEndian.Uint16(ip[2:])]
		if binary.BigEndian.Uint16(tcp[2:]) != h.port {
			continue
		}
		flags, data = tcp[13], string(tcp[4*(tcp[12]>>4):])
		if flags&tcpSYN != 0 {
			h.their = binary.BigEndian.Uint32(tcp[4:]) + 1
		}
		if flags&want != 0 || data != "" {
			return flags, data
		}
	}
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for len(b) > 1 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// TestAgentMeetsWhatIsBeingOpened: a connection whose first packet came before
// the fault, and whose last of the handshake came after, does not go past it.
func TestAgentMeetsWhatIsBeingOpened(t *testing.T) {
	w := newPodWorld(t)
	h := newHandshaker(t, w)
	request := "GET /past HTTP/1.1\r\nHost: pod\r\n\r\n"

	h.send(tcpSYN, "") // that it works without a fault
	h.receive(tcpSYN)
	h.send(tcpACK, "")
	h.send(tcpACK|tcpPSH, request)
	_, answer := h.receive(tcpRST)
	require.Contains(t, answer, "system /past")

	h.port, h.seq, h.their = h.port+1, 5000, 0
	h.send(tcpSYN, "")
	h.receive(tcpSYN)
	began := time.Now()
	require.Empty(t, w.inject("one", outage(), 0).Error)
	require.Less(t, time.Since(began), 5*time.Second)
	h.send(tcpACK, "")
	h.send(tcpACK|tcpPSH, request)
	flags, answer := h.receive(tcpRST)
	require.Empty(t, answer)
	require.NotZero(t, flags&tcpRST)
}

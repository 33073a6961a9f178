package disrupt

import (
	"encoding/binary"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
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
	require.NoError(t, unix.SetsockoptTimeval(h.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience.Seconds())}))
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
	for {
		flags, data, err := h.next(0)
		require.NoError(h.t, err, "nothing came")
		if flags&want != 0 || data != "" {
			return flags, data
		}
	}
}

// cameAlready looks for a segment with one of the flags among those that came.
func (h *handshaker) cameAlready(want byte) bool {
	h.t.Helper()
	for {
		flags, _, err := h.next(unix.MSG_DONTWAIT)
		if err != nil {
			require.ErrorIs(h.t, err, unix.EAGAIN)
			return false
		}
		if flags&want != 0 {
			return true
		}
	}
}

// next gives the next packet; all is 0 of one that is about something else.
func (h *handshaker) next(how int) (flags byte, data string, err error) {
	packet := make([]byte, 2000)
	n, _, err := unix.Recvfrom(h.socket, packet, how)
	if err != nil {
		return 0, "", err
	}
	ip := packet[:n]
	if n < 40 || ip[9] != unix.IPPROTO_TCP || !handAddress.Equal(net.IP(ip[16:20])) {
		return 0, "", nil
	}
	tcp := ip[4*(ip[0]&0xf) : binary.BigEndian.Uint16(ip[2:])]
	if binary.BigEndian.Uint16(tcp[2:]) != h.port {
		return 0, "", nil
	}
	if tcp[13]&tcpSYN != 0 {
		h.their = binary.BigEndian.Uint32(tcp[4:]) + 1
	}
	return tcp[13], string(tcp[4*(tcp[12]>>4):]), nil
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

// open opens a connection from a port, but for the last packet of the handshake.
func (h *handshaker) open(port uint16) {
	h.t.Helper()
	h.port, h.seq, h.their = port, h.seq+100_000, 0
	h.send(tcpSYN, "")
	h.receive(tcpSYN)
}

// probe asks whether the other side is there, as keep-alive does, which is
// answered at once.
func (h *handshaker) probe() {
	h.t.Helper()
	h.seq--
	h.send(tcpACK, "")
	h.seq++
}

// ask ends the handshake and sends a request.
func (h *handshaker) ask(path string) {
	h.t.Helper()
	h.send(tcpACK, "")
	h.send(tcpACK|tcpPSH, "GET "+path+" HTTP/1.1\r\nHost: pod\r\n\r\n")
}

// TestAgentMeetsWhatIsBeingOpened: a connection whose first packet came before
// the fault, and whose last of the handshake came after, does not go past it.
func TestAgentMeetsWhatIsBeingOpened(t *testing.T) {
	w := newPodWorld(t)
	h := newHandshaker(t, w)
	h.open(40000)
	h.ask("/past") // that it works without a fault
	_, answer := h.receive(tcpRST)
	require.Contains(t, answer, "system /past")

	h.open(40001)
	require.Empty(t, w.inject("one", outage(), 0).Error)
	h.ask("/past")
	flags, answer := h.receive(tcpRST)
	require.Empty(t, answer)
	require.NotZero(t, flags&tcpRST)
}

// TestAgentMeetsWhoComesFromTheSamePort: who was reset while a request was under
// way, and comes again from the same port, is not taken for the same connection.
func TestAgentMeetsWhoComesFromTheSamePort(t *testing.T) {
	w := newPodWorld(t)
	h := newHandshaker(t, w)
	for port := uint16(40000); ; port++ {
		id := strconv.Itoa(int(port))
		h.open(port)
		h.ask("/?wait=1m")
		injected := make(chan agentAnswer, 1)
		go func() { defer close(injected); injected <- w.inject(id, outage(), 0) }()
		w.redirected()
		h.probe() // so that the kernel tracks the connection
		inTime := !h.cameAlready(tcpRST)
		require.Empty(t, (<-injected).Error)
		if inTime {
			break
		}
		require.Less(t, port, uint16(40100), "never before the connection was reset")
		require.Empty(t, w.tell(agentRequest{Op: agentLift, ID: id}).Error)
		w.noTables()
	}
	h.open(h.port)
	h.ask("/")
	_, answer := h.receive(tcpRST)
	require.Contains(t, answer, "HTTP/1.1 503")
}

// redirected waits until a port of the pod is.
func (w *podWorld) redirected() {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		var chains []*nftables.Chain
		var err error
		inside(w.t, w.pod, func() { chains, err = new(nftables.Conn).ListChains() })
		return err == nil && slices.ContainsFunc(chains, func(c *nftables.Chain) bool { return c.Name == "redirect" })
	}, patience, time.Millisecond)
}

// TestAgentLetsTheFirstRequestArrive: of a connection that brought a request as it was
// opened, and that nothing was sent on yet, the times of both are the same.
func TestAgentLetsTheFirstRequestArrive(t *testing.T) {
	w := podWorldOf(t, patientAgent)
	h := newHandshaker(t, w)
	h.open(40000)
	h.ask("/?wait=1s")
	require.Empty(t, w.inject("one", outage(), 0).Error)
	_, answer := h.receive(tcpRST)
	require.Contains(t, answer, "HTTP/1.1 200")
}

package knit

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/knitnet/knit/transport"
)

// The headers of the files about sockets.
const (
	tcpHeader   = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
	udpHeader   = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"
	rawHeader   = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"
	tcp6Header  = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
	dgram6Extra = " ref pointer drops"
)

// The states of TCP that the files treat in their own way (TCP_*).
const (
	stateTimeWait = 6
	stateListen   = 10
)

func (k *Kernel) procTCP(w io.Writer) error {
	return k.procSockets(w, transport.TCP, false, 149, tcpHeader, tcpTail)
}

func (k *Kernel) procTCP6(w io.Writer) error {
	return k.procSockets(w, transport.TCP, true, 0, tcp6Header, tcpTail)
}

func (k *Kernel) procUDP(w io.Writer) error {
	return k.procSockets(w, transport.UDP, false, 127, udpHeader, dgramTail)
}

func (k *Kernel) procUDP6(w io.Writer) error {
	return k.procSockets(w, transport.UDP, true, 0, tcp6Header+dgram6Extra, dgramTail)
}

func (k *Kernel) procRaw(w io.Writer) error {
	return k.procSockets(w, transport.Raw, false, 0, rawHeader, dgramTail)
}

func (k *Kernel) procRaw6(w io.Writer) error {
	return k.procSockets(w, transport.Raw, true, 0, tcp6Header+dgram6Extra, dgramTail)
}

// procSockets writes the sockets of one protocol and IP version, lines padded to
// width. A socket for both versions is in the file of IPv6.
func (k *Kernel) procSockets(w io.Writer, kind transport.Kind, v6 bool, width int, header string, tail func(*transport.SocketInfo) string) error {
	if _, err := fmt.Fprintf(w, "%-*s\n", width, header); err != nil {
		return err
	}
	slot := 4
	if kind == transport.UDP {
		slot = 5
	}
	n := 0
	for _, s := range k.Transport.Sockets(kind) {
		if isV6(s) != v6 {
			continue
		}
		line := fmt.Sprintf("%*d: %s %s %s %s", slot, n, hexAddrPort(s.Local, v6), hexAddrPort(s.Remote, v6), queues(&s), tail(&s))
		if _, err := fmt.Fprintf(w, "%-*s\n", width, line); err != nil {
			return err
		}
		n++
	}
	return nil
}

func isV6(s transport.SocketInfo) bool { return !s.Local.Addr().Is4() }

// queues writes state, queues, timer, uid, timeout and inode.
func queues(s *transport.SocketInfo) string {
	tx := s.SendQ
	if s.StateNumber == stateListen && s.Proto == "tcp" {
		tx = 0 // what ss shows there is the limit of the backlog
	}
	timer, when := 0, int64(0)
	switch s.Timer {
	case "on":
		timer = 1
	case "keepalive":
		timer = 2
	case "timewait":
		timer = 3
	case "persist":
		timer = 4
	}
	if timer != 0 {
		when = ticks(s.TimerExpires)
	}
	return fmt.Sprintf("%02X %08X:%08X %02X:%08X %08X %5d %8d %d", s.StateNumber, tx, s.RecvQ, timer, when, s.Retransmits, s.UID, 0, s.ID)
}

// ticks turns nanoseconds into hundredths of a second, as USER_HZ is 100.
func ticks(ns int64) int64 { return max(ns, 0) / int64(10*time.Millisecond) }

// tcpTail writes references, a pointer that nobody may see, and congestion
// control's state.
func tcpTail(s *transport.SocketInfo) string {
	const pointer = "1 0000000000000000"
	switch {
	case s.StateNumber == stateTimeWait || s.TCP == nil && s.StateNumber != stateListen:
		return pointer
	case s.TCP == nil:
		return pointer + " 100 0 0 10 0" // what Linux shows of listeners
	}
	ssthresh := s.TCP.Ssthresh
	if ssthresh <= 0 || ssthresh >= 1<<31-1 {
		ssthresh = -1 // not known yet
	}
	return fmt.Sprintf("%s %d %d %d %d %d", pointer, ticks(s.TCP.RTO), ticks(s.TCP.ATO), 0, s.TCP.Cwnd, ssthresh)
}

func dgramTail(s *transport.SocketInfo) string { return fmt.Sprintf("2 0000000000000000 %d", s.Drops) }

// hexAddr writes an address in words of the byte order of most machines, as
// Linux does there.
func hexAddr(a netip.Addr) string {
	var b strings.Builder
	for words := a.AsSlice(); len(words) >= 4; words = words[4:] {
		fmt.Fprintf(&b, "%08X", binary.LittleEndian.Uint32(words))
	}
	return b.String()
}

func hexAddrPort(p netip.AddrPort, v6 bool) string {
	a := p.Addr()
	switch {
	case !a.IsValid() && v6:
		a = netip.IPv6Unspecified()
	case !a.IsValid():
		a = netip.IPv4Unspecified()
	case v6 && a.Is4():
		a = netip.AddrFrom16(a.As16())
	}
	return fmt.Sprintf("%s:%04X", hexAddr(a), p.Port())
}

// pageSize is the unit of memory in /proc/net/sockstat, in bytes.
const pageSize = 4096

// A tally counts sockets of one protocol.
type tally struct{ v4, v6, timeWait, bytes int }

func (k *Kernel) tally(kind transport.Kind) (t tally) {
	for _, s := range k.Transport.Sockets(kind) {
		switch {
		case s.StateNumber == stateTimeWait && kind == transport.TCP:
			t.timeWait++
			continue
		case isV6(s):
			t.v6++
		default:
			t.v4++
		}
		if kind != transport.TCP || s.StateNumber != stateListen {
			t.bytes += s.SendQ + s.RecvQ
		}
	}
	return t
}

func (t tally) pages() int { return (t.bytes + pageSize - 1) / pageSize }

// procSockstat counts sockets. Orphans and reassembly queues are their modules'
// own business and show as 0.
func (k *Kernel) procSockstat(w io.Writer) error {
	tcp, udp, raw := k.tally(transport.TCP), k.tally(transport.UDP), k.tally(transport.Raw)
	used := tcp.v4 + tcp.v6 + udp.v4 + udp.v6 + raw.v4 + raw.v6
	_, err := fmt.Fprintf(w, "sockets: used %d\nTCP: inuse %d orphan %d tw %d alloc %d mem %d\nUDP: inuse %d mem %d\nUDPLITE: inuse 0\nRAW: inuse %d\nFRAG: inuse 0 memory 0\n",
		used, tcp.v4, 0, tcp.timeWait, tcp.v4+tcp.v6, tcp.pages(), udp.v4, udp.pages(), raw.v4)
	return err
}

func (k *Kernel) procSockstat6(w io.Writer) error {
	_, err := fmt.Fprintf(w, "TCP6: inuse %d\nUDP6: inuse %d\nUDPLITE6: inuse 0\nRAW6: inuse %d\nFRAG6: inuse 0 memory 0\n",
		k.tally(transport.TCP).v6, k.tally(transport.UDP).v6, k.tally(transport.Raw).v6)
	return err
}

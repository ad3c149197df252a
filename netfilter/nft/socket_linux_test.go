//go:build linux

package nft_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// A maker makes sockets with what rules can see of them.
type maker interface {
	side
	listen(network, address string, o transport.StreamOptions) (net.Listener, error)
	listenPacket(network, address string, o transport.DatagramOptions) (net.PacketConn, error)
	dialPacket(network, local, remote string, o transport.DatagramOptions) (net.Conn, error)
	divert() error
}

func (s *knitSide) listen(network, address string, o transport.StreamOptions) (net.Listener, error) {
	return s.k.Sockets.ListenStream(network, address, o)
}

func (s *knitSide) listenPacket(network, address string, o transport.DatagramOptions) (net.PacketConn, error) {
	return s.k.Sockets.ListenDatagram(network, address, o)
}

func (s *knitSide) dialPacket(network, local, remote string, o transport.DatagramOptions) (net.Conn, error) {
	d := socket.Dialer{Sockets: s.k.Sockets, Local: netip.MustParseAddrPort(local)}
	d.Options.Mark, d.Options.UID, d.Options.GID, d.Options.Transparent = o.Mark, o.UID, o.GID, o.Transparent
	return d.DialContext(context.Background(), network, remote)
}

// as runs f, which makes a socket, as a user. Only this thread's files are that user's.
func as(uid, gid uint32, f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid, gid uint32) {
		syscall.RawSyscall(syscall.SYS_SETFSGID, uintptr(gid), 0, 0)
		syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(uid), 0, 0)
	}
	become(uid, gid)
	defer become(0, 0)
	f()
}

// control sets the options before the socket is bound.
func control(mark uint32, transparent bool) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) (err error) {
		set := func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark))
			if !transparent || err != nil {
				return
			}
			if strings.HasSuffix(network, "6") {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
				return
			}
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
		}
		if e := c.Control(set); e != nil {
			return e
		}
		return err
	}
}

func (j *judge) listen(network, address string, o transport.StreamOptions) (l net.Listener, err error) {
	c := net.ListenConfig{Control: control(o.Mark, o.Transparent), KeepAlive: -1}
	as(o.UID, o.GID, func() { l, err = c.Listen(context.Background(), network, address) })
	return l, err
}

func (j *judge) listenPacket(network, address string, o transport.DatagramOptions) (p net.PacketConn, err error) {
	c := net.ListenConfig{Control: control(o.Mark, o.Transparent)}
	as(o.UID, o.GID, func() { p, err = c.ListenPacket(context.Background(), network, address) })
	return p, err
}

func (j *judge) dialPacket(network, local, remote string, o transport.DatagramOptions) (c net.Conn, err error) {
	d := net.Dialer{Control: control(o.Mark, o.Transparent), LocalAddr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local))}
	as(o.UID, o.GID, func() { c, err = d.Dial(network, remote) })
	return c, err
}

// socketRules counts at all hooks what rules see of sockets.
func socketRules() string {
	var b strings.Builder
	for _, hook := range []string{"prerouting", "input", "output", "postrouting"} {
		exprs := []string{
			"meta skuid 0", "meta skuid 1000", "meta skuid != 5000", "meta skgid 0", "meta skgid 1001", "meta cgroup 0", "meta mark 0", "meta mark 7", "meta mark 9",
		}
		if hook != "postrouting" {
			exprs = append(exprs, "socket mark 0", "socket mark 7", "socket mark != 99", "socket wildcard 0", "socket wildcard 1",
				"socket transparent 0", "socket transparent 1")
		}
		fmt.Fprintf(&b, "add table inet s\nadd chain inet s %s { type filter hook %s priority 0; }\n", hook, hook)
		for _, e := range exprs {
			fmt.Fprintf(&b, "add rule inet s %s meta l4proto { tcp, udp, icmp, icmpv6 } %s counter comment \"%s: %s\"\n", hook, e, hook, e)
		}
	}
	return b.String()
}

var countedRule = regexp.MustCompile(`counter packets (\d+) bytes \d+ (?:accept )?comment "([^"]*)"`)

// A witness tells what a side does in steps: which rules held, and what the program saw.
type witness struct {
	t     *testing.T
	s     maker
	steps []string
	held  []string // per step
	// counts are the counters of the rules by their comments.
	counts map[string]string
	v6     bool
}

// step does something and notes which rules it made hold.
func (w *witness) step(name string, f func() error) {
	w.t.Helper()
	if err := f(); err != nil {
		w.t.Fatalf("%T: %s: %v", w.s, name, err)
	}
	w.steps, w.held = append(w.steps, name), append(w.held, strings.Join(w.counted(), "\n\t"))
}

// counted returns the rules that have held since it was called last.
func (w *witness) counted() (held []string) {
	w.t.Helper()
	out, err := w.s.nft("list table inet s")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range countedRule.FindAllStringSubmatch(out, -1) {
		if w.counts[m[2]] != m[1] {
			held = append(held, m[2])
		}
		w.counts[m[2]] = m[1]
	}
	return held
}

// in lets a packet come in by the first port, whose words have ME, PEER and FAR for
// addresses; that of FAR is not this host's.
func (w *witness) in(words string) error {
	head, me, peer, far := "ip4 ", "10.0.0.1", "10.0.0.9", "192.0.2.1"
	if w.v6 {
		head, me, peer, far = "ip6 ", "fd00::1", "fd00::9", "2001:db8::1"
	}
	b, err := packetOf(strings.Fields(head + strings.NewReplacer("ME", me, "PEER", peer, "FAR", far).Replace(words)))
	if err == nil {
		w.s.send(0, b)
	}
	return err
}

// answer returns the TCP header of the last packet that went out by the first port.
func (w *witness) answer() wire.TCP {
	w.t.Helper()
	all := w.s.sent()
	for _, line := range slices.Backward(all) {
		_, text, _ := strings.Cut(line, " ")
		b, err := hex.DecodeString(text)
		if err != nil {
			continue
		}
		off := wire.IPv4Len
		if b[0]>>4 == 6 {
			off = wire.IPv6Len
		}
		if h, ok := wire.ParseTCP(b[off:]); ok {
			return h
		}
	}
	w.t.Fatalf("%T: no segment among %v", w.s, all)
	return wire.TCP{}
}

// connect opens a connection to a port, step by step, and returns it and what the peer
// acknowledges.
func (w *witness) connect(name string, l net.Listener, o transport.StreamOptions, to string, from, port int) (c net.Conn, ack uint32) {
	var err error
	w.step(name+": SYN", func() error { return w.in(fmt.Sprintf("PEER %s tcp %d %d S seq 1000 win 60000", to, from, port)) })
	ack = w.answer().Seq() + 1
	w.step(name+": ACK", func() error {
		return w.in(fmt.Sprintf("PEER %s tcp %d %d A seq 1001 ack %d win 60000", to, from, port, ack))
	})
	as(o.UID, o.GID, func() { c, err = l.Accept() }) // on Linux the socket is of who accepts it
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c, ack
}

// listen opens a listener until the end of the test.
func (w *witness) listen(address string, port int, o transport.StreamOptions) net.Listener {
	w.t.Helper()
	l, err := w.s.listen("tcp"+w.suffix(), netip.AddrPortFrom(netip.MustParseAddr(address), uint16(port)).String(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.Close() })
	return l
}

// talk is the life of a connection: data both ways, a close by this side, and what comes
// when it is over.
func (w *witness) talk(name, address string, o transport.StreamOptions, from, port int) {
	c, ack := w.connect(name, w.listen(address, port, o), o, "ME", from, port)
	segment := func(flags string, seq, ack uint32, rest string) func() error {
		return func() error {
			return w.in(fmt.Sprintf("PEER ME tcp %d %d %s seq %d ack %d win 60000 %s", from, port, flags, seq, ack, rest))
		}
	}
	w.step(name+": data out", func() error { _, err := c.Write([]byte("x")); return err })
	w.step(name+": acknowledged, and data", segment("PA", 1001, ack+1, "data 10"))
	w.step(name+": read", func() error { _, err := io.ReadFull(c, make([]byte, 10)); return err })
	w.step(name+": closed", c.Close)
	w.step(name+": FIN", segment("FA", 1011, ack+2, ""))
	w.step(name+": FIN again", segment("FA", 1011, ack+2, ""))
	w.step(name+": over, and a RST", segment("R", 1012, 0, ""))
}

// TestSocketsJudged: rules see of a host's own sockets what Linux's see: marks, users,
// wildcards and transparent ones, of packets that come in, that the sockets send, and that
// the kernel answers.
func TestSocketsJudged(t *testing.T) {
	compareWitnesses(t, "meta skuid 1000", (*witness).testify)
}

// compareWitnesses lets Linux and knit go through the same steps, in which a rule holds.
func compareWitnesses(t *testing.T, rule string, testify func(w *witness)) {
	judged(t, func(t *testing.T, linux *judge) {
		for _, v6 := range []bool{false, true} {
			var said [2]*witness
			for i, s := range []maker{linux, newKnitSide(t)} {
				said[i] = &witness{t: t, s: s, v6: v6, counts: map[string]string{}}
				testify(said[i])
			}
			l, k := said[0], said[1]
			for i := range max(len(l.steps), len(k.steps)) {
				if l.steps[i] != k.steps[i] || l.held[i] != k.held[i] {
					t.Errorf("v6 %v, step %s\n--- Linux\n\t%s\n--- knit\n\t%s", v6, l.steps[i], l.held[i], k.held[i])
				}
			}
			if !strings.Contains(strings.Join(k.held, "\n"), rule) {
				t.Errorf("no rule with %q held: the test asks too little", rule)
			}
		}
	})
}

func (w *witness) suffix() string { return map[bool]string{false: "4", true: "6"}[w.v6] }

// testify goes through all the steps.
func (w *witness) testify() {
	me := map[bool]string{false: "10.0.0.1", true: "fd00::1"}[w.v6]
	if _, err := w.s.nft("flush ruleset\n" + socketRules()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.in("PEER ME udp 1 1 data 1"); err != nil { // whatever has to be found out first
		w.t.Fatal(err)
	}
	w.counted()
	any := map[bool]string{false: "0.0.0.0", true: "::"}[w.v6]
	w.talk("plain", me, transport.StreamOptions{}, 3000, 80)
	w.talk("wild", any, transport.StreamOptions{Mark: 7, UID: 1000, GID: 1001}, 3001, 81)
	w.talk("transparent", me, transport.StreamOptions{Transparent: true}, 3002, 82)
	w.step("to nobody", func() error { return w.in("PEER ME tcp 3003 83 S") })
	w.step("stray ACK to a listener", func() error { return w.in("PEER ME tcp 3004 80 A seq 5 ack 6") })
	w.datagrams(me, any)
}

func (w *witness) datagrams(me, any string) {
	at := func(a string, port uint16) string { return netip.AddrPortFrom(netip.MustParseAddr(a), port).String() }
	peer := netip.MustParseAddrPort(at(map[bool]string{false: "10.0.0.9", true: "fd00::9"}[w.v6], 4000))
	keep := func(c io.Closer, err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatalf("%T: %v", w.s, err)
		}
		w.t.Cleanup(func() { c.Close() })
	}
	wild, err := w.s.listenPacket("udp"+w.suffix(), at(any, 53), transport.DatagramOptions{Mark: 7, UID: 1000, GID: 1001})
	keep(wild, err)
	bound, err := w.s.listenPacket("udp"+w.suffix(), at(me, 54), transport.DatagramOptions{Transparent: true})
	keep(bound, err)
	connected, err := w.s.dialPacket("udp"+w.suffix(), at(me, 55), peer.String(), transport.DatagramOptions{Mark: 9, UID: 1000})
	keep(connected, err)
	for _, port := range []int{53, 54, 55, 56} {
		w.step(fmt.Sprintf("datagram to %d", port), func() error { return w.in(fmt.Sprintf("PEER ME udp 4000 %d data 5", port)) })
	}
	w.step("from 53", func() error { _, err := wild.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(peer)); return err })
	w.step("from 54", func() error { _, err := bound.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(peer)); return err })
	w.step("from 55", func() error { _, err := connected.Write([]byte("x")); return err })
	echo := map[bool]string{false: "icmp 8 0", true: "icmp 128 0"}[w.v6]
	w.step("echo", func() error { return w.in("PEER ME " + echo + " rest 00010001 data 8") })
	w.step("port unreachable", w.unreachable)
}

// unreachable lets an ICMP error about a datagram of the connected socket come in.
func (w *witness) unreachable() error {
	quote, n := "ip4 10.0.0.1 10.0.0.9 udp 55 4000 data 1", wire.IPv4Len
	if w.v6 {
		quote, n = "ip6 fd00::1 fd00::9 udp 55 4000 data 1", wire.IPv6Len
	}
	quoted, err := packetOf(strings.Fields(quote))
	if err != nil {
		return err
	}
	b := append(make([]byte, n+wire.ICMPLen), quoted...)
	m := b[n:]
	if w.v6 {
		from, to := netip.MustParseAddr("fd00::9"), netip.MustParseAddr("fd00::1")
		wire.PutIPv6(b, &wire.IPv6Fields{HopLimit: 64, NextHeader: wire.ProtoICMPv6, PayloadLen: uint16(len(m)), Src: from.As16(), Dst: to.As16()})
		wire.PutICMP6(m, wire.ICMP6Unreachable, wire.ICMP6PortUnreachable, 0)
		binary.BigEndian.PutUint16(m[2:], wire.Sum(m, wire.Pseudo(from, to, wire.ProtoICMPv6, len(m))).Finish())
	} else {
		wire.PutIPv4(b, &wire.IPv4Fields{TotalLen: uint16(len(b)), TTL: 64, Protocol: wire.ProtoICMP, Src: [4]byte{10, 0, 0, 9}, Dst: [4]byte{10, 0, 0, 1}})
		wire.PutICMP4(m, wire.ICMP4Unreachable, 3, 0)
		binary.BigEndian.PutUint16(m[2:], wire.Sum(m, 0).Finish())
	}
	w.s.send(0, b)
	return nil
}

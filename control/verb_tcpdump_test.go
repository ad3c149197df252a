package control

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/knitnet/knit/link/capture"
)

var (
	macA, macB = net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	fixSum     = gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
)

// dumpSamples returns frames of every protocol that tcpdump shows.
func dumpSamples(t testing.TB) (frames [][]byte) {
	eth := func(typ layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: macA, DstMAC: macB, EthernetType: typ}
	}
	add := func(list ...gopacket.SerializableLayer) {
		t.Helper()
		b := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(b, fixSum, list...); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, bytes.Clone(b.Bytes()))
	}
	v4 := func(p layers.IPProtocol) *layers.IPv4 {
		return &layers.IPv4{Version: 4, TTL: 64, Id: 7, Flags: layers.IPv4DontFragment, Protocol: p, SrcIP: net.IP{10, 0, 0, 1}, DstIP: net.IP{10, 0, 0, 2}}
	}
	v6 := func(p layers.IPProtocol) *layers.IPv6 {
		return &layers.IPv6{Version: 6, HopLimit: 64, FlowLabel: 0x12345, NextHeader: p, SrcIP: net.ParseIP("fd00::1"), DstIP: net.ParseIP("fd00::2")}
	}
	tcp := func(ip gopacket.NetworkLayer, s layers.TCP) *layers.TCP {
		s.SetNetworkLayerForChecksum(ip)
		return &s
	}
	opt := func(k layers.TCPOptionKind, b ...byte) layers.TCPOption {
		return layers.TCPOption{OptionType: k, OptionLength: uint8(2 + len(b)), OptionData: b}
	}
	body := gopacket.Payload("hello\r\nwo\x00\xff")

	ip, ip6 := v4(layers.IPProtocolTCP), v6(layers.IPProtocolTCP)
	for _, n := range []struct {
		typ layers.EthernetType
		ip  gopacket.NetworkLayer
	}{{layers.EthernetTypeIPv4, ip}, {layers.EthernetTypeIPv6, ip6}} {
		l := n.ip.(gopacket.SerializableLayer)
		add(eth(n.typ), l, tcp(n.ip, layers.TCP{SrcPort: 5001, DstPort: 5002, Seq: 1000, SYN: true, ECE: true, CWR: true, Window: 65535, Options: []layers.TCPOption{
			opt(2, 5, 0xb4), opt(4), opt(8, 0, 0, 0, 9, 0, 0, 0, 0), {OptionType: 1}, opt(3, 7),
		}}))
		add(eth(n.typ), l, tcp(n.ip, layers.TCP{SrcPort: 5002, DstPort: 5001, Seq: 2000, Ack: 1001, SYN: true, ACK: true, Window: 65535}))
		add(eth(n.typ), l, tcp(n.ip, layers.TCP{SrcPort: 5001, DstPort: 5002, Seq: 1001, Ack: 2001, ACK: true, Window: 5}))
		add(eth(n.typ), l, tcp(n.ip, layers.TCP{SrcPort: 5001, DstPort: 5002, Seq: 1001, Ack: 2001, ACK: true, PSH: true, URG: true, Urgent: 3, Window: 5}), body)
		add(eth(n.typ), l, tcp(n.ip, layers.TCP{SrcPort: 5002, DstPort: 5001, Seq: 2001, Ack: 1001, ACK: true, Window: 5, Options: []layers.TCPOption{
			{OptionType: 1}, {OptionType: 1}, opt(5, 0, 0, 4, 0x10, 0, 0, 4, 0x20, 0, 0, 4, 0x30, 0, 0, 4, 0x40),
		}}))
		add(eth(n.typ), l, tcp(n.ip, layers.TCP{SrcPort: 5002, DstPort: 5001, Seq: 2001, Ack: 1012, ACK: true, FIN: true, Window: 5, Options: []layers.TCPOption{opt(34), opt(77, 1, 2), opt(34, 1, 2, 3, 4)}}))
		add(eth(n.typ), l, tcp(n.ip, layers.TCP{SrcPort: 5002, DstPort: 5001, Seq: 2001, RST: true}))
		add(eth(n.typ), l, tcp(n.ip, layers.TCP{SrcPort: 5002, DstPort: 5001, Seq: 2001}))
	}
	u4, u6 := v4(layers.IPProtocolUDP), v6(layers.IPProtocolUDP)
	for _, n := range []struct {
		typ layers.EthernetType
		ip  gopacket.NetworkLayer
	}{{layers.EthernetTypeIPv4, u4}, {layers.EthernetTypeIPv6, u6}} {
		u := &layers.UDP{SrcPort: 5001, DstPort: 5002}
		u.SetNetworkLayerForChecksum(n.ip)
		add(eth(n.typ), n.ip.(gopacket.SerializableLayer), u, body)
		bad := bytes.Clone(frames[len(frames)-1])
		bad[len(bad)-1]++
		frames = append(frames, bad)
	}
	icmp := v4(layers.IPProtocolICMPv4)
	for _, typ := range []byte{8, 0} {
		add(eth(layers.EthernetTypeIPv4), icmp, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, 0), Id: 77, Seq: 3}, body)
	}
	u := &layers.UDP{SrcPort: 5001, DstPort: 5002}
	u.SetNetworkLayerForChecksum(u4)
	quoted := gopacket.NewSerializeBuffer()
	gopacket.SerializeLayers(quoted, fixSum, u4, u, body)
	for _, tc := range [][2]byte{{3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}, {3, 9}, {3, 10}, {3, 13}, {11, 0}, {11, 1}, {5, 0}, {5, 1}, {5, 2}, {5, 3}} {
		add(eth(layers.EthernetTypeIPv4), icmp, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(tc[0], tc[1]), Id: 2600, Seq: 1400}, gopacket.Payload(quoted.Bytes()))
	}
	i6 := v6(layers.IPProtocolICMPv6)
	six := func(typ, code byte, rest ...byte) {
		m := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}
		m.SetNetworkLayerForChecksum(i6)
		add(eth(layers.EthernetTypeIPv6), i6, m, gopacket.Payload(rest))
	}
	addr := []byte(net.ParseIP("fd00::9"))
	cat := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	lla := func(k byte) []byte { return cat([]byte{k, 1}, macA) }
	u.SetNetworkLayerForChecksum(u6)
	quoted6 := gopacket.NewSerializeBuffer()
	gopacket.SerializeLayers(quoted6, fixSum, u6, u, body)
	six(128, 0, cat([]byte{0, 77, 0, 3}, body)...)
	six(129, 0, cat([]byte{0, 77, 0, 3}, body)...)
	for code := range byte(5) {
		six(1, code, cat(make([]byte, 4), quoted6.Bytes())...)
	}
	six(2, 0, cat([]byte{0, 0, 5, 0}, quoted6.Bytes())...)
	six(3, 0, cat(make([]byte, 4), quoted6.Bytes())...)
	six(3, 1, cat(make([]byte, 4), quoted6.Bytes())...)
	six(4, 1, cat([]byte{0, 0, 0, 6}, quoted6.Bytes())...)
	six(135, 0, cat(make([]byte, 4), addr, lla(1))...)
	six(136, 0, cat([]byte{0x60, 0, 0, 0}, addr, lla(2))...)
	six(133, 0, cat(make([]byte, 4), lla(1))...)
	prefix := cat([]byte{3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0}, net.ParseIP("fd00::"))
	six(134, 0, cat([]byte{64, 0xc0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}, lla(1), []byte{5, 1, 0, 0, 0, 0, 5, 220}, prefix)...)
	six(137, 0, cat(make([]byte, 4), addr, addr)...)
	six(130, 0, cat([]byte{0x27, 16, 0, 0}, addr)...)
	six(131, 0, cat([]byte{0, 0, 0, 0}, addr)...)
	six(132, 0, cat([]byte{0, 0, 0, 0}, addr)...)
	six(130, 0, cat([]byte{0x27, 16, 0, 0}, make([]byte, 16), []byte{2, 125, 0, 0})...)
	six(143, 0, cat([]byte{0, 0, 0, 2, 4, 0, 0, 0}, addr, []byte{1, 0, 0, 1}, addr, addr)...)

	add(eth(layers.EthernetTypeARP), &layers.ARP{AddrType: 1, Protocol: 0x800, HwAddressSize: 6, ProtAddressSize: 4, Operation: 1, SourceHwAddress: macA, SourceProtAddress: []byte{10, 0, 0, 1}, DstHwAddress: make([]byte, 6), DstProtAddress: []byte{10, 0, 0, 2}})
	add(eth(layers.EthernetTypeARP), &layers.ARP{AddrType: 1, Protocol: 0x800, HwAddressSize: 6, ProtAddressSize: 4, Operation: 2, SourceHwAddress: macA, SourceProtAddress: []byte{10, 0, 0, 1}, DstHwAddress: macB, DstProtAddress: []byte{10, 0, 0, 2}})
	add(eth(layers.EthernetTypeARP), &layers.ARP{AddrType: 1, Protocol: 0x800, HwAddressSize: 6, ProtAddressSize: 4, Operation: 1, SourceHwAddress: macA, SourceProtAddress: []byte{10, 0, 0, 1}, DstHwAddress: macB, DstProtAddress: []byte{10, 0, 0, 2}}, gopacket.Payload(make([]byte, 18)))
	for _, m := range [][]byte{
		{0x11, 100, 0, 0, 0, 0, 0, 0}, {0x11, 10, 0, 0, 224, 1, 1, 1}, {0x11, 0, 0, 0, 0, 0, 0, 0},
		{0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0}, {0x11, 25, 0, 0, 224, 1, 1, 1, 2, 125, 0, 0}, {0x11, 200, 0, 0, 224, 1, 1, 1, 2, 125, 0, 1, 10, 0, 0, 9},
		{0x12, 0, 0, 0, 224, 1, 1, 1}, {0x16, 0, 0, 0, 224, 1, 1, 1}, {0x17, 0, 0, 0, 224, 1, 1, 1},
		{0x22, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 0, 224, 1, 1, 1, 1, 0, 0, 1, 224, 1, 1, 2, 10, 0, 0, 9},
	} {
		s := finish(sum16(m))
		m[2], m[3] = byte(s>>8), byte(s)
		ip := v4(layers.IPProtocolIGMP)
		ip.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
		add(eth(layers.EthernetTypeIPv4), ip, gopacket.Payload(m))
	}
	add(eth(layers.EthernetTypeIPv4), v4(253), body)
	add(eth(layers.EthernetTypeIPv6), v6(253), body)
	add(eth(layers.EthernetTypeIPv6), v6(59))
	frag := v4(layers.IPProtocolUDP)
	frag.FragOffset, frag.Flags, frag.TOS = 185, layers.IPv4MoreFragments, 1
	add(eth(layers.EthernetTypeIPv4), frag, body)
	add(eth(layers.EthernetTypeIPv6), v6(44), gopacket.Payload(cat([]byte{17, 0, 0, 8, 0, 0, 0, 9}, body)))
	add(eth(layers.EthernetTypeIPv6), v6(44), gopacket.Payload(cat([]byte{17, 0, 0, 1, 0, 0, 0, 9}, []byte{19, 137, 19, 138, 0, 20, 1, 2}, body)))
	six(130, 0, cat([]byte{0x27, 16, 0, 0}, addr, []byte{10, 125, 0, 1}, addr)...)
	add(eth(layers.EthernetTypeIPv6), v6(0), gopacket.Payload(cat([]byte{17, 0, 5, 2, 0, 0, 1, 0}, []byte{19, 137, 19, 138, 0, 19, 0, 0}, body)))
	add(eth(layers.EthernetTypeIPv6), v6(60), gopacket.Payload(cat([]byte{59, 0, 1, 4, 0, 0, 0, 0})))
	add(eth(layers.EthernetTypeIPv4), v4(4), v4(253), body)
	add(eth(layers.EthernetTypeIPv4), v4(41), v6(253), body)
	add(eth(0x88b5), body)
	add(eth(layers.EthernetTypeDot1Q), &layers.Dot1Q{VLANIdentifier: 5, Priority: 3, Type: layers.EthernetTypeIPv4}, icmp, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 77, Seq: 3}, body)
	return frames
}

// dumpFile returns a capture file with the samples, without the link layer's header
// if the type says so.
func dumpFile(t *testing.T, typ capture.LinkType, format capture.Format) []byte {
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, format, capture.Interface{Name: "v0", Type: typ, Snaplen: maxSnaplen})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 2, 3, 4, 5, 6, 789000000, time.UTC)
	for _, f := range dumpSamples(t) {
		if typ == capture.LinkRaw {
			if f[12] != 0x08 && f[12] != 0x86 || f[13] == 6 {
				continue
			}
			f = f[14:]
		}
		if err := w.Write(capture.Record{Time: at, Length: len(f), Data: f}); err != nil {
			t.Fatal(err)
		}
		at = at.Add(1500 * time.Millisecond)
	}
	return b.Bytes()
}

// dumped runs the verb on a file.
func dumped(t *testing.T, file []byte, words ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	c := &Console{Stdout: &out, Stderr: &errs, Open: func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }}
	p, err := Prepare(c, append([]string{"tcpdump", "-r", "f"}, words...))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.print(c, nothing); err != nil {
		errs.WriteString(err.Error())
	}
	return out.String(), errs.String()
}

// TestTcpdumpLines: our lines are tcpdump's.
func TestTcpdumpLines(t *testing.T) {
	path, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("no tcpdump on this machine: ", err)
	}
	for _, typ := range []capture.LinkType{capture.LinkEthernet, capture.LinkRaw} {
		file := dumpFile(t, typ, capture.PCAP)
		for _, words := range []string{
			"-n -t", "-n -t -e", "-n -t -v", "-n -t -vv", "-n -t -q", "-n", "-n -tt", "-n -ttt", "-n -tttt", "-n -ttttt",
			"-n -t -x", "-n -t -X", "-n -t -A", "-n -t -xx", "-n -t -XX", "-n -t -S", "-n -t -#", "-n -t -c 3", "-n -t icmp or icmp6",
		} {
			t.Run(typ.String()+words, func(t *testing.T) {
				args := strings.Fields(words)
				cmd := exec.Command(path, append([]string{"-r", "-"}, args...)...)
				cmd.Stdin = bytes.NewReader(file)
				want, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				got, _ := dumped(t, file, args...)
				compareLines(t, got, string(want))
			})
		}
	}
}

// TestTcpdumpCut: a packet that was cut is shown like the whole one, up to where it
// was cut; nothing is made up.
func TestTcpdumpCut(t *testing.T) {
	text := func(data []byte, length int) string {
		p := packetPrinter{dumpStyle: dumpStyle{stamp: 1}}
		return strings.TrimSuffix(p.packet(capture.Interface{Type: capture.LinkEthernet}, capture.Record{Data: data, Length: length}), "\n")
	}
	for _, f := range dumpSamples(t) {
		whole := text(f, len(f))
		portless := strings.NewReplacer(".5001", "", ".5002", "").Replace(whole)
		for n := range f {
			got := text(f[:n:n], len(f))
			begin, _, marked := strings.Cut(got, "[|")
			if strings.Contains(whole, "\n") {
				continue // bytes of what is not understood
			}
			begin = strings.TrimRight(begin, " ,")
			if !marked && got != whole || !strings.HasPrefix(whole, begin) && !strings.HasPrefix(portless, begin) {
				t.Errorf("%d of %d bytes:\ngot  %q\nwhole %q", n, len(f), got, whole)
			}
		}
	}
	file := dumpFile(t, capture.LinkRaw, capture.PCAP)
	if got, _ := dumped(t, file[:24+16+30], "-t"); got != "" {
		t.Errorf("of a record that ends early came %q", got)
	}
}

// FuzzTcpdumpPacket: no bytes take the printer beyond the packet.
func FuzzTcpdumpPacket(f *testing.F) {
	for _, b := range dumpSamples(f) {
		f.Add(b, uint16(0), byte(1))
		f.Add(b[14:], uint16(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, more uint16, kind byte) {
		i := capture.Interface{Type: capture.LinkRaw}
		if kind&1 != 0 {
			i.Type = capture.LinkEthernet
		}
		p := packetPrinter{dumpStyle: dumpStyle{verbose: int(kind >> 1 & 3), link: kind&8 != 0, quiet: kind&16 != 0}}
		for range 2 { // the second time as part of a known connection
			p.packet(i, capture.Record{Data: b[:len(b):len(b)], Length: len(b) + int(more)})
		}
	})
}

// compareLines complains of the first few lines that differ.
func compareLines(t *testing.T, got, want string) {
	t.Helper()
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(a) != len(b) {
		t.Errorf("%d lines, want %d", len(a), len(b))
	}
	bad := 0
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Errorf("line %d:\ngot  %q\nwant %q", i+1, a[i], b[i])
			if bad++; bad > 30 {
				return
			}
		}
	}
}

// nothing is what the kernel says when the packets are in a file.
func nothing(func(json.RawMessage) bool) {}

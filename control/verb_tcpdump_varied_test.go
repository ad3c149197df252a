package control

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/knitnet/knit/link/capture"
)

// A frameMaker makes frames of what hosts send each other, the same ones for the same
// seed.
type frameMaker struct {
	t testing.TB
	r *rand.Rand
}

func (m *frameMaker) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.r.Uint32())
	}
	return b
}

// frame returns one frame, which begins with its link layer's header.
func (m *frameMaker) frame() []byte {
	if m.r.IntN(12) == 0 {
		return m.serialize(m.link(layers.EthernetTypeARP, m.arp())...)
	}
	if m.r.IntN(2) == 0 {
		ip := m.ipv4()
		return m.serialize(m.link(layers.EthernetTypeIPv4, append([]gopacket.SerializableLayer{ip}, m.over4(ip)...)...)...)
	}
	ip := m.ipv6()
	return m.serialize(m.link(layers.EthernetTypeIPv6, append([]gopacket.SerializableLayer{ip}, m.over6(ip)...)...)...)
}

func (m *frameMaker) serialize(list ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, fixSum, list...); err != nil {
		m.t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

// link puts an Ethernet header and up to two VLAN tags before what it is given.
func (m *frameMaker) link(typ layers.EthernetType, inner ...gopacket.SerializableLayer) []gopacket.SerializableLayer {
	for m.r.IntN(5) == 0 {
		tag := &layers.Dot1Q{VLANIdentifier: uint16(m.r.IntN(4096)), Priority: uint8(m.r.IntN(8)), DropEligible: m.r.IntN(2) == 0, Type: typ}
		inner, typ = append([]gopacket.SerializableLayer{tag}, inner...), layers.EthernetTypeDot1Q
		if m.r.IntN(2) == 0 {
			typ = layers.EthernetTypeQinQ
		}
	}
	eth := &layers.Ethernet{SrcMAC: m.bytes(6), DstMAC: m.bytes(6), EthernetType: typ}
	return append([]gopacket.SerializableLayer{eth}, inner...)
}

func (m *frameMaker) arp() *layers.ARP {
	return &layers.ARP{
		AddrType: 1, Protocol: 0x800, HwAddressSize: 6, ProtAddressSize: 4, Operation: uint16(m.r.IntN(10)),
		SourceHwAddress: m.bytes(6), SourceProtAddress: m.bytes(4), DstHwAddress: m.bytes(6), DstProtAddress: m.bytes(4),
	}
}

func (m *frameMaker) ipv4() *layers.IPv4 {
	ip := &layers.IPv4{
		Version: 4, TOS: uint8(m.r.Uint32()), Id: uint16(m.r.Uint32()), TTL: uint8(m.r.Uint32()),
		Flags: layers.IPv4Flag(m.r.IntN(8)), SrcIP: m.bytes(4), DstIP: m.bytes(4),
	}
	if m.r.IntN(4) == 0 {
		ip.FragOffset = uint16(m.r.IntN(1 << 13))
	}
	if m.r.IntN(4) == 0 {
		ip.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: m.bytes(2)}}
	}
	return ip
}

func (m *frameMaker) ipv6() *layers.IPv6 {
	ip := &layers.IPv6{
		Version: 6, TrafficClass: uint8(m.r.Uint32()), FlowLabel: m.r.Uint32N(1 << 20), HopLimit: uint8(m.r.Uint32()),
		SrcIP: m.address6(), DstIP: m.address6(),
	}
	return ip
}

func (m *frameMaker) address6() net.IP {
	ip := net.IP(m.bytes(16))
	for i := range ip {
		if m.r.IntN(3) == 0 {
			ip[i] = 0
		}
	}
	ip[0] = 0xfd
	return ip
}

func (m *frameMaker) over4(ip *layers.IPv4) []gopacket.SerializableLayer {
	switch m.r.IntN(8) {
	case 0, 1, 2:
		ip.Protocol = layers.IPProtocolTCP
		return m.tcp(ip)
	case 3, 4:
		ip.Protocol = layers.IPProtocolUDP
		return m.udp(ip)
	case 5, 6:
		ip.Protocol = layers.IPProtocolICMPv4
		return m.icmp4()
	}
	ip.Protocol = layers.IPProtocolIGMP
	return []gopacket.SerializableLayer{m.igmp()}
}

func (m *frameMaker) over6(ip *layers.IPv6) (list []gopacket.SerializableLayer) {
	if m.r.IntN(5) == 0 {
		ip.NextHeader = layers.IPProtocolIPv6Fragment
		offset := uint16(m.r.IntN(2) * m.r.IntN(1<<13))
		list = append(list, &layers.IPv6Fragment{FragmentOffset: offset, MoreFragments: m.r.IntN(2) == 0, Identification: m.r.Uint32()})
	}
	next := &ip.NextHeader
	if list != nil {
		next = &list[0].(*layers.IPv6Fragment).NextHeader
	}
	switch m.r.IntN(8) {
	case 0, 1:
		*next = layers.IPProtocolTCP
		return append(list, m.tcp(ip)...)
	case 2, 3:
		*next = layers.IPProtocolUDP
		return append(list, m.udp(ip)...)
	}
	*next = layers.IPProtocolICMPv6
	return append(list, m.icmp6(ip)...)
}

// port returns a port whose traffic tcpdump does not look into.
func (m *frameMaker) port() uint16 { return uint16(40000 + m.r.IntN(100)) }

func (m *frameMaker) tcp(ip gopacket.NetworkLayer) []gopacket.SerializableLayer {
	bit := func() bool { return m.r.IntN(4) == 0 }
	s := &layers.TCP{
		SrcPort: layers.TCPPort(m.port()), DstPort: layers.TCPPort(m.port()), Seq: m.r.Uint32(), Ack: m.r.Uint32(), Window: uint16(m.r.Uint32()),
		FIN: bit(), SYN: bit(), RST: bit(), PSH: bit(), ACK: !bit(), URG: bit(), ECE: bit(), CWR: bit(), NS: bit(), Urgent: uint16(m.r.Uint32()),
	}
	s.SetNetworkLayerForChecksum(ip)
	for range m.r.IntN(4) {
		s.Options = append(s.Options, m.tcpOption())
	}
	return []gopacket.SerializableLayer{s, gopacket.Payload(m.bytes(m.r.IntN(2) * m.r.IntN(60)))}
}

func (m *frameMaker) tcpOption() layers.TCPOption {
	kinds := []layers.TCPOption{
		{OptionType: 1},
		{OptionType: 2, OptionLength: 4}, {OptionType: 3, OptionLength: 3}, {OptionType: 4, OptionLength: 2},
		{OptionType: 5, OptionLength: 10}, {OptionType: 8, OptionLength: 10}, {OptionType: 34, OptionLength: 10},
		{OptionType: 76, OptionLength: 6}, {OptionType: 253, OptionLength: 7},
	}
	o := kinds[m.r.IntN(len(kinds))]
	if o.OptionLength > 2 {
		o.OptionData = m.bytes(int(o.OptionLength) - 2)
	}
	return o
}

func (m *frameMaker) udp(ip gopacket.NetworkLayer) []gopacket.SerializableLayer {
	u := &layers.UDP{SrcPort: layers.UDPPort(m.port()), DstPort: layers.UDPPort(m.port())}
	u.SetNetworkLayerForChecksum(ip)
	return []gopacket.SerializableLayer{u, gopacket.Payload(m.bytes(m.r.IntN(60)))}
}

func (m *frameMaker) icmp4() []gopacket.SerializableLayer {
	types := []uint8{0, 3, 4, 5, 8, 11, 12, 13, 14, 17}
	msg := &layers.ICMPv4{
		TypeCode: layers.CreateICMPv4TypeCode(types[m.r.IntN(len(types))], uint8(m.r.IntN(16))),
		Id:       uint16(m.r.Uint32()), Seq: uint16(m.r.Uint32()),
	}
	ip := m.ipv4()
	ip.FragOffset, ip.Protocol = 0, layers.IPProtocolUDP
	return []gopacket.SerializableLayer{msg, gopacket.Payload(m.serialize(append([]gopacket.SerializableLayer{ip}, m.udp(ip)...)...))}
}

func (m *frameMaker) igmp() gopacket.Payload {
	types := []byte{0x11, 0x12, 0x16, 0x17, 0x22}
	msg := append([]byte{types[m.r.IntN(len(types))], byte(m.r.Uint32()), 0, 0}, m.bytes(4)...)
	if msg[0] == 0x22 {
		msg[6], msg[7] = 0, 2
		msg = append(append(msg, byte(m.r.IntN(8)), 0, 0, 0), m.bytes(4)...)
		msg = append(append(msg, byte(m.r.IntN(8)), 0, 0, 1), m.bytes(8)...)
	}
	if msg[0] == 0x11 && m.r.IntN(2) == 0 {
		msg = append(append(msg, m.bytes(2)...), 0, 1)
		msg = append(msg, m.bytes(4)...)
	}
	s := finish(sum16(msg))
	msg[2], msg[3] = byte(s>>8), byte(s)
	return msg
}

func (m *frameMaker) icmp6(ip *layers.IPv6) []gopacket.SerializableLayer {
	types := []uint8{1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143}
	typ := types[m.r.IntN(len(types))]
	code := uint8(0)
	if typ < 5 {
		code = uint8(m.r.IntN(8))
	}
	msg := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}
	msg.SetNetworkLayerForChecksum(ip)
	return []gopacket.SerializableLayer{msg, gopacket.Payload(m.body6(typ))}
}

// body6 returns what is behind the first four bytes of an ICMPv6 message.
func (m *frameMaker) body6(typ uint8) []byte {
	b := m.bytes(4)
	address := func() { b = append(b, m.address6()...) }
	switch typ {
	case 1, 2, 3, 4:
		ip := m.ipv6()
		ip.NextHeader = layers.IPProtocolUDP
		return append(b, m.serialize(append([]gopacket.SerializableLayer{ip}, m.udp(ip)...)...)...)
	case 128, 129:
		return append(b, m.bytes(m.r.IntN(80))...)
	case 143:
		b = append([]byte{0, 0, 0, 1}, byte(m.r.IntN(8)), 0, 0, 1)
		address()
		address()
		return b
	case 130, 131, 132:
		address()
		return b
	case 134:
		b = append(b, m.bytes(8)...)
	case 135, 136:
		address()
	case 137:
		address()
		address()
	}
	return append(b, m.ndpOptions()...)
}

func (m *frameMaker) ndpOptions() (b []byte) {
	for range m.r.IntN(3) {
		switch m.r.IntN(6) {
		case 0, 1:
			b = append(append(b, byte(1+m.r.IntN(2)), 1), m.bytes(6)...)
		case 2:
			b = append(append(append(b, 3, 4, byte(m.r.IntN(129))), m.bytes(13)...), m.address6()...)
		case 3:
			b = append(append(b, 5, 1), m.bytes(6)...)
		case 4:
			b = append(append(append(b, 25, 3), m.bytes(6)...), m.address6()...)
		default:
			b = append(append(b, 14, 1), m.bytes(6)...) // a nonce
		}
	}
	return b
}

// TestTcpdumpVaried: our lines are tcpdump's, for frames with all kinds of values in
// their fields.
func TestTcpdumpVaried(t *testing.T) {
	path, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("no tcpdump on this machine: ", err)
	}
	var file bytes.Buffer
	w, err := capture.NewWriter(&file, capture.PCAP, capture.Interface{Type: capture.LinkEthernet, Snaplen: maxSnaplen})
	if err != nil {
		t.Fatal(err)
	}
	m := &frameMaker{t: t, r: rand.New(rand.NewPCG(1, 2))}
	for i := range 500 {
		f := m.frame()
		if err := w.Write(capture.Record{Time: time.Unix(int64(i), 0), Length: len(f), Data: f}); err != nil {
			t.Fatal(err)
		}
	}
	for _, words := range []string{"-n -t", "-nn -t -v", "-n -t -vv", "-n -t -e", "-n -t -e -v", "-n -t -X", "-n -t -q"} {
		t.Run(words, func(t *testing.T) {
			args := strings.Fields(words)
			cmd := exec.Command(path, append([]string{"-r", "-"}, args...)...)
			cmd.Stdin = bytes.NewReader(file.Bytes())
			want, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			got, _ := dumped(t, file.Bytes(), args...)
			compareLines(t, perPacket(got), perPacket(string(want)))
		})
	}
}

// perPacket joins the lines of each packet.
func perPacket(lines string) string {
	return strings.NewReplacer("\n\t", "\t", "\n ", "\v ").Replace(lines)
}

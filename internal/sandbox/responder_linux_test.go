package sandbox

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// The other side of the tests' network, and the command's side.
var (
	gateway4 = netip.MustParseAddr("10.0.2.2")
	gateway6 = netip.MustParseAddr("fd00:2::2")
	peerMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// island is a network with nothing in it but the gateways.
func island() Config {
	return Config{
		Addrs:    []netip.Prefix{netip.MustParsePrefix("10.0.2.15/24"), netip.MustParsePrefix("fd00:2::15/64")},
		Gateway4: gateway4,
		Gateway6: gateway6,
	}
}

// A responder answers ARP, neighbour solicitations, pings and UDP echo for the
// gateways. It is as little of a network as ping needs.
type responder struct {
	seen context.CancelFunc // called at every packet, may be nil

	large   atomic.Int64
	readers sync.WaitGroup
}

func (r *responder) serve(d Device) {
	for _, f := range d.Files {
		r.readers.Go(func() {
			frame := make([]byte, 1<<17)
			for {
				n, err := f.Read(frame)
				if err != nil {
					return // closed
				}
				if r.seen != nil {
					r.seen()
				}
				if ip := frame[d.VnetHdrLen+linkHeader(d.Kind) : n]; isEcho(ip) {
					if len(ip) > d.MTU {
						r.large.Add(1)
					}
					swapUDP(d.Kind, frame[d.VnetHdrLen:n])
					f.Write(frame[:n])
					continue
				}
				if answer := r.answer(d.Kind, frame[d.VnetHdrLen:n]); answer != nil {
					f.Write(append(make([]byte, d.VnetHdrLen), answer...))
				}
			}
		})
	}
}

// linkHeader returns the number of bytes before the IP header.
func linkHeader(k Kind) int {
	if k == TUN {
		return 0
	}
	return 14
}

// isEcho reports whether an IPv4 packet without options is a datagram for
// the echo port of the gateway.
func isEcho(ip []byte) bool {
	return len(ip) > 28 && ip[0] == 0x45 && ip[9] == 17 &&
		[4]byte(ip[16:]) == gateway4.As4() && ip[22] == 0 && ip[23] == echoPort
}

const echoPort = 7

// swapUDP turns an IPv4 UDP frame around. The checksum, partial or whole, and
// with it the virtio-net header stay right: a sum does not mind the order.
func swapUDP(k Kind, frame []byte) {
	swap := func(at, size int) {
		for i := at; i < at+size; i++ {
			frame[i], frame[i+size] = frame[i+size], frame[i]
		}
	}
	ip := linkHeader(k)
	if ip > 0 {
		swap(0, 6)
	}
	swap(ip+12, 4)
	swap(ip+20, 2)
}

// wait waits until the readers have seen that the device is closed.
func (r *responder) wait() { r.readers.Wait() }

func (r *responder) oversized() int { return int(r.large.Load()) }

// answer returns the answer to a frame, or nil.
func (r *responder) answer(k Kind, frame []byte) []byte {
	var p gopacket.Packet
	switch {
	case k != TUN:
		p = gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	case frame[0]>>4 == 4:
		p = gopacket.NewPacket(frame, layers.LayerTypeIPv4, gopacket.Default)
	default:
		p = gopacket.NewPacket(frame, layers.LayerTypeIPv6, gopacket.Default)
	}
	reply := answerLayers(p)
	if reply == nil {
		return nil
	}
	if eth, ok := p.LinkLayer().(*layers.Ethernet); ok {
		reply = append([]gopacket.SerializableLayer{
			&layers.Ethernet{SrcMAC: peerMAC, DstMAC: eth.SrcMAC, EthernetType: eth.EthernetType},
		}, reply...)
	}
	b := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(b, options, reply...); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func answerLayers(p gopacket.Packet) []gopacket.SerializableLayer {
	if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		return answerARP(arp)
	}
	if ip, ok := p.NetworkLayer().(*layers.IPv4); ok {
		return answerIPv4(p, ip)
	}
	if ip, ok := p.NetworkLayer().(*layers.IPv6); ok {
		return answerIPv6(p, ip)
	}
	return nil
}

func answerARP(q *layers.ARP) []gopacket.SerializableLayer {
	if q.Operation != layers.ARPRequest || !gateway4IP().Equal(q.DstProtAddress) {
		return nil
	}
	a := *q
	a.Operation = layers.ARPReply
	a.SourceHwAddress, a.SourceProtAddress = peerMAC, q.DstProtAddress
	a.DstHwAddress, a.DstProtAddress = q.SourceHwAddress, q.SourceProtAddress
	return []gopacket.SerializableLayer{&a}
}

func gateway4IP() net.IP { return gateway4.AsSlice() }

func answerIPv4(p gopacket.Packet, ip *layers.IPv4) []gopacket.SerializableLayer {
	echo, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	if !ok || echo.TypeCode.Type() != layers.ICMPv4TypeEchoRequest || !ip.DstIP.Equal(gateway4IP()) {
		return nil
	}
	return []gopacket.SerializableLayer{
		&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: ip.DstIP, DstIP: ip.SrcIP},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoReply, 0), Id: echo.Id, Seq: echo.Seq},
		gopacket.Payload(echo.Payload),
	}
}

func answerIPv6(p gopacket.Packet, ip *layers.IPv6) []gopacket.SerializableLayer {
	icmp, ok := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	if !ok {
		return nil
	}
	back := &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: gateway6.AsSlice(), DstIP: ip.SrcIP}
	head := func(kind uint8) *layers.ICMPv6 {
		h := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, 0)}
		h.SetNetworkLayerForChecksum(back)
		return h
	}
	switch icmp.TypeCode.Type() {
	case layers.ICMPv6TypeEchoRequest:
		return []gopacket.SerializableLayer{back, head(layers.ICMPv6TypeEchoReply), gopacket.Payload(icmp.Payload)}
	case layers.ICMPv6TypeNeighborSolicitation:
		q, ok := p.Layer(layers.LayerTypeICMPv6NeighborSolicitation).(*layers.ICMPv6NeighborSolicitation)
		if !ok || !q.TargetAddress.Equal(gateway6.AsSlice()) {
			return nil
		}
		return []gopacket.SerializableLayer{back, head(layers.ICMPv6TypeNeighborAdvertisement), &layers.ICMPv6NeighborAdvertisement{
			Flags:         0x60, // solicited, override
			TargetAddress: q.TargetAddress,
			Options:       layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: peerMAC}},
		}}
	}
	return nil
}

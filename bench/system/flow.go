package system

import "net/netip"

// The ends of the flow that a bare router forwards, and the router's own address on
// the second device.
var (
	FlowSource      = netip.AddrFrom4([4]byte{10, 77, 1, 1})
	FlowDestination = netip.AddrFrom4([4]byte{10, 77, 2, 77})
	RouterOutside   = netip.AddrFrom4([4]byte{10, 77, 2, 2})
)

// Answers returns the packets of Router.Answer.
func Answers() [][]byte {
	return [][]byte{
		DatagramOf(FlowDestination, FlowSource, 4001, 4000),
		DatagramOf(FlowDestination, RouterOutside, 4001, 4000),
	}
}

// Beginning changes a packet of DatagramOf into the first one of the i-th flow: i
// counts through source ports first and then through destination ports.
func Beginning(p []byte, i int) {
	const ports = 50000
	sport, dport := 10000+i%ports, 5000+i/ports
	p[20], p[21] = byte(sport>>8), byte(sport)
	p[22], p[23] = byte(dport>>8), byte(dport)
}

package gvisor

import (
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/link/veth"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/knitnet/knit/bench/system"
)

// join returns the two ends of a link.
//
// The veth of gVisor segments in software (GVisorGSO), so its packets never
// exceed the MTU; it is the same with offload and without.
func (s System) join(o system.Options) (a, z stack.LinkEndpoint) {
	if s.Driver == Veth {
		return veth.NewPair(uint32(o.LinkMTU()), vethBacklog)
	}
	p, q := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", uint32(o.LinkMTU()))
	return &offloadPipe{p, o.Offload}, &offloadPipe{q, o.Offload}
}

// vethBacklog is the queue of a veth pair in packets. It holds the largest window
// in segments of 1,448 bytes and as many acknowledgements, so that a stream does
// not lose packets to its own link.
const vethBacklog = 2 * maxBuffer / 1448

// An offloadPipe is gVisor's pipe as a device with offloads. Checksums are
// neither computed nor checked, since no wire can spoil a packet here; with gso
// the stack hands down segments of up to 64 KiB as it does to a host that
// segments (HostGSO), and nobody needs to cut them, because the peer's stack
// takes them whole.
type offloadPipe struct {
	*pipe.Endpoint
	gso bool
}

var _ stack.GSOEndpoint = (*offloadPipe)(nil)

// Capabilities implements stack.LinkEndpoint.
func (*offloadPipe) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload
}

// SupportedGSO implements stack.GSOEndpoint.
func (p *offloadPipe) SupportedGSO() stack.SupportedGSO {
	if p.gso {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// GSOMaxSize implements stack.GSOEndpoint.
func (p *offloadPipe) GSOMaxSize() uint32 {
	if p.gso {
		return 1 << 16
	}
	return 0
}

package netfilter

import "github.com/knitnet/knit/core/packet"

// Flows is the flow fast path, as nf_flow_table exports it.
type Flows interface {
	// Add lets the packets of an established connection that is forwarded skip the
	// hooks, in the flowtable of a name. The packet says which way it goes; it is at
	// FORWARD. What cannot be offloaded stays as it is.
	Add(flowtable string, pkt *packet.Packet, c *Conn)
}

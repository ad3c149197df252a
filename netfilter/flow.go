package netfilter

import (
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
)

// Flows is the flow fast path, as nf_flow_table exports it.
type Flows interface {
	// AddFlowtable makes a flowtable, which works until Close.
	AddFlowtable(cfg FlowtableConfig) Flowtable
}

// A FlowtableConfig says what a flowtable is for.
type FlowtableConfig struct {
	// Versions are the IP versions it takes flows of, by network.Version.
	Versions [2]bool
	// Priority is its place among the Ingress hooks.
	Priority hook.Priority
	// Devices are the names of the devices by which packets skip the rules. What there
	// is no device of now is left out, and a device that comes later is not in it.
	Devices []string
	// Counter counts the packets in Conn.Acct, as the tracker does with the others.
	Counter bool
}

// A Flowtable lets the packets of established connections that are forwarded skip
// the hooks from Ingress to Postrouting. Its methods are safe for concurrent use.
type Flowtable interface {
	// Add takes in the connection of a packet that is at FORWARD, and which remains
	// its owner's. What cannot skip the rules stays as it is.
	Add(pkt *packet.Packet, c *Conn, info Info)
	// SetDevices replaces FlowtableConfig.Devices.
	SetDevices(names []string)
	// Count returns how many connections are in it.
	Count() int
	// Close gives all connections back to the tracker. A second call does nothing.
	Close()
}

package netfilter

import (
	"fmt"
	"strings"
	"time"

	"github.com/knitnet/knit/network"
)

// A ConnTable is what the tools need of connection tracking beyond a Tracker;
// nf_conntrack exports it under the same symbol.
type ConnTable interface {
	Tracker
	// Snapshot describes a connection as it is now.
	Snapshot(c *Conn) ConnView
	// Insert adds a connection that the view's tuples, state, timeout, mark and
	// status describe. It fails with EEXIST when one of its tuples is taken.
	Insert(v *ConnView) error
	// SetTimeout changes when a connection ends, counted from now.
	SetTimeout(c *Conn, d time.Duration)
	// EachExpectation calls f for each expectation, with how long it still waits, until
	// f returns false.
	EachExpectation(f func(x *Expectation, left time.Duration) bool)
	// Flush ends all connections that f chooses and returns how many.
	Flush(f func(c *Conn) bool) int
	// Tell tells of something that was done to a connection from outside.
	Tell(e Event)
	// Told reports whether the tools are to hear of an event: rules (ct event) and
	// net.netfilter.nf_conntrack_events may keep them from it.
	Told(e Event) bool
	// WatchExpectations calls f for expectations that come and go until undo is
	// called. f must not block.
	WatchExpectations(f func(e ExpectEvent)) (undo func())
	// Stats returns the counters.
	Stats() TrackerStats
}

// An ExpectEvent tells of an expectation: EventNew or EventDestroy.
type ExpectEvent struct {
	Kind   EventKind
	Expect *Expectation
}

// TrackerStats are the counters of a tracker.
type TrackerStats struct {
	Invalid, Insert, InsertFailed, Drop, EarlyDrop, Error, SearchRestart, ClashResolved uint64
	ExpectNew, ExpectCreate, ExpectDelete                                               uint64
}

// A ConnView is a connection as the tools show it.
type ConnView struct {
	Tuples  [2]Tuple
	State   string    // of TCP and SCTP; else empty
	Tags    [2]uint32 `json:",omitzero"` // of SCTP: the verification tags of the packets of each direction
	Timeout int64     // seconds until it ends
	Status  uint32
	Mark    uint32
	ID      uint32
	Use     int
	Helper  string    `json:",omitempty"`
	Label   [2]uint64 // bits 0 to 63 first
	Acct    *ConnAcct `json:",omitempty"`
	Start   int64     `json:",omitempty"` // Unix time in nanoseconds; 0: not known
	Age     int64     `json:",omitempty"` // seconds since Start
	// Event is what has happened to it at At, in Unix nanoseconds; 0: it was only asked
	// for.
	Event EventKind `json:",omitempty"`
	At    int64     `json:",omitempty"`
}

// ConnAcct are the packets and bytes of each direction.
type ConnAcct struct{ Packets, Bytes [2]uint64 }

// FamilyNumber is the number of an IP version's address family on Linux.
func FamilyNumber(v network.Version) int {
	if v == network.V4 {
		return 2
	}
	return 10
}

// tuples writes what Line and Proc have in common.
func (v *ConnView) tuples(b *strings.Builder) {
	if v.State != "" && v.Status&Offload == 0 {
		b.WriteString(v.State + " ")
	}
	v.direction(b, Original)
	if v.Status&SeenReply == 0 {
		b.WriteString("[UNREPLIED] ")
	}
	v.direction(b, Reply)
	switch {
	case v.Status&Offload != 0:
		b.WriteString("[OFFLOAD] ")
	case v.Status&Assured != 0:
		b.WriteString("[ASSURED] ")
	}
}

func (v *ConnView) direction(b *strings.Builder, d Dir) {
	t := &v.Tuples[d]
	fmt.Fprintf(b, "src=%v dst=%v ", t.SrcAddr(), t.DstAddr())
	switch t.Proto {
	case 1, 58:
		fmt.Fprintf(b, "type=%d code=%d id=%d ", t.DstPort>>8, t.DstPort&0xff, t.SrcPort)
	case 6, 17, 33, 132, 136:
		fmt.Fprintf(b, "sport=%d dport=%d ", t.SrcPort, t.DstPort)
	case 47:
		fmt.Fprintf(b, "srckey=%#x dstkey=%#x ", t.SrcPort, t.DstPort)
	}
	if v.Acct != nil && v.shows(EventDestroy) {
		fmt.Fprintf(b, "packets=%d bytes=%d ", v.Acct.Packets[d], v.Acct.Bytes[d])
	}
}

// Proc is the connection as a line of /proc/net/nf_conntrack.
func (v *ConnView) Proc() string {
	var b strings.Builder
	t := &v.Tuples[Original]
	fmt.Fprintf(&b, "%-8s %d %-8s %d ", familyName(t.Version), FamilyNumber(t.Version), protoName(t.Proto), t.Proto)
	if v.Status&Offload == 0 { // else no time runs out
		fmt.Fprintf(&b, "%d ", v.Timeout)
	}
	v.tuples(&b)
	fmt.Fprintf(&b, "mark=%d zone=%d use=%d", v.Mark, t.Zone, v.Use)
	return b.String()
}

func familyName(v network.Version) string {
	if v == network.V4 {
		return "ipv4"
	}
	return "ipv6"
}

// protoName is conntrack's name of an IP protocol.
func protoName(n uint8) string {
	switch n {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 33:
		return "dccp"
	case 47:
		return "gre"
	case 58:
		return "icmpv6"
	case 132:
		return "sctp"
	case 136:
		return "udplite"
	}
	return "unknown"
}

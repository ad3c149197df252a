package netfilter

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
)

// Symbols under which helpers export an Announcer; the modules have the same names.
const (
	FTPSymbol  = "nf_conntrack_ftp"
	TFTPSymbol = "nf_conntrack_tftp"
)

// HelperAlias is the alias of the module of a helper, without the helper's name.
const HelperAlias = "nfct-helper-"

// A Helper looks into the packets of a connection, because its protocol announces
// further connections. It is not changed once it is registered.
type Helper struct {
	Name  string
	Proto uint8
	// Ports are those of the servers that get the helper without a rule, when
	// net.netfilter.nf_conntrack_helper says so.
	Ports []uint16
	// MaxExpected is the number of expectations at most of one connection; zero
	// counts as one.
	MaxExpected int
	// Help looks at a packet of c, which begins with its IP header and is no ICMP
	// error. It may change it through the Translator. False drops the packet. It may
	// be called concurrently.
	Help func(pkt *packet.Packet, c *Conn, info Info) bool
	// Users counts the rules that name the helper, which keep its module; nil: nobody
	// counts.
	Users *module.Users
	// NAT is the alias of the module that translates announcements, which is loaded
	// with rules that translate; empty: there is none.
	NAT string
}

// An Expectation is a connection that a helper foresees.
type Expectation struct {
	// Tuple and Mask say what its first packet looks like: a bit that is not in Mask
	// can be anything. The destination always counts.
	Tuple, Mask Tuple
	Master      *Conn
	Helper      *Helper // of the new connection; nil: none
	Timeout     time.Duration
	Permanent   bool // it stays after the first connection
	// Dir is the direction of Master that the connection goes.
	Dir Dir
	// Created is called, when it is set, with the new connection before anybody else
	// sees it: NAT lets it follow its master there.
	Created func(c *Conn, e *Expectation)
	// SavedAddr and SavedPort are what the announcement said before NAT changed it.
	SavedAddr [16]byte
	SavedPort uint16
}

// An Announcement is what a helper has found in a packet: somebody says where a
// further connection will go.
type Announcement struct {
	Pkt    *packet.Packet
	Conn   *Conn
	Info   Info
	Expect *Expectation
	// Off and Len are where the payload of Pkt says it, in bytes. Len 0: it is not
	// said in the packet but follows from its addresses.
	Off, Len int
	// Append writes an address and port in the same form behind b.
	Append func(b []byte, a netip.Addr, port uint16) []byte
	// Text is what a translation has written in place of it. When the packet is sent
	// again it is what was written the first time: both must have the same length.
	Text []byte
}

// An Announcer is a helper whose announcements can be translated.
type Announcer interface {
	// SetNAT lets f handle announcements on connections that are translated: it
	// enters a.Expect, changed or as it is. False drops the packet. undo ends it;
	// calls that have begun may still be under way then. EBUSY: there is one.
	SetNAT(f func(a *Announcement) bool) (undo func(), err error)
}

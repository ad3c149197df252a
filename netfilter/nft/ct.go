package nft

import (
	"fmt"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
)

// loadCT compiles what connection tracking knows.
func (c *compiler) loadCT(x *rule.CT) (loader, error) {
	c.need.ct = true
	if x.Key == rule.CTState {
		return loadCTState, nil
	}
	switch x.Key {
	case rule.CTBytes, rule.CTPackets, rule.CTAvgPkt:
		c.need.acct = true
	}
	get := ctGetter(x)
	if get == nil {
		return nil, fmt.Errorf("ct %v cannot be read", x.Key)
	}
	return func(ev *eval, dst []byte) bool {
		ev.track()
		return ev.ct != nil && get(ev, ev.ct, dst)
	}, nil
}

func loadCTState(ev *eval, dst []byte) bool {
	ev.track()
	putNumber(dst, uint64(ev.ctInfo.StateBit()))
	return true
}

type connGetter func(ev *eval, c *netfilter.Conn, dst []byte) bool

func ctGetter(x *rule.CT) connGetter {
	switch x.Key {
	case rule.CTDirection:
		return func(ev *eval, _ *netfilter.Conn, dst []byte) bool { dst[0] = byte(ev.ctInfo.Dir()); return true }
	case rule.CTStatus:
		return func(_ *eval, c *netfilter.Conn, dst []byte) bool {
			putNumber(dst, uint64(c.Status.Load()))
			return true
		}
	case rule.CTMark:
		return func(_ *eval, c *netfilter.Conn, dst []byte) bool { putNumber(dst, uint64(c.Mark.Load())); return true }
	case rule.CTExpiration:
		return ctExpiration
	case rule.CTHelper:
		return ctHelper
	case rule.CTID:
		return func(_ *eval, c *netfilter.Conn, dst []byte) bool { putNumber(dst, uint64(c.ID)); return true }
	case rule.CTL3Proto, rule.CTProto, rule.CTSrc, rule.CTDst, rule.CTProtoSrc, rule.CTProtoDst, rule.CTZone:
		return ctTuple(x)
	case rule.CTPackets, rule.CTBytes, rule.CTAvgPkt:
		return ctAcct(x)
	case rule.CTLabel:
		return ctLabel
	case rule.CTSecmark:
		return func(_ *eval, c *netfilter.Conn, dst []byte) bool { putNumber(dst, 0); return true }
	}
	return nil
}

// ctExpiration is in milliseconds, as Linux has it; that of a connection that is not in
// the table yet is 0.
func ctExpiration(ev *eval, c *netfilter.Conn, dst []byte) bool {
	if !c.Is(netfilter.Confirmed) {
		putNumber(dst, 0)
		return true
	}
	left := time.Duration(clock.Time(c.Deadline.Load()) - ev.clock())
	putNumber(dst, uint64(max(left, 0)/time.Millisecond))
	return true
}

func ctHelper(_ *eval, c *netfilter.Conn, dst []byte) bool {
	h := c.Helper.Load()
	if h == nil && c.Master != nil {
		h = c.Master.Helper.Load()
	}
	if h == nil {
		return false
	}
	putName(dst, h.Name)
	return true
}

func ctLabel(_ *eval, c *netfilter.Conn, dst []byte) bool {
	clear(dst)
	if m := c.More.Load(); m != nil {
		putNumber(dst[:8], m.Label[1].Load())
		putNumber(dst[8:], m.Label[0].Load())
	}
	return true
}

// ctTuple compiles the keys that are in a tuple: of the direction said, or of the
// packet's own.
func ctTuple(x *rule.CT) connGetter {
	key, dir := x.Key, x.Dir
	return func(ev *eval, c *netfilter.Conn, dst []byte) bool {
		d := ev.ctInfo.Dir()
		switch dir {
		case rule.Original:
			d = netfilter.Original
		case rule.Reply:
			d = netfilter.Reply
		}
		return putTuple(key, &c.Tuples[d], dst)
	}
}

func putTuple(key rule.CTKey, t *netfilter.Tuple, dst []byte) bool {
	switch key {
	case rule.CTL3Proto:
		dst[0] = 2
		if t.Version == network.V6 {
			dst[0] = 10
		}
	case rule.CTProto:
		dst[0] = t.Proto
	case rule.CTProtoSrc:
		putNumber(dst, uint64(t.SrcPort))
	case rule.CTProtoDst:
		putNumber(dst, uint64(t.DstPort))
	case rule.CTZone:
		putNumber(dst, uint64(t.Zone))
	case rule.CTSrc:
		return putAddr(t.Version, &t.Src, dst)
	case rule.CTDst:
		return putAddr(t.Version, &t.Dst, dst)
	}
	return true
}

// putAddr writes an address if it is of the version that is asked for.
func putAddr(v network.Version, a *[16]byte, dst []byte) bool {
	copy(dst, a[:])
	return (len(dst) == 4) == (v == network.V4)
}

// ctAcct compiles the counters, which are those of both directions if none is said.
func ctAcct(x *rule.CT) connGetter {
	key := x.Key
	from, to := 0, 1
	switch x.Dir {
	case rule.Original:
		to = 0
	case rule.Reply:
		from = 1
	}
	return func(_ *eval, c *netfilter.Conn, dst []byte) bool {
		var packets, octets uint64
		if a := c.Acct; a != nil {
			for d := from; d <= to; d++ {
				packets += a[d].Packets.Load()
				octets += a[d].Bytes.Load()
			}
		}
		switch key {
		case rule.CTPackets:
			putNumber(dst, packets)
		case rule.CTBytes:
			putNumber(dst, octets)
		default:
			putNumber(dst, octets/max(packets, 1))
		}
		return true
	}
}

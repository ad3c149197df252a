package nft

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
)

// assign compiles `EXPR set VALUE`.
func (c *compiler) assign(x *rule.Assign) (step, error) {
	load, err := c.load(x.Value)
	if err != nil {
		return nil, err
	}
	n := bytesFor(x.Dst.Bits())
	at, err := c.scratch(n)
	if err != nil {
		return nil, err
	}
	put, err := c.setter(x.Dst)
	if err != nil {
		return nil, err
	}
	vn := bytesFor(x.Value.Bits())
	return func(ev *eval) next {
		b := ev.scratch[at : at+n]
		clear(b)
		if vn > n || !load(ev, b[n-vn:]) || !put(ev, b) {
			return breakRule
		}
		return goOn
	}, nil
}

// A setter takes a value over; false ends the rule.
type setter func(ev *eval, v []byte) bool

func (c *compiler) setter(e rule.Expr) (setter, error) {
	switch x := e.(type) {
	case *rule.Meta:
		return setMeta(x)
	case *rule.CT:
		c.need.ct = true
		return setCT(x)
	case *rule.Payload:
		return setPayload(x)
	case *rule.Exthdr:
		return setExthdr(x)
	}
	return nil, fmt.Errorf("%T cannot be set", e)
}

func setMeta(x *rule.Meta) (setter, error) {
	switch x.Key {
	case rule.MetaMark:
		return func(ev *eval, v []byte) bool { ev.pkt.Mark = uint32(number(v)); return true }, nil
	case rule.MetaPriority:
		return func(ev *eval, v []byte) bool { ev.pkt.Priority = uint32(number(v)); return true }, nil
	case rule.MetaNFTrace:
		return func(ev *eval, v []byte) bool { ev.trace = number(v) != 0; ev.pkt.Trace = ev.trace; return true }, nil
	case rule.MetaPkttype:
		return func(ev *eval, v []byte) bool { ev.pkt.Kind = packet.Kind(number(v)); return true }, nil
	}
	return nil, fmt.Errorf("meta %v cannot be set", x.Key)
}

func setCT(x *rule.CT) (setter, error) {
	var put func(ev *eval, c *netfilter.Conn, v []byte)
	switch x.Key {
	case rule.CTMark:
		put = func(ev *eval, c *netfilter.Conn, v []byte) {
			if mark := uint32(number(v)); c.Mark.Swap(mark) != mark {
				ev.gen.tracker.Note(c, netfilter.EventMark)
			}
		}
	case rule.CTLabel:
		put = func(ev *eval, c *netfilter.Conn, v []byte) {
			m := c.Extra()
			hi, lo := number(v[:8]), number(v[8:])
			before := [2]uint64{m.Label[0].Or(lo), m.Label[1].Or(hi)}
			if before[0]&lo != lo || before[1]&hi != hi {
				ev.gen.tracker.Note(c, netfilter.EventLabel)
			}
		}
	case rule.CTZone:
		return func(ev *eval, v []byte) bool {
			ev.gen.tracker.SetZone(ev.pkt, uint16(number(v))) // in vain if the connection is known already
			return true
		}, nil
	case rule.CTEvent:
		put = func(_ *eval, c *netfilter.Conn, v []byte) { c.Extra().Events.Store(uint32(number(v))) }
	default:
		return nil, fmt.Errorf("ct %v cannot be set", x.Key)
	}
	return func(ev *eval, v []byte) bool {
		if ev.track(); ev.ct != nil { // else there is nothing to set, and the rule goes on
			put(ev, ev.ct, v)
		}
		return true
	}, nil
}

// setPayload compiles changes of a header field; the checksums over it follow. Those
// over bytes that are no field (`@th,16,16`) stay as they are, as on Linux: what the
// bytes are is not known.
func setPayload(x *rule.Payload) (setter, error) {
	raw := x.Field == nil
	base, off, bits := place(x)
	first, n := off/8, bytesFor(off%8+bits)
	if bits > maxBits {
		return nil, syscall.EOVERFLOW
	}
	return func(ev *eval, v []byte) bool {
		b := ev.header(base, first, n)
		if b == nil || !raw && !ev.correctable(base, first) {
			return false
		}
		var old [maxField]byte
		copy(old[:], b)
		putBits(b, v, off%8, bits)
		if !raw {
			ev.correct(base, first, old[:n], b)
		}
		return true
	}, nil
}

// setExthdr compiles changes of TCP options, as `tcp option maxseg size set`.
func setExthdr(x *rule.Exthdr) (setter, error) {
	if x.Kind != rule.TCPOption || x.Field == nil || x.Field.Offset%16 != 0 || x.Field.Bits%8 != 0 {
		return nil, fmt.Errorf("only fields of TCP options can be set")
	}
	off, n, find := x.Field.Offset/8, x.Field.Bits/8, finder(x)
	number, maxseg := x.Number, x.Name == "maxseg"
	return func(ev *eval, v []byte) bool {
		b := find(ev)
		if b == nil { // without the option there is nothing to set, and the rule goes on
			return ev.tcpHeader() != nil
		}
		if off+n > len(b) || number != b[0] {
			return false
		}
		field := b[off : off+n]
		if maxseg && binary.BigEndian.Uint16(field) <= binary.BigEndian.Uint16(v) {
			return true // an MSS is only ever made smaller
		}
		var old [8]byte
		copy(old[:], field)
		copy(field, v)
		ev.correctTransport(offsetIn(ev.pkt.Head(), field)-ev.l4Off, old[:n], field, false)
		return true
	}, nil
}

// offsetIn returns where part, a slice of whole, begins.
func offsetIn(whole, part []byte) int { return cap(whole) - cap(part) }

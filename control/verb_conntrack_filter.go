package control

import (
	"net/netip"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// A ConntrackFilter chooses connections: what is not set fits any.
type ConntrackFilter struct {
	// Prefixes are for source and destination of the original and the reply tuple.
	Prefixes [4]netip.Prefix `json:"prefixes"`
	// Ports are the same for ports; of ICMP the first is the identifier and the
	// second type and code.
	Ports                  [4]*uint16 `json:"ports"`
	ICMPType, ICMPCode     *uint8     `json:",omitempty"`
	Proto                  uint8      `json:"proto,omitempty"`
	Family                 int        `json:"family,omitempty"` // 4 or 6
	Mark                   *uint32    `json:"mark,omitempty"`
	MarkMask               uint32     `json:"mark_mask,omitempty"`
	Status                 uint32     `json:"status,omitempty"`
	Zone                   *uint16    `json:"zone,omitempty"`
	ID                     *uint32    `json:"id,omitempty"`
	State                  string     `json:"state,omitempty"`
	Tags                   [2]*uint32 `json:",omitzero"`         // of create, for SCTP
	Timeout                *uint32    `json:"timeout,omitempty"` // of create and update, in seconds
	SrcNAT, DstNAT, AnyNAT bool       `json:",omitempty"`
	// The addresses that it is translated to; not set: any.
	SrcNATAddr, DstNATAddr, AnyNATAddr netip.Addr `json:",omitzero"`
	// Label are bits that have to be set, bits 0 to 63 first; LabelAdd and LabelDel are
	// what update changes.
	Label, LabelAdd, LabelDel [2]uint64 `json:",omitzero"`
}

// Match reports whether v is chosen.
func (f *ConntrackFilter) Match(v *netfilter.ConnView) bool {
	o, r := &v.Tuples[netfilter.Original], &v.Tuples[netfilter.Reply]
	addrs := [4]netip.Addr{o.SrcAddr(), o.DstAddr(), r.SrcAddr(), r.DstAddr()}
	ports := [4]uint16{o.SrcPort, o.DstPort, r.SrcPort, r.DstPort}
	for i := range addrs {
		if f.Prefixes[i].IsValid() && !f.Prefixes[i].Contains(addrs[i]) || f.Ports[i] != nil && *f.Ports[i] != ports[i] {
			return false
		}
	}
	src, dst := v.Status&netfilter.SrcNAT != 0, v.Status&netfilter.DstNAT != 0
	switch {
	case f.Proto != 0 && f.Proto != o.Proto,
		f.Family == 4 && o.Version != network.V4, f.Family == 6 && o.Version != network.V6,
		f.ICMPType != nil && *f.ICMPType != uint8(o.DstPort>>8), f.ICMPCode != nil && *f.ICMPCode != uint8(o.DstPort),
		f.Mark != nil && v.Mark&f.MarkMask != *f.Mark,
		f.Status != 0 && v.Status&f.Status != f.Status,
		f.Zone != nil && *f.Zone != o.Zone, f.ID != nil && *f.ID != v.ID,
		f.State != "" && f.State != v.State,
		v.Label[0]&f.Label[0] != f.Label[0], v.Label[1]&f.Label[1] != f.Label[1],
		f.SrcNAT && !src, f.DstNAT && !dst, f.AnyNAT && !src && !dst:
		return false
	}
	to, from := r.DstAddr(), r.SrcAddr() // what source and destination have become
	fits := func(want, got netip.Addr, translated bool) bool { return translated && want == got }
	switch {
	case f.SrcNATAddr.IsValid() && !fits(f.SrcNATAddr, to, src), f.DstNATAddr.IsValid() && !fits(f.DstNATAddr, from, dst),
		f.AnyNATAddr.IsValid() && !fits(f.AnyNATAddr, to, src) && !fits(f.AnyNATAddr, from, dst):
		return false
	}
	return true
}

// family is the IP version of the addresses: 4, 6, -1 if it is open, 0 if they are not of
// one.
func (f *ConntrackFilter) family() int {
	of := -1
	if f.Family != 0 {
		of = f.Family
	}
	addrs := []netip.Addr{f.SrcNATAddr, f.DstNATAddr, f.AnyNATAddr}
	for _, p := range f.Prefixes {
		addrs = append(addrs, p.Addr())
	}
	for _, a := range addrs {
		version := 6
		if a.Is4() {
			version = 4
		}
		switch {
		case !a.IsValid():
		case of == -1:
			of = version
		case of != version:
			return 0
		}
	}
	return of
}

// View is the connection that the filter describes, for create. What it does not
// say of the reply is the mirror of the original.
func (f *ConntrackFilter) View() (v netfilter.ConnView, ok bool) {
	o, r := &v.Tuples[netfilter.Original], &v.Tuples[netfilter.Reply]
	if !f.Prefixes[0].IsValid() || !f.Prefixes[1].IsValid() || f.Proto == 0 {
		return v, false
	}
	if f.family() == 0 {
		return v, false
	}
	o.Version, o.Proto = network.VersionOf(f.Prefixes[0].Addr()), f.Proto
	if f.Zone != nil {
		o.Zone = *f.Zone
	}
	*r = *o
	addr := func(i, other int) netip.Addr {
		if f.Prefixes[i].IsValid() {
			return f.Prefixes[i].Addr()
		}
		return f.Prefixes[other].Addr()
	}
	port := func(i, other int) uint16 {
		switch {
		case f.Ports[i] != nil:
			return *f.Ports[i]
		case other >= 0 && f.Ports[other] != nil:
			return *f.Ports[other]
		}
		return 0
	}
	o.SetSrc(addr(0, 0))
	o.SetDst(addr(1, 1))
	r.SetSrc(addr(2, 1))
	r.SetDst(addr(3, 0))
	o.SrcPort, o.DstPort, r.SrcPort, r.DstPort = port(0, -1), port(1, -1), port(2, 1), port(3, 0)
	if o.Proto == 1 || o.Proto == 58 {
		o.DstPort = uint16(value(f.ICMPType))<<8 | uint16(value(f.ICMPCode))
	}
	if v.Status = f.Status; f.SrcNATAddr.IsValid() {
		r.SetDst(f.SrcNATAddr)
		v.Status |= netfilter.SrcNAT
	}
	if f.DstNATAddr.IsValid() {
		r.SetSrc(f.DstNATAddr)
		v.Status |= netfilter.DstNAT
	}
	if f.Timeout != nil {
		v.Timeout = int64(*f.Timeout)
	}
	if f.Mark != nil {
		v.Mark = *f.Mark
	}
	v.State = f.State
	for d, tag := range f.Tags {
		if tag != nil {
			v.Tags[d] = *tag
		}
	}
	return v, true
}

// value is what p points to, or 0.
func value(p *uint8) uint8 {
	if p == nil {
		return 0
	}
	return *p
}

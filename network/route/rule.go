package route

import (
	"net/netip"
	"slices"
)

// An Action says what happens to packets that a rule matches (FR_ACT_*).
type Action uint8

// Actions of rules.
const (
	// ToTable looks the packet up in the rule's table. If that has no route, or one of
	// type Throw, the next rule is tried.
	ToTable Action = iota
	// Goto goes on at the first rule of priority Target.
	Goto
	// Nop goes on with the next rule.
	Nop
	// RuleBlackhole, RuleUnreachable and RuleProhibit end the walk with EINVAL,
	// ENETUNREACH and EACCES.
	RuleBlackhole
	RuleUnreachable
	RuleProhibit
)

var actionNames = [...]string{"lookup", "goto", "nop", "blackhole", "unreachable", "prohibit"}

// String returns the name that `ip rule` uses.
func (a Action) String() string { return actionNames[a] }

// ParseAction is the inverse of String; "" is ToTable.
func ParseAction(name string) (a Action, ok bool) {
	at := slices.Index(actionNames[:], name)
	return Action(max(at, 0)), at >= 0 || name == ""
}

// A Bound is a number that may be left out. The zero Bound is left out.
type Bound struct {
	Set bool
	N   uint32
}

// A Span is a range of numbers from First to Last. The zero Span holds all.
type Span struct {
	Set         bool
	First, Last uint32
}

func (s Span) holds(n uint32) bool { return !s.Set || s.First <= n && n <= s.Last }

// A Rule is an entry of the routing policy database: which packets it is about, and
// in which table their route is looked for (ip-rule(8)). Its zero fields match
// everything. Rules are compared with ==.
type Rule struct {
	Priority uint32 // rules are tried from 0 upwards
	Action   Action
	Table    uint32 // of ToTable
	Target   uint32 // of Goto: the priority of the rule to go on with

	// Not turns the match around.
	Not bool
	// Src and Dst are prefixes of the addresses; their host bits have no meaning.
	Src, Dst netip.Prefix
	// In and Out name the interface a packet came by, and the one it has to leave by.
	// What this host sends came by the loopback device. While there is no device of the
	// name the rule matches nothing.
	In, Out string
	// Mark is the packet's in the bits of Mask. A Mask of 0 matches all marks.
	Mark, Mask uint32
	TOS        uint8 // DSCP with two zero bits behind it; 0: any
	Proto      uint8 // IP protocol; 0: any
	// SrcPorts and DstPorts are of TCP, UDP, SCTP and DCCP.
	SrcPorts, DstPorts Span
	// UIDs are the users whose sockets send. What is forwarded is of user 0.
	UIDs Span
	// L3MDev matches packets of a VRF, and its table is the VRF's.
	L3MDev bool

	// SuppressPrefix passes over routes whose prefix is not longer, SuppressGroup over
	// those that leave by a device of a group.
	SuppressPrefix, SuppressGroup Bound
	// Realms is Linux's flow classifier in its 32 bits; it only shows.
	Realms uint32
	// Origin says who has made the rule (RTPROT_*).
	Origin uint8
}

// A Key is what is known of a packet when its way is looked for.
type Key struct {
	Dst netip.Addr
	Src netip.Addr // zero: not chosen yet
	// In is the interface it came by; 0: it is made here.
	In int32
	// Out is the interface it must leave by; 0: any.
	Out              int32
	Mark, UID        uint32
	TOS, Proto       uint8
	SrcPort, DstPort uint16

	// vrf is that of Out if byOut, else that of In; see FIB.enter.
	vrf   VRF
	byOut bool
}

// A bound rule is one whose devices have been looked up.
type bound struct {
	Rule
	in, out int32 // 0: any
	lo      int32 // by which packets come that are made here
	target  int   // place of Goto's rule, -1: there is none
}

// detached is the index of a device that is not there.
const detached = -1

// matches reports whether the rule is about k.
func (r *bound) matches(k *Key) bool { return r.selects(k) != r.Not }

func (r *bound) selects(k *Key) bool {
	in := k.In
	if in == 0 {
		in = r.lo
	}
	switch {
	case r.in != 0 && r.in != in && (k.byOut || r.in != k.vrf.Index),
		r.out != 0 && r.out != k.Out && (!k.byOut || r.out != k.vrf.Index):
		return false
	case (r.Mark^k.Mark)&r.Mask != 0, r.L3MDev && k.vrf.Table == 0, !r.UIDs.holds(k.UID):
		return false
	case r.Src.Bits() > 0 && !r.isFrom(k.Src),
		r.Dst.Bits() > 0 && !r.Dst.Contains(k.Dst):
		return false
	}
	return r.TOS|r.Proto == 0 && !r.SrcPorts.Set && !r.DstPorts.Set || r.selectsUpper(k)
}

// isFrom reports whether a source is in Src. One that is not chosen yet is 0.0.0.0 for
// rules of IPv4, as on Linux: `from 0.0.0.0/1` matches. IPv6 has no such address.
func (r *Rule) isFrom(src netip.Addr) bool {
	if !src.IsValid() && r.Src.Addr().Is4() {
		src = netip.IPv4Unspecified()
	}
	return src.IsValid() && r.Src.Contains(src)
}

// selectsUpper looks at what the headers say beside the addresses.
func (r *bound) selectsUpper(k *Key) bool {
	return (r.TOS == 0 || r.TOS == k.TOS&^3) && (r.Proto == 0 || r.Proto == k.Proto) &&
		r.SrcPorts.holds(uint32(k.SrcPort)) && r.DstPorts.holds(uint32(k.DstPort))
}

// suppresses reports whether the rule passes over a route that its table has. All
// devices are in group 0.
func (r *bound) suppresses(x *Route) bool {
	return r.SuppressPrefix.Set && uint32(x.Dst.Bits()) <= r.SuppressPrefix.N ||
		r.SuppressGroup.Set && r.SuppressGroup.N == 0 && len(x.NextHops) > 0
}

// Needs says which parts of a Key the rules look at, so that nobody reads what none
// of them asks for.
type Needs uint8

// Parts of a Key. Dst, Src, In and Out are always wanted.
const (
	NeedMark  Needs = 1 << iota
	NeedUpper       // TOS, Proto, SrcPort and DstPort
)

func (r *Rule) needs() (n Needs) {
	if r.Mask != 0 {
		n |= NeedMark
	}
	if r.TOS|r.Proto != 0 || r.SrcPorts.Set || r.DstPorts.Set {
		n |= NeedUpper
	}
	return n
}

package control

import (
	"fmt"
	"net/netip"
	"strconv"
)

// rules prints rules as ip rule does.
func (o *ipOut) rules(list []IPRule) {
	o.beginArray("")
	for i := range list {
		o.beginObject("")
		o.rule(&list[i])
		o.endObject()
		o.text("\n")
	}
	o.endArray()
}

// protoKernel is the origin of rules that goes without saying.
const protoKernel = 2

func (o *ipOut) rule(r *IPRule) {
	o.val("priority", "%d:\t", *r.Priority)
	o.flag(r.Not, "not", "not ")
	if !r.Src.IsValid() || r.Src.Bits() == 0 {
		o.val("src", "from %s", "all")
	} else {
		o.rulePrefix("src", "from ", r.Src)
	}
	if r.Dst.IsValid() && r.Dst.Bits() > 0 {
		o.rulePrefix("dst", " to ", r.Dst)
	}
	if r.TOS != 0 {
		o.val("tos", " tos %s", tosName(r.TOS))
	}
	o.ruleMark(r)
	o.ruleDevice("iif", r.In, r.InGone)
	o.ruleDevice("oif", r.Out, r.OutGone)
	if r.L3MDev {
		o.flag(true, "l3mdev", " lookup [l3mdev-table]")
	}
	if r.UIDs != nil {
		o.text(" uidrange %d-%d", r.UIDs.First, r.UIDs.Last)
		o.val("uid_start", "", r.UIDs.First)
		o.val("uid_end", "", r.UIDs.Last)
	}
	if r.Proto != 0 {
		o.val("ipproto", " ipproto %s", ipProtoName(r.Proto))
	}
	o.rulePorts("sport", r.SrcPorts)
	o.rulePorts("dport", r.DstPorts)
	o.ruleTable(r)
	o.ruleAction(r)
	if r.Origin != 0 && r.Origin != protoKernel || o.f.details {
		o.val("protocol", " proto %s", ProtoName(r.Origin))
	}
}

// flag prints a member whose presence says it all: null.
func (o *ipOut) flag(on bool, key, text string) {
	if !on {
		return
	}
	o.text("%s", text)
	if o.f.json {
		o.js.member(key, nil)
	}
}

// rulePrefix prints an address and, unless it is the whole one, its length.
func (o *ipOut) rulePrefix(key, text string, p netip.Prefix) {
	o.val(key, text+"%s", p.Addr())
	if !p.IsSingleIP() {
		o.val(key+"len", "/%d", p.Bits())
	}
}

func (o *ipOut) ruleMark(r *IPRule) {
	if r.Mark == 0 && r.Mask == 0 {
		return
	}
	hex := func(n uint32) string {
		if n == 0 {
			return "0"
		}
		return fmt.Sprintf("%#x", n)
	}
	o.val("fwmark", " fwmark %s", hex(r.Mark))
	if r.Mask != 1<<32-1 {
		o.val("fwmask", "/%s", hex(r.Mask))
	}
}

func (o *ipOut) ruleDevice(key, name string, gone bool) {
	if name == "" {
		return
	}
	o.val(key, " "+key+" %s", name)
	o.flag(gone, key+"_detached", " [detached]")
}

func (o *ipOut) rulePorts(key string, s *IPSpan) {
	switch {
	case s == nil:
	case s.First == s.Last:
		o.val(key, " "+key+" %d", s.First)
	default:
		o.val(key+"_start", " "+key+" %d", s.First)
		o.val(key+"_end", "-%d", s.Last)
	}
}

func (o *ipOut) ruleTable(r *IPRule) {
	if r.L3MDev || r.Table == "" {
		return
	}
	o.val("table", " lookup %s", r.Table)
	if r.SuppressPrefix != nil {
		o.val("suppress_prefixlen", " suppress_prefixlength %d", *r.SuppressPrefix)
	}
	if r.SuppressGroup != nil {
		group := "default"
		if *r.SuppressGroup != 0 {
			group = strconv.FormatUint(uint64(*r.SuppressGroup), 10)
		}
		o.val("suppress_ifgroup", " suppress_ifgroup %s", group)
	}
}

func (o *ipOut) ruleAction(r *IPRule) {
	if from, to := r.Realms>>16, r.Realms&0xffff; r.Realms != 0 {
		o.text(" realms ")
		if from != 0 {
			o.val("flow_from", "%s/", strconv.Itoa(int(from)))
		}
		o.val("flow_to", "%s", strconv.Itoa(int(to)))
	}
	switch r.Action {
	case "", "lookup":
	case "goto":
		o.val("goto", " goto %d", r.Target)
		o.flag(r.Unresolved, "unresolved", " [unresolved]")
	case "nop":
		o.flag(true, "nop", " nop")
	default:
		o.val("action", " %s", r.Action)
	}
}

package nft

import (
	"fmt"
	"strings"

	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// logging compiles `log`: a line in dmesg, in the words of Linux's nf_log. To a group
// nobody listens here, and what nobody listens to is not told, as on Linux.
func (c *compiler) logging(x *rule.Log) step {
	if x.Group != nil {
		return func(*eval) next { return goOn }
	}
	c.need.log = true
	level := klog.Warning
	if l, ok := levels[x.Level]; ok {
		level = l
	}
	prefix, flags := x.Prefix, x.Flags
	return func(ev *eval) next {
		ev.gen.packetLog.Log(level, prefix+ev.describe(flags))
		return goOn
	}
}

var levels = map[string]klog.Level{
	"emerg": klog.Emerg, "alert": klog.Alert, "crit": klog.Crit, "err": klog.Err,
	"warn": klog.Warning, "notice": klog.Notice, "info": klog.Info, "debug": klog.Debug,
}

// describe is the packet as a line of the log.
func (ev *eval) describe(flags rule.LogFlags) string {
	ev.parse()
	var b strings.Builder
	fmt.Fprintf(&b, "IN=%s OUT=%s ", ev.m.deviceName(ev.in), ev.m.deviceName(ev.out))
	if h := ev.linkHeader(0, wire.EthernetLen); h != nil && ev.in != 0 {
		if flags&rule.LogEther != 0 {
			fmt.Fprintf(&b, "MACSRC=%s MACDST=%s MACPROTO=%x ", colons(h[6:12]), colons(h[:6]), h[12:14])
		} else {
			fmt.Fprintf(&b, "MAC=%s ", colons(h))
		}
	}
	src, _ := ev.address(true)
	dst, _ := ev.address(false)
	if src.IsValid() {
		fmt.Fprintf(&b, "SRC=%s DST=%s LEN=%d ", src.StringExpanded(), dst.StringExpanded(), ev.pkt.Len())
	}
	ev.describeIP(&b)
	ev.describeTransport(&b, flags)
	if flags&rule.LogSKUID != 0 {
		if s := ev.owner(); s != nil && !s.Orphan {
			fmt.Fprintf(&b, "UID=%d GID=%d ", s.UID, s.GID)
		}
	}
	if ev.pkt.Mark != 0 {
		fmt.Fprintf(&b, "MARK=%#x ", ev.pkt.Mark)
	}
	return b.String()
}

// colons writes octets as a hardware address.
func colons(b []byte) string {
	return strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf("% x", b)), " ", ":")
}

func (ev *eval) describeIP(b *strings.Builder) {
	switch ev.net {
	case wire.EtherTypeIPv4:
		h, ok := wire.ParseIPv4(ev.pkt.Head())
		if !ok {
			return
		}
		fmt.Fprintf(b, "TOS=0x%02X PREC=0x%02X TTL=%d ID=%d ", h.TOS()&0x1e, h.TOS()&0xe0, h.TTL(), h.ID())
		if h.DF() {
			b.WriteString("DF ")
		}
		if h.MF() {
			b.WriteString("MF ")
		}
	case wire.EtherTypeIPv6:
		if h, ok := wire.ParseIPv6(ev.pkt.Head()); ok {
			fmt.Fprintf(b, "TC=%d HOPLIMIT=%d FLOWLBL=%d ", h.TrafficClass(), h.HopLimit(), h.FlowLabel())
		}
	}
}

func (ev *eval) describeTransport(b *strings.Builder, flags rule.LogFlags) {
	switch ev.l4Proto {
	case wire.ProtoTCP:
		ev.describeTCP(b, flags)
	case wire.ProtoUDP:
		if h, ok := wire.ParseUDP(ev.header(rule.TransportHeader, 0, wire.UDPLen)); ok {
			fmt.Fprintf(b, "PROTO=UDP SPT=%d DPT=%d LEN=%d ", h.SrcPort(), h.DstPort(), h.Len())
		}
	case wire.ProtoICMP, wire.ProtoICMPv6:
		name := "ICMP"
		if ev.l4Proto == wire.ProtoICMPv6 {
			name = "ICMPv6"
		}
		if h := ev.header(rule.TransportHeader, 0, wire.ICMPLen); h != nil {
			fmt.Fprintf(b, "PROTO=%s TYPE=%d CODE=%d ID=%d SEQ=%d ", name, h[0], h[1], number(h[4:6]), number(h[6:8]))
		}
	default:
		fmt.Fprintf(b, "PROTO=%d ", ev.l4Proto)
	}
}

func (ev *eval) describeTCP(b *strings.Builder, flags rule.LogFlags) {
	raw := ev.header(rule.TransportHeader, 0, wire.TCPLen)
	if raw == nil {
		return
	}
	fmt.Fprintf(b, "PROTO=TCP SPT=%d DPT=%d ", number(raw[0:2]), number(raw[2:4]))
	if flags&rule.LogTCPSeq != 0 {
		fmt.Fprintf(b, "SEQ=%d ACK=%d ", number(raw[4:8]), number(raw[8:12]))
	}
	fmt.Fprintf(b, "WINDOW=%d RES=0x%02x ", number(raw[14:16]), raw[12]&0xf<<2)
	for i, name := range [...]string{"CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN"} {
		if raw[13]&(0x80>>i) != 0 {
			b.WriteString(name + " ")
		}
	}
	fmt.Fprintf(b, "URGP=%d ", number(raw[18:20]))
}

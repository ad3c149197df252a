package nft

import (
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

// logBytes is how much of a packet a line of the log looks at.
const logBytes = 256

// describe is the packet as a line of the log.
func (ev *eval) describe(flags rule.LogFlags) string {
	ev.parse()
	l := &logLine{flags: flags}
	l.f("IN=%s OUT=%s ", ev.m.deviceName(ev.in), ev.m.deviceName(ev.out))
	if ev.in != 0 {
		l.link(ev.linkHeader(0, wire.EthernetLen))
	}
	var buf [logBytes]byte
	b := buf[:ev.pkt.CopyOut(0, buf[:min(len(buf), ev.pkt.Len())])]
	switch ev.net {
	case wire.EtherTypeIPv4:
		l.ip4(b, ev.pkt.Len())
	case wire.EtherTypeIPv6:
		l.ip6(b, ev.pkt.Len())
	case wire.EtherTypeARP:
		l.arp(b)
	}
	if flags&rule.LogSKUID != 0 {
		if s := ev.owner(); s != nil && !s.Orphan {
			l.f("UID=%d GID=%d ", s.UID, s.GID)
		}
	}
	if ev.pkt.Mark != 0 {
		l.f("MARK=%#x ", ev.pkt.Mark)
	}
	return l.b.String()
}

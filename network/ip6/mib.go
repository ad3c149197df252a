package ip6

import (
	"fmt"
	"io"

	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
)

// mib holds the counters of the Ip6 group (RFC 4293), under Linux's names.
type mib struct {
	inReceives, inHdrErrors, inTooBigErrors, inNoRoutes, inAddrErrors, inUnknownProtos, inTruncatedPkts,
	inDiscards, inDelivers, outForwDatagrams, outRequests, outDiscards, outNoRoutes,
	fragOKs, fragFails, fragCreates, inMcastPkts, outMcastPkts, inOctets, outOctets, inMcastOctets, outMcastOctets stat.Counter
}

func (m *mib) fields(r *frag.Stats) []stat.Field {
	return []stat.Field{
		stat.F("InReceives", &m.inReceives), stat.F("InHdrErrors", &m.inHdrErrors), stat.F("InTooBigErrors", &m.inTooBigErrors),
		stat.F("InNoRoutes", &m.inNoRoutes), stat.F("InAddrErrors", &m.inAddrErrors), stat.F("InUnknownProtos", &m.inUnknownProtos),
		stat.F("InTruncatedPkts", &m.inTruncatedPkts), stat.F("InDiscards", &m.inDiscards), stat.F("InDelivers", &m.inDelivers),
		stat.F("OutForwDatagrams", &m.outForwDatagrams), stat.F("OutRequests", &m.outRequests), stat.F("OutDiscards", &m.outDiscards),
		stat.F("OutNoRoutes", &m.outNoRoutes), stat.F("ReasmTimeout", &r.ReasmTimeout), stat.F("ReasmReqds", &r.ReasmReqds),
		stat.F("ReasmOKs", &r.ReasmOKs), stat.F("ReasmFails", &r.ReasmFails), stat.F("FragOKs", &m.fragOKs),
		stat.F("FragFails", &m.fragFails), stat.F("FragCreates", &m.fragCreates), stat.F("InMcastPkts", &m.inMcastPkts),
		stat.F("OutMcastPkts", &m.outMcastPkts), stat.F("InOctets", &m.inOctets), stat.F("OutOctets", &m.outOctets),
		stat.F("InMcastOctets", &m.inMcastOctets), stat.F("OutMcastOctets", &m.outMcastOctets),
	}
}

// snmpGroups are the statistics groups in /proc/net/snmp6, in its order.
var snmpGroups = []string{"Ip6", "Icmp6", "Udp6", "UdpLite6"}

// writeSNMP writes /proc/net/snmp6.
func (p *ip6) writeSNMP(w io.Writer) error {
	for _, name := range snmpGroups {
		g, ok := p.net.Stats.Lookup(name)
		if !ok {
			continue
		}
		for _, f := range g.Fields {
			if _, err := fmt.Fprintf(w, "%-32s\t%d\n", name+f.Name, f.Load()); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeAddrs writes /proc/net/if_inet6: address, index, prefix length, scope and
// flags in hexadecimal, name.
func (p *ip6) writeAddrs(w io.Writer) error {
	for _, dev := range p.net.Link.Devices() {
		for _, a := range p.net.Addrs(dev.Index()) {
			if !a.IP().Is6() {
				continue
			}
			b := a.IP().As16()
			if _, err := fmt.Fprintf(w, "%x %02x %02x %02x %02x %8s\n", b[:], dev.Index(), a.Prefix.Bits(),
				procScope(a), uint8(a.Flags), dev.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// procScope returns the scope as Linux's IPV6_ADDR_* shows it.
func procScope(a *network.Addr) int {
	ip := a.IP()
	switch {
	case ip.IsLoopback():
		return 0x10
	case ip.IsLinkLocalUnicast():
		return 0x20
	case ip.As16()[0] == 0xfe:
		return 0x40 // site-local (RFC 3879)
	}
	return 0
}

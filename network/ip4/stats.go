package ip4

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// mib holds the counters of the groups Ip (RFC 4293) and IpExt, with Linux's names.
type mib struct {
	inReceives, inHdrErrors, inAddrErrors, forwDatagrams, inUnknownProtos, inDiscards, inDelivers,
	outRequests, outDiscards, outNoRoutes, fragOKs, fragFails, fragCreates stat.Counter

	inNoRoutes, inTruncatedPkts, inMcastPkts, outMcastPkts, inBcastPkts, outBcastPkts,
	inOctets, outOctets, inMcastOctets, outMcastOctets, inBcastOctets, outBcastOctets, inCsumErrors stat.Counter
	inECN [4]stat.Counter // by codepoint
}

// A tally counts what a batch adds to the counters, so that these are touched once.
type tally struct {
	octets uint64
	ecn    [4]uint64
}

func (t *tally) count(b []byte, n int) {
	t.octets += uint64(n)
	t.ecn[b[1]&wire.ECNMask]++
}

func (m *mib) add(t *tally) {
	m.inOctets.Add(t.octets)
	for i, n := range t.ecn {
		if n != 0 {
			m.inECN[i].Add(n)
		}
	}
}

// countCast counts a packet that was sent to a group or to everybody.
func countCast(packets, octets *stat.Counter, pkt *packet.Packet) {
	packets.Inc()
	octets.Add(uint64(pkt.Len()))
}

func (p *ip4) publishStats(c *module.Context) error {
	m, f := &p.mib, &p.frags.Stats
	forwarding := func() uint64 { // RFC 4293: 1 is a router, 2 a host
		if p.conf.All.forwarding.Load() {
			return 1
		}
		return 2
	}
	err := c.Register(p.net.Stats.Add("Ip",
		stat.Field{Name: "Forwarding", Load: forwarding},
		stat.Field{Name: "DefaultTTL", Load: func() uint64 { return uint64(p.settings.ttl.Load()) }},
		stat.F("InReceives", &m.inReceives), stat.F("InHdrErrors", &m.inHdrErrors),
		stat.F("InAddrErrors", &m.inAddrErrors), stat.F("ForwDatagrams", &m.forwDatagrams),
		stat.F("InUnknownProtos", &m.inUnknownProtos), stat.F("InDiscards", &m.inDiscards),
		stat.F("InDelivers", &m.inDelivers), stat.F("OutRequests", &m.outRequests),
		stat.F("OutDiscards", &m.outDiscards), stat.F("OutNoRoutes", &m.outNoRoutes),
		stat.F("ReasmTimeout", &f.ReasmTimeout), stat.F("ReasmReqds", &f.ReasmReqds),
		stat.F("ReasmOKs", &f.ReasmOKs), stat.F("ReasmFails", &f.ReasmFails),
		stat.F("FragOKs", &m.fragOKs), stat.F("FragFails", &m.fragFails), stat.F("FragCreates", &m.fragCreates)))
	if err != nil {
		return err
	}
	return c.Register(p.net.Stats.Add("IpExt",
		stat.F("InNoRoutes", &m.inNoRoutes), stat.F("InTruncatedPkts", &m.inTruncatedPkts),
		stat.F("InMcastPkts", &m.inMcastPkts), stat.F("OutMcastPkts", &m.outMcastPkts),
		stat.F("InBcastPkts", &m.inBcastPkts), stat.F("OutBcastPkts", &m.outBcastPkts),
		stat.F("InOctets", &m.inOctets), stat.F("OutOctets", &m.outOctets),
		stat.F("InMcastOctets", &m.inMcastOctets), stat.F("OutMcastOctets", &m.outMcastOctets),
		stat.F("InBcastOctets", &m.inBcastOctets), stat.F("OutBcastOctets", &m.outBcastOctets),
		stat.F("InCsumErrors", &m.inCsumErrors),
		stat.F("InNoECTPkts", &m.inECN[wire.ECNNotECT]), stat.F("InECT1Pkts", &m.inECN[wire.ECNECT1]),
		stat.F("InECT0Pkts", &m.inECN[wire.ECNECT0]), stat.F("InCEPkts", &m.inECN[wire.ECNCE])))
}

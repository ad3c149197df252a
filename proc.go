package knit

import (
	"fmt"
	"io"
	"net/netip"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/network/route"
)

// registerProcs publishes the files that belong to no module, in the layout of
// Linux's /proc. IPv6's own come and go with its module.
func (k *Kernel) registerProcs() error {
	for path, write := range map[string]func(io.Writer) error{
		"modules":       k.procModules,
		"net/dev":       k.procDev,
		"net/netstat":   k.procNetstat,
		"net/raw":       k.procRaw,
		"net/raw6":      k.procRaw6,
		"net/route":     k.procRoute,
		"net/snmp":      k.procSnmp,
		"net/sockstat":  k.procSockstat,
		"net/sockstat6": k.procSockstat6,
		"net/tcp":       k.procTCP,
		"net/tcp6":      k.procTCP6,
		"net/udp":       k.procUDP,
		"net/udp6":      k.procUDP6,
	} {
		if _, err := k.Proc.Register(path, write); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kernel) procModules(w io.Writer) error {
	_, err := io.WriteString(w, module.FormatProcModules(k.Modules.Modules()))
	return err
}

const devHeader = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
`

// procDev writes the counters of the devices. What no device here counts is 0.
func (k *Kernel) procDev(w io.Writer) error {
	if _, err := io.WriteString(w, devHeader); err != nil {
		return err
	}
	for _, d := range k.Link.Devices() {
		r, t := d.Rx(), d.Tx()
		_, err := fmt.Fprintf(w, "%6s: %7d %7d %4d %4d %4d %5d %10d %9d %8d %7d %4d %4d %4d %5d %7d %10d\n", d.Name(),
			r.Bytes.Load(), r.Packets.Load(), r.Errors.Load(), r.Dropped.Load(), 0, 0, 0, r.Multicast.Load(),
			t.Bytes.Load(), t.Packets.Load(), t.Errors.Load(), t.Dropped.Load(), 0, 0, 0, 0)
		if err != nil {
			return err
		}
	}
	return nil
}

// The flags of /proc/net/route (RTF_*).
const (
	routeUp      = 0x1
	routeGateway = 0x2
	routeHost    = 0x4
	routeReject  = 0x200
)

// procRoute writes the IPv4 routes; of several next hops the first one.
func (k *Kernel) procRoute(w io.Writer) error {
	const width = 127
	if _, err := fmt.Fprintf(w, "%-*s\n", width, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"); err != nil {
		return err
	}
	for _, r := range k.Network.Main.All() {
		if !r.Dst.Addr().Is4() {
			continue
		}
		name, gateway, flags := "*", netip.IPv4Unspecified(), routeUp
		if len(r.NextHops) > 0 {
			hop := r.NextHops[0]
			if d := k.Link.Device(hop.Index); d != nil {
				name = d.Name()
			}
			if hop.Gateway.Is4() {
				gateway, flags = hop.Gateway, flags|routeGateway
			}
		}
		if r.Dst.IsSingleIP() {
			flags |= routeHost
		}
		if r.Type == route.Unreachable || r.Type == route.Prohibit {
			flags |= routeReject
		}
		mask := netip.AddrFrom4([4]byte{255, 255, 255, 255})
		p, _ := mask.Prefix(r.Dst.Bits()) // never fails: 0 to 32 bits
		line := fmt.Sprintf("%s\t%s\t%s\t%04X\t%d\t%d\t%d\t%s\t%d\t%d\t%d", name, hexAddr(r.Dst.Addr()), hexAddr(gateway), flags,
			0, 0, r.Metric, hexAddr(p.Addr()), r.MTU, 0, 0)
		if _, err := fmt.Fprintf(w, "%-*s\n", width, line); err != nil {
			return err
		}
	}
	return nil
}

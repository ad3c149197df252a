package wire

import "testing"

// TestNoHeaderInTooFewBytes gives every parser all prefixes of nothing but
// ones and zeros that are shorter than its header.
func TestNoHeaderInTooFewBytes(t *testing.T) {
	for name, c := range map[string]struct {
		need  int
		parse func(b []byte) bool
	}{
		"Ethernet":        {EthernetLen, func(b []byte) bool { _, ok := ParseEthernet(b); return ok }},
		"VLAN":            {VLANLen, func(b []byte) bool { _, ok := ParseVLAN(b); return ok }},
		"ARP":             {ARPLen, func(b []byte) bool { _, ok := ParseARP(b); return ok }},
		"IPv4":            {IPv4Len, func(b []byte) bool { _, ok := ParseIPv4(b); return ok }},
		"IPv6":            {IPv6Len, func(b []byte) bool { _, ok := ParseIPv6(b); return ok }},
		"IPv6Fragment":    {IPv6FragmentLen, func(b []byte) bool { _, ok := ParseIPv6Fragment(b); return ok }},
		"UDP":             {UDPLen, func(b []byte) bool { _, ok := ParseUDP(b); return ok }},
		"TCP":             {TCPLen, func(b []byte) bool { _, ok := ParseTCP(b); return ok }},
		"ICMP4":           {ICMPLen, func(b []byte) bool { _, ok := ParseICMP4(b); return ok }},
		"ICMP6":           {ICMPLen, func(b []byte) bool { _, ok := ParseICMP6(b); return ok }},
		"ICMPExt":         {ICMPExtHeaderLen, func(b []byte) bool { _, ok := ParseICMPExt(b); return ok }},
		"IGMP":            {IGMPLen, func(b []byte) bool { _, ok := ParseIGMP(b); return ok }},
		"IGMPQuery":       {IGMPLen, func(b []byte) bool { _, ok := ParseIGMPQuery(b); return ok }},
		"IGMPv3Report":    {IGMPLen, func(b []byte) bool { _, ok := ParseIGMPv3Report(b); return ok }},
		"MLD":             {MLDLen, func(b []byte) bool { _, ok := ParseMLD(b); return ok }},
		"MLDQuery":        {MLDLen, func(b []byte) bool { _, ok := ParseMLDQuery(b); return ok }},
		"MLDv2Report":     {MLDv2ReportLen, func(b []byte) bool { _, ok := ParseMLDv2Report(b); return ok }},
		"RouterSolicit":   {RouterSolicitLen, func(b []byte) bool { _, ok := ParseRouterSolicit(b); return ok }},
		"RouterAdvert":    {RouterAdvertLen, func(b []byte) bool { _, ok := ParseRouterAdvert(b); return ok }},
		"NeighborSolicit": {NeighborSolicitLen, func(b []byte) bool { _, ok := ParseNeighborSolicit(b); return ok }},
		"NeighborAdvert":  {NeighborAdvertLen, func(b []byte) bool { _, ok := ParseNeighborAdvert(b); return ok }},
		"NDPRedirect":     {NDPRedirectLen, func(b []byte) bool { _, ok := ParseNDPRedirect(b); return ok }},
		"VNet":            {VNetLen, func(b []byte) bool { _, ok := ParseVNet(b); return ok }},
		"VNetV1":          {VNetV1Len, func(b []byte) bool { _, ok := ParseVNetV1(b); return ok }},
	} {
		for first := range 256 {
			for n := range c.need {
				b := make([]byte, n)
				if n > 0 {
					b[0] = byte(first)
				}
				if c.parse(b) {
					t.Errorf("%s: %d bytes that start with %#x are a header", name, n, first)
				}
			}
		}
	}
}

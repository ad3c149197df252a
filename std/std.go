// Package std lists the modules that ship with knit. It is the only package that
// imports modules.
package std

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link/dummy"
	"github.com/knitnet/knit/link/loopback"
	"github.com/knitnet/knit/link/pipe"
	"github.com/knitnet/knit/link/tap"
	"github.com/knitnet/knit/link/tun"
	"github.com/knitnet/knit/link/veth"
	"github.com/knitnet/knit/netfilter/conntrack"
	defrag4 "github.com/knitnet/knit/netfilter/defrag/ipv4"
	defrag6 "github.com/knitnet/knit/netfilter/defrag/ipv6"
	"github.com/knitnet/knit/netfilter/flowtable"
	"github.com/knitnet/knit/netfilter/helper/ftp"
	"github.com/knitnet/knit/netfilter/helper/ftpnat"
	"github.com/knitnet/knit/netfilter/helper/tftp"
	"github.com/knitnet/knit/netfilter/helper/tftpnat"
	"github.com/knitnet/knit/netfilter/limit"
	"github.com/knitnet/knit/netfilter/log"
	"github.com/knitnet/knit/netfilter/nat"
	"github.com/knitnet/knit/netfilter/nat64"
	"github.com/knitnet/knit/netfilter/nft"
	"github.com/knitnet/knit/network/arp"
	"github.com/knitnet/knit/network/icmp4"
	"github.com/knitnet/knit/network/icmp6"
	"github.com/knitnet/knit/network/igmp"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/network/ip6"
	"github.com/knitnet/knit/network/mld"
	"github.com/knitnet/knit/network/ndp"
	"github.com/knitnet/knit/network/vrf"
	"github.com/knitnet/knit/service/dns64"
	"github.com/knitnet/knit/service/hello"
	"github.com/knitnet/knit/service/uplink"
	"github.com/knitnet/knit/transport/ping"
	"github.com/knitnet/knit/transport/raw"
	"github.com/knitnet/knit/transport/tcp"
	"github.com/knitnet/knit/transport/tcp/cc/cubic"
	"github.com/knitnet/knit/transport/tcp/cc/reno"
	"github.com/knitnet/knit/transport/udp"
)

// Modules returns every module of this repository, in no order that matters.
func Modules() []module.Spec {
	return []module.Spec{
		dummy.Module, loopback.Module, pipe.Module, tap.Module, tun.Module, veth.Module,
		arp.Module, icmp4.Module, icmp6.Module, igmp.Module, ip4.Module, ip6.Module, mld.Module, ndp.Module, vrf.Module,
		ping.Module, raw.Module, tcp.Module, cubic.Module, reno.Module, udp.Module,
		conntrack.Module, defrag4.Module, defrag6.Module, nat.Module, nat64.Module, nft.Module, limit.Module, log.Module,
		flowtable.Module,
		ftp.Module, ftpnat.Module, tftp.Module, tftpnat.Module,
		dns64.Module, hello.Module, uplink.Module,
	}
}

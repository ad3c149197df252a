package control

// ipUsage are the texts of help by object. They go to standard error with status
// 255, as iproute2's do; `knit help ip` prints the first one as any help.
var ipUsage = map[string]string{
	"": `Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { address | link | maddress | monitor | neighbor | route | rule | tuntap | vrf }
       OPTIONS := { -4 | -6 | -0 | -f[amily] { inet | inet6 | link } |
                    -s[tatistics] | -d[etails] | -o[neline] | -br[ief] |
                    -j[son] | -p[retty] | -t[imestamp] | -ts[hort] }
Objects and commands may be shortened: ip a, ip r s, ip -br l.`,

	"link": `Usage: ip link add [ name ] NAME [ up | down ] [ mtu MTU ] [ address LLADDR ]
               type TYPE [ OPTION VALUE ]...
       ip link set { DEVICE | dev DEVICE } [ up | down ] [ mtu MTU ] [ name NAME ]
               [ address LLADDR ] [ promisc { on | off } ] [ allmulticast { on | off } ]
               [ master DEVICE | nomaster ]
       ip link delete { DEVICE | dev DEVICE } [ type TYPE ]
       ip link [ show [ DEVICE | dev DEVICE ] [ up ] [ type TYPE ] [ master DEVICE ]
               [ vrf NAME ] [ nomaster ] ]
TYPE := a kind of device, whose module is loaded by its alias rtnl-link-TYPE:
        { dummy | pipe | tap | tun | veth | vrf }
OPTION := for veth and pipe: peer [ name ] NAME; for vrf: table TABLE; others: see knit modinfo TYPE`,

	"address": `Usage: ip address { add | change | replace } IFADDR dev DEVICE [ LIFETIME ] [ FLAG ]...
       ip address delete IFADDR dev DEVICE
       ip address { show | flush } [ dev DEVICE ] [ up ] [ type TYPE ] [ scope SCOPE ]
               [ to PREFIX ] [ label PATTERN ] [ FILTER ]...
IFADDR := PREFIX | ADDR peer PREFIX  [ broadcast { ADDR | + | - } ] [ label NAME ]
          [ scope SCOPE ] [ metric METRIC ]
SCOPE := { host | link | site | global | NUMBER }
LIFETIME := [ valid_lft LFT ] [ preferred_lft LFT ]    LFT := { forever | SECONDS }
FLAG := { nodad | noprefixroute | home | mngtmpaddr | autojoin }
FILTER := { permanent | dynamic | secondary | primary | temporary |
            [-]tentative | [-]deprecated | [-]dadfailed | FLAG }`,

	"route": `Usage: ip route { add | replace | append | change | delete } [ TYPE ] PREFIX
               [ from PREFIX ] [ via [ FAMILY ] ADDR ] [ dev DEVICE ] [ onlink ] [ src ADDR ]
               [ metric NUMBER ] [ mtu BYTES ] [ scope SCOPE ] [ proto PROTO ]
               [ table TABLE | vrf NAME ]
               [ nexthop [ via ADDR ] [ dev DEVICE ] [ weight NUMBER ] [ onlink ] ]...
       ip route { show | flush } [ [ root | match | exact ] PREFIX ]
               [ table { TABLE | all } | vrf NAME ]
               [ via ADDR ] [ dev DEVICE ] [ src ADDR ] [ metric NUMBER ] [ scope SCOPE ]
               [ proto PROTO ] [ type TYPE ]
       ip route { get | explain } [ fibmatch ] ADDR [ from ADDR ] [ iif DEVICE ]
               [ oif DEVICE | vrf NAME ]
               [ mark MARK ] [ tos TOS ] [ ipproto PROTOCOL ] [ sport PORT ] [ dport PORT ]
TYPE := { unicast | local | broadcast | blackhole | unreachable | prohibit | throw }
TABLE := { main | local | default | NUMBER }    SCOPE := { host | link | global | NUMBER }
PROTO := { kernel | boot | static | NUMBER }    FAMILY := { inet | inet6 }`,

	"neigh": `Usage: ip neigh { add | change | replace } ADDR dev DEVICE [ lladdr LLADDR ]
               [ nud STATE ] [ router ]
       ip neigh delete ADDR dev DEVICE
       ip neigh { show | flush } [ [ to ] PREFIX ] [ dev DEVICE ] [ nud { STATE | all } ]
               [ vrf NAME ] [ master DEVICE ] [ nomaster ]
       ip neigh get ADDR dev DEVICE
STATE := { delay | failed | incomplete | noarp | none | permanent | probe | reachable | stale }`,

	"maddress": `Usage: ip maddr [ add | delete ] GROUP dev DEVICE
       ip maddr show [ dev DEVICE ]
GROUP := an IP multicast address`,

	"tuntap": `Usage: ip tuntap { add | delete } [ dev ] NAME mode { tun | tap } [ multi_queue ] [ vnet_hdr ]
       ip tuntap show`,

	"rule": `Usage: ip rule { add | delete } [ SELECTOR ]... [ ACTION ]
       ip rule { show | flush } [ SELECTOR ]...
SELECTOR := [ not ] [ from PREFIX ] [ to PREFIX ] [ tos TOS ] [ fwmark MARK[/MASK] ]
            [ iif DEVICE ] [ oif DEVICE ] [ priority NUMBER ] [ l3mdev ]
            [ uidrange NUMBER-NUMBER ] [ ipproto PROTOCOL ]
            [ sport NUMBER[-NUMBER] ] [ dport NUMBER[-NUMBER] ] [ protocol PROTO ]
ACTION := { table TABLE [ suppress_prefixlength NUMBER ] [ suppress_ifgroup GROUP ] |
            goto NUMBER | nop | blackhole | unreachable | prohibit } [ realms [SRC/]DST ]
TABLE := { local | main | default | NUMBER }`,

	"vrf": `Usage:	ip vrf show [NAME]`,

	"monitor": `Usage: ip monitor [ all | OBJECT ]... [ label ] [ dev DEVICE ]
OBJECT := { link | address | route | neigh | rule }`,
}
